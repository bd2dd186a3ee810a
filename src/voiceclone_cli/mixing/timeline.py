"""Spoken segments as the blocks of a timeline: fitted when it reaches them, let go when it has passed them."""

from __future__ import annotations

import statistics
import typing
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from voiceclone_cli.audio.dsp import limit, speech_level_db, stretch
from voiceclone_cli.audio.writer import to_pcm16
from voiceclone_cli.errors import RunError
from voiceclone_cli.types import ANALYSIS_RATE, Placement, Recording, Segment

if typing.TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from voiceclone_cli.types import Samples


# One spoken segment made to fit its slot: rate, length and loudness.


MAX_GAIN_DB = 15.0
"""Either way. A larger difference means that one of the two levels is not that of speech."""

_CUT_FADE_SECONDS = 0.02


@dataclass(frozen=True)
class Slot:
    """The time that a segment has, in frames of the mix."""

    start: int
    end: int
    total: int
    """Frames of the whole mix."""
    rate: int


@dataclass(frozen=True)
class FittedSpeech:
    """A segment ready to be added to the mix at ``placement.start_frame``."""

    samples: Samples
    placement: Placement


def fit_speech(
    segment: Segment, spoken: Samples, slot: Slot, level: float | None, max_stretch: float
) -> FittedSpeech:
    """Stretch, level and place speech that is already at the mix's rate.

    ``level`` is the speech level to reach in dBFS; None leaves the loudness as it is.
    What is still too long for the slot is kept whole; only the end of the mix cuts it, with a fade.
    """
    factor = stretch_factor(len(spoken), slot.end - slot.start, max_stretch)
    fitted = stretch(spoken, slot.rate, factor)
    overflow = max(0, slot.start + len(fitted) - slot.end)
    gain_db, warnings = _gain_db(fitted, slot.rate, level)
    room = max(0, slot.total - slot.start)
    if len(fitted) > room:
        fitted = _cut(fitted, room, slot.rate)
        warnings += ("It runs past the end of the recording and was cut there.",)
    placement = Placement(
        segment_id=segment.id,
        start_frame=slot.start,
        frames=len(fitted),
        stretch=factor,
        overflow_seconds=overflow / slot.rate,
        gain_db=gain_db,
        warnings=warnings,
    )
    return FittedSpeech(fitted * 10 ** (gain_db / 20), placement)


def stretch_factor(frames: int, room: int, max_stretch: float) -> float:
    """How much faster speech must be to fit ``room``: 1.0 when it fits, never more than ``max_stretch``."""
    if frames <= room:
        return 1.0
    return max_stretch if room <= 0 else min(frames / room, max_stretch)


def speech_rate(path: Path) -> int:
    """Sample rate of a spoken wav in Hz. Raises RunError (``speech_unreadable``)."""
    import soundfile

    with _explained(path), path.open("rb") as file:
        return int(soundfile.info(file).samplerate)


def read_speech(path: Path, rate: int) -> Samples:
    """A spoken wav as mono float32 at ``rate``. Raises RunError (``speech_unreadable``)."""
    import soundfile
    import soxr

    with _explained(path), path.open("rb") as file:
        samples, spoken_rate = soundfile.read(file, dtype="float32", always_2d=True)
    speech: Samples = soxr.resample(samples.mean(axis=1), spoken_rate, rate)
    return speech


# Files are opened here, since libsndfile's wrapper takes no name that is not Unicode.
@contextmanager
def _explained(path: Path) -> Iterator[None]:
    import soundfile

    try:
        yield
    except (soundfile.LibsndfileError, OSError) as error:
        raise RunError(
            f"The spoken segment {path} cannot be read ({error}): delete it and run again.",
            code="speech_unreadable",
        ) from error


def original_levels(segments: Sequence[Segment], recording: Recording) -> Mapping[str, float | None]:
    """The speech level to reach for each segment id, in dBFS.

    That of the recording between the segment's times; where nothing is to be heard there, the median of
    the speaker's other segments, then that of all segments. None when the whole recording has no speech.
    """
    own = {segment.id: speech_level_db(_original(segment, recording), ANALYSIS_RATE) for segment in segments}
    heard = [(segment.speaker, level) for segment in segments if (level := own[segment.id]) is not None]
    everybody = statistics.median(level for _, level in heard) if heard else None
    levels = {}
    for segment in segments:
        speaker = [level for name, level in heard if name == segment.speaker]
        usual = statistics.median(speaker) if speaker else everybody
        levels[segment.id] = usual if own[segment.id] is None else own[segment.id]
    return levels


