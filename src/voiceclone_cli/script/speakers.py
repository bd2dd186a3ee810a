"""Who speaks a line: what the file says, else who is heard in the recording at that time.

A line may name its speaker in a field (JSON, CSV, ASS, ``<v Anna>``) or open with the name, as ``[Anna] text``
or ``Anna: text``. Subtitles also open with sounds (``[laughs]``) and words like ``Note:``, so an opening
counts as a name only if

- it is a known speaker, or has the form SPEAKER_00, or
- it opens at least two lines, and names of this kind open at least half of the file's lines, or
- it stands in brackets and nobody is known, so that without it the line would have no speaker.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from voiceclone_cli.analysis.turns import TurnIndex
from voiceclone_cli.errors import InputError
from voiceclone_cli.files import check_speaker_names
from voiceclone_cli.script.parsers import ScriptLine, clean_text
from voiceclone_cli.types import Diarization, Turn
from voiceclone_worker.validation import file_key

# How much each speaker speaks during a stretch of time, as quickly for a long stretch as for a short one.


class SpeakerShares:
    """Sums over the turns of each speaker, in whole microseconds, so that equal shares are equal."""

    def __init__(self, turns: Iterable[Turn]) -> None:
        by_speaker: dict[str, list[Turn]] = {}
        for turn in turns:
            by_speaker.setdefault(turn.speaker, []).append(turn)
        self._starts = {name: _Passed(turn.start for turn in own) for name, own in by_speaker.items()}
        self._ends = {name: _Passed(turn.end for turn in own) for name, own in by_speaker.items()}

    def most(self, start: float, end: float) -> str | None:
        """Who speaks most from ``start`` to ``end`` (seconds), the first by name among equals; None in silence."""
        first, last = _microseconds(start), _microseconds(end)
        best, most = None, 0
        for name in sorted(self._starts):
            starts, ends = self._starts[name], self._ends[name]
            share = starts.since(last) - ends.since(last) - starts.since(first) + ends.since(first)
            if share > most:
                best, most = name, share
        return best


class _Passed:
    """Moments in time, and how long ago all of them together are."""

    def __init__(self, seconds: Iterable[float]) -> None:
        self._moments = sorted(map(_microseconds, seconds))
        self._sums = list(accumulate(self._moments, initial=0))

    def since(self, now: int) -> int:
        """The sum of now - moment over the moments before now."""
        count = bisect_left(self._moments, now)
        return count * now - self._sums[count]


def _microseconds(seconds: float) -> int:
    return round(seconds * 1_000_000)


_BRACKETED = re.compile(r"\[([^\[\]]{1,100})\]\s*(.*)")
_BEFORE_COLON = re.compile(r"([^\W\d_][\w .'’-]{0,39}?)\s*:(?:\s+(.*)|$)")
_LABEL = re.compile(r"speaker_\d+")


@dataclass(frozen=True, slots=True)
class _Opening:
    """What a line may open with: a name in brackets or before a colon, and the text after it."""

    name: str
    text: str
    bracketed: bool

    @property
    def key(self) -> str:
        return file_key(self.name)

    @property
    def shown(self) -> str:
        return f"[{self.name}]" if self.bracketed else f"{self.name}:"


def assign_speakers(
    lines: Sequence[ScriptLine], diarization: Diarization | None, extra: Collection[str]
) -> tuple[list[tuple[str, str]], list[str]]:
    """Speaker and text of every line, and notes on what was guessed. An empty text has nothing to speak.

    Raises InputError when a line names somebody without a voice, or nobody can be found for it.
    """
    heard = diarization.speakers if diarization is not None else ()
    known = {file_key(name): name for name in (*heard, *extra)}
    openings = [None if line.speaker else _opening(clean_text(line.text)) for line in lines]
    names = _names(openings, known, len(lines))
    turns = diarization.turns if diarization is not None else ()
    shares, index = SpeakerShares(turns), TurnIndex(turns)
    spellings = dict(known)
    cast: list[tuple[str, str]] = []
    notes = _passed_over(openings, names)
    for line, opening in zip(lines, openings, strict=True):
        speaker, text = line.speaker, clean_text(line.text)
        if opening and opening.key in names:
            speaker, text = opening.name, opening.text
        elif opening and not opening.text:
            text = ""  # a sound, "[music]"
        if not any(character.isalnum() for character in text):
            speaker, text = "", ""
        elif speaker:
            speaker = clean_text(speaker)
            speaker = spellings.setdefault(file_key(speaker), speaker)
        else:
            speaker, note = _heard(line, shares, index)
            notes += note
        cast.append((speaker, text))
    _check_names({speaker for speaker, _ in cast if speaker}, known, diarization is not None)
    return cast, notes


def _opening(text: str) -> _Opening | None:
    for pattern, bracketed in ((_BRACKETED, True), (_BEFORE_COLON, False)):
        if found := pattern.fullmatch(text):
            return _Opening(found[1].strip(), found[2] or "", bracketed)
    return None


def _names(openings: Sequence[_Opening | None], known: Collection[str], lines: int) -> set[str]:
    """The openings that name a speaker, by the rule at the top of this file; their keys."""
    seen = [opening for opening in openings if opening is not None]
    counts = Counter(opening.key for opening in seen)
    sure = {
        opening.key
        for opening in seen
        if opening.key in known or _LABEL.fullmatch(opening.key) or (opening.bracketed and not known)
    }
    recurring = {key for key, count in counts.items() if count >= 2}
    if 2 * sum(counts[key] for key in sure | recurring) >= lines:
        return sure | recurring
    return sure


def _passed_over(openings: Sequence[_Opening | None], names: Collection[str]) -> list[str]:
    """A note on openings that look like names and were read as text, in case a name is misspelt."""
    shown = [opening.shown for opening in openings if opening and opening.text and opening.key not in names]
    return [f"Read as text, not as speakers: {_listed(list(dict.fromkeys(shown)))}."] if shown else []


def _heard(line: ScriptLine, shares: SpeakerShares, index: TurnIndex) -> tuple[str, list[str]]:
    """Who speaks most during a line, else the nearest speaker and a note that says so."""
    loudest = shares.most(line.start, line.end)
    if loudest is not None:
        return loudest, []
    nearest = index.nearest(line.start, line.end)
    if nearest is None:
        raise InputError(
            f'{line.where} names no speaker, and no turns are known; write "[SPEAKER_00] " before its text.',
            code="script_speaker_missing",
        )
    turn, distance = nearest
    note = f"{line.where}: nobody speaks then; given to {turn.speaker}, the nearest, {distance:.2f} s away."
    return turn.speaker, [note]


def _check_names(names: Collection[str], known: dict[str, str], diarized: bool) -> None:
    unknown = sorted(name for name in names if file_key(name) not in known)
    check_speaker_names(unknown)
    if unknown and (diarized or known):
        raise InputError(
            f"{_listed(unknown)} {'has' if len(unknown) == 1 else 'have'} no voice; there are voices for "
            f"{_listed(sorted(known.values())) if known else 'nobody'}: write one of those, or give a voice "
            f'with --reference "{unknown[0]:.40}=voice.wav".',
            code="script_speaker",
        )


def _listed(names: Sequence[str], most: int = 5) -> str:
    return ", ".join(f"{name:.24}" for name in names[:most]) + (
        f" and {len(names) - most} more" if len(names) > most else ""
    )
