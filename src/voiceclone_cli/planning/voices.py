"""How good a speaker's reference is, in one word, from what can be measured of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from voiceclone_cli.casting.choosing import CLIPPED, ENOUGH
from voiceclone_cli.casting.sound import Quality, listen
from voiceclone_cli.types import ANALYSIS_RATE, Recording, Reference, Turn

NOISY_DB = 18.0
"""Loud frames over the quietest around them; noise that is 15 dB below the speech measures 17 to 20."""
_TOLERANCE = 0.05
"""Seconds: the accuracy of cutting."""


@dataclass(frozen=True, slots=True)
class Voice:
    """``word`` is good, or the worst of: mixed (others are heard in it), short, clipped, noisy."""

    word: str
    seconds: float
    snr_db: float
    clipped: float
    """Share of samples that touch the ceiling."""


def judge(reference: Reference, recording: Recording, turns: Sequence[Turn]) -> Voice:
    """The pieces are measured where they were cut; a file that the user gave as a whole."""
    found = _of_pieces(reference, recording) if reference.spans else _of_file(reference)
    return Voice(
        _word(reference.seconds, found, mixed=_is_mixed(reference, turns)),
        reference.seconds,
        round(found.snr_db, 1),
        round(found.clipped, 4),
    )


def _word(seconds: float, found: Quality, *, mixed: bool) -> str:
    if mixed:
        return "mixed"
    if seconds < ENOUGH - _TOLERANCE:
        return "short"
    if found.clipped >= CLIPPED:
        return "clipped"
    return "noisy" if found.snr_db < NOISY_DB else "good"


def _is_mixed(reference: Reference, turns: Sequence[Turn]) -> bool:
    """Whether somebody else speaks in it, which casting takes only where the speaker is never heard alone."""
    others = [turn for turn in turns if turn.speaker != reference.speaker]
    return any(
        min(end, turn.end) - max(start, turn.start) > _TOLERANCE
        for start, end in reference.spans
        for turn in others
    )


def _of_pieces(reference: Reference, recording: Recording) -> Quality:
    """The mean over the pieces, each for as long as it is."""
    heard = [(end - start, listen(recording.samples, (start, end))) for start, end in reference.spans]
    total = sum(seconds for seconds, _ in heard) or 1.0

    def mean(part: str) -> float:
        return sum(seconds * float(getattr(quality, part)) for seconds, quality in heard) / total

    return Quality(mean("level_db"), mean("snr_db"), mean("clipped"))


def _of_file(reference: Reference) -> Quality:
    from voiceclone_cli.media import read_recording

    samples = read_recording(reference.audio).samples
    return listen(samples, (0.0, len(samples) / ANALYSIS_RATE))