def _original(segment: Segment, recording: Recording) -> Samples:
    start, end = (max(0, round(time * ANALYSIS_RATE)) for time in (segment.start, segment.end))
    return recording.samples[start:end]


def _gain_db(speech: Samples, rate: int, level: float | None) -> tuple[float, tuple[str, ...]]:
    spoken = speech_level_db(speech, rate)
    if spoken is None:
        return 0.0, ("No speech is to be heard in it.",)
    if level is None:
        return 0.0, ()
    return max(-MAX_GAIN_DB, min(MAX_GAIN_DB, level - spoken)), ()


def _cut(speech: Samples, frames: int, rate: int) -> Samples:
    import numpy as np

    kept = speech[:frames].copy()
    fade = min(frames, round(_CUT_FADE_SECONDS * rate))
    if fade:
        kept[-fade:] *= np.linspace(1.0, 0.0, fade, dtype=np.float32)
    return kept


# How much time each line has, and how fine the mix's time is.


GUARD_SECONDS = 0.03
"""Left free before the next segment, so that two lines do not touch."""


def slot_ends(segments: Sequence[Segment], recording_seconds: float) -> dict[str, float]:
    """Where each segment's slot ends, in seconds, by segment id.

    A slot runs to the start of the next segment of anybody, less a small guard; the last one runs to the end
    of the recording, which no slot passes. A segment into which somebody speaks, or over whose end somebody
    goes on, has its own time and no more: people talk over each other for as long as they did.
    """
    ordered = sorted(segments, key=lambda segment: segment.start)
    starts = [segment.start for segment in ordered]
    latest_ends = list(accumulate((segment.end for segment in ordered), max))
    ends = {}
    for segment in ordered:
        following = bisect_right(starts, segment.start)
        begun = bisect_left(starts, segment.end)
        if begun > following or (begun and latest_ends[begun - 1] > segment.end):
            end = segment.end
        elif following < len(starts):
            end = max(segment.end, starts[following] - GUARD_SECONDS)
        else:
            end = recording_seconds
        ends[segment.id] = min(end, recording_seconds)
    return ends


def mix_rate(source_rate: int, speech_rates: Sequence[int]) -> int:
    """The recording's own rate, or its smallest whole multiple that carries the speech.

    A whole multiple, so that the mix has exactly as many samples as the recording, times that number.
    """
    wanted = max(speech_rates, default=0)
    return source_rate * max(1, -(-wanted // source_rate))


class SpeechByBlock:
    """``starts`` are the segments with their first frames, in order; ``ahead`` so many frames before a block
    needs them they are fitted, and known in ``placements``."""

    def __init__(
        self,
        starts: Sequence[tuple[int, Segment]],
        fitted: Callable[[Segment], FittedSpeech],
        ahead: int,
    ) -> None:
        self.placements: list[Placement] = []
        self._waiting = deque(starts)
        self._fitted = fitted
        self._ahead = ahead
        self._sounding: list[tuple[str, FittedSpeech]] = []

    def block(self, start: int, end: int, speakers: Sequence[str]) -> dict[str, NDArray[np.int16]]:
        """Every speaker's part of the frames from ``start`` to ``end``. Blocks are asked for in order."""
        import numpy as np

        self._take_until(end + self._ahead)
        sums = {speaker: np.zeros(end - start, np.float32) for speaker in speakers}
        still_sounding = []
        for speaker, speech in self._sounding:
            first = speech.placement.start_frame
            piece = speech.samples[max(0, start - first) : max(0, end - first)]
            at = max(0, first - start)
            sums[speaker][at : at + len(piece)] += piece
            if first + len(speech.samples) > end:
                still_sounding.append((speaker, speech))
        self._sounding = still_sounding
        return {speaker: to_pcm16(limit(total)) for speaker, total in sums.items()}

    def spans(self, rate: int) -> list[tuple[float, float]]:
        """Where the segments that were fitted so far are heard, in seconds."""
        return [(p.start_frame / rate, (p.start_frame + p.frames) / rate) for p in self.placements]

    def _take_until(self, end: int) -> None:
        # "At the end" counts: a segment that starts where the mix ends is taken too, and told so.
        while self._waiting and self._waiting[0][0] <= end:
            _, segment = self._waiting.popleft()
            speech = self._fitted(segment)
            self.placements.append(speech.placement)
            self._sounding.append((segment.speaker, speech))
