"""Synthesized segments on the timeline of the recording: their slots, tempo and loudness, block by block."""

from __future__ import annotations

import math
import statistics
from bisect import bisect_left, bisect_right
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from voiceclone_cli.audio.dsp import Samples, limit, speech_level_db, stretch
from voiceclone_cli.audio.writer import to_pcm16
from voiceclone_cli.errors import RunError
from voiceclone_cli.mixing.slots import slot_ends, stretch_to_fit
from voiceclone_cli.references.selection import merge_intervals
from voiceclone_cli.types import ANALYSIS_RATE, Placement, Recording, Segment, Span, Turn

MAX_GAIN_DB = 15.0
"""Maximum change of loudness. A greater difference means that one of the two is not speech."""
MAX_DEVIATION_DB = 12.0
"""Largest difference between a line and its speaker's median: people shout and whisper within it."""

_CUT_FADE_SECONDS = 0.02


class SpeechTimeline:
    """The synthesized speech of segments at the times of the recording, read block by block.

    ``files`` maps ids of segments to mono wavs. A segment is read, fitted to its slot and added to
    ``placements`` ``lookahead`` seconds before a block needs it, and released when a block has passed it.

    Raises RunError (``speech_unreadable``).
    """

    def __init__(
        self,
        segments: Sequence[Segment],
        files: Mapping[str, Path],
        recording: Recording,
        turns: Sequence[Turn],
        max_stretch: float,
        *,
        borrow: float | None,
        lookahead: float,
    ) -> None:
        ordered = sorted((s for s in segments if s.id in files), key=lambda segment: segment.start)
        self.rate = mix_rate(recording.source_rate, [_speech_rate(files[segment.id]) for segment in ordered])
        self.frames = recording.source_frames * (self.rate // recording.source_rate)
        self.speakers = sorted({segment.speaker for segment in segments})
        self.placements: list[Placement] = []
        self._files = files
        self._max_stretch = max_stretch
        self._lookahead = round(lookahead * self.rate)
        self._levels = original_levels(segments, recording, turns)
        self._simultaneous = _same_speaker_and_start(segments)
        ends = slot_ends(segments, recording.seconds, borrow)
        self._slots = {
            segment.id: (
                min(round(segment.start * self.rate), self.frames),
                round(ends[segment.id] * self.rate),
            )
            for segment in ordered
        }
        self._waiting = deque(ordered)
        self._active: list[tuple[str, int, Samples]] = []
        """Speaker, start frame and samples."""

    def block(self, start: int, end: int) -> dict[str, NDArray[np.int16]]:
        """Return each speaker's speech from frame ``start`` to ``end``; call it for blocks in order."""
        # A segment that starts at the end of the mix is fitted too, for its warning.
        while self._waiting and self._slots[self._waiting[0].id][0] <= end + self._lookahead:
            segment = self._waiting.popleft()
            samples, placement = self._fit(segment)
            self.placements.append(placement)
            self._active.append((segment.speaker, placement.start_frame, samples))
        sums = {speaker: np.zeros(end - start, np.float32) for speaker in self.speakers}
        for speaker, first, samples in self._active:
            part = samples[max(0, start - first) : max(0, end - first)]
            offset = max(0, first - start)
            sums[speaker][offset : offset + len(part)] += part
        self._active = [entry for entry in self._active if entry[1] + len(entry[2]) > end]
        return {speaker: to_pcm16(limit(total)) for speaker, total in sums.items()}

    def spans(self) -> list[Span]:
        """Return the times in seconds of the segments that were fitted so far."""
        return [(p.start_frame / self.rate, (p.start_frame + p.frames) / self.rate) for p in self.placements]

    def _fit(self, segment: Segment) -> tuple[Samples, Placement]:
        """Stretch speech to its slot and adapt its loudness.

        Speech that is still too long overflows; only the end of the mix cuts it, with a fade.
        """
        start, end = self._slots[segment.id]
        speech = _read_speech(self._files[segment.id], self.rate)
        factor = stretch_to_fit(len(speech), end - start, self._max_stretch)
        fitted = stretch(speech, self.rate, factor)
        overflow = max(0, start + len(fitted) - end)
        gain_db, warnings = self._gain_db(segment, fitted)
        available = max(0, self.frames - start)
        if len(fitted) > available:
            fitted = _cut(fitted, available, self.rate)
            warnings += ("It exceeds the end of the recording and was cut there.",)
        if segment.id in self._simultaneous:
            warnings += ("Another line of its speaker starts at the same time.",)
        placement = Placement(
            segment_id=segment.id,
            start_frame=start,
            frames=len(fitted),
            stretch=factor,
            overflow_seconds=overflow / self.rate,
            gain_db=gain_db,
            warnings=warnings,
        )
        return fitted * 10 ** (gain_db / 20), placement

    def _gain_db(self, segment: Segment, speech: Samples) -> tuple[float, tuple[str, ...]]:
        level, target = speech_level_db(speech, self.rate), self._levels[segment.id]
        if level is None:
            return 0.0, ("It contains no audible speech.",)
        if target is None:
            return 0.0, ()
        return max(-MAX_GAIN_DB, min(MAX_GAIN_DB, target - level)), ()


def _same_speaker_and_start(segments: Sequence[Segment]) -> set[str]:
    """Return the ids of segments whose speaker starts another one at the same time."""
    counts = Counter((segment.speaker, segment.start) for segment in segments)
    return {segment.id for segment in segments if counts[segment.speaker, segment.start] > 1}


def mix_rate(source_rate: int, speech_rates: Sequence[int]) -> int:
    """Return the recording's rate, or its smallest multiple that is not below the rates of the speech.

    With a whole multiple, the mix has exactly that multiple of the recording's samples.
    """
    return source_rate * max(1, -(-max(speech_rates, default=0) // source_rate))


def original_levels(
    segments: Sequence[Segment], recording: Recording, turns: Sequence[Turn]
) -> dict[str, float | None]:
    """Return the speech level to reach for each segment id, in dBFS.

    It is the level of the recording where the segment's speaker speaks between the segment's times, within
    MAX_DEVIATION_DB of the median of that speaker's segments. Where they do not speak then (narration, a translation
    that begins earlier), it is that median, else the level of all their turns, else the median of all segments; None
    without any speech. A speaker without turns has the level of anyone's speech.
    """
    by_speaker = {
        speaker: merge_intervals((turn.start, turn.end) for turn in turns if turn.speaker == speaker)
        for speaker in {turn.speaker for turn in turns}
    }
    anyone = merge_intervals((turn.start, turn.end) for turn in turns) if turns else [(0.0, math.inf)]

    def level(speaker: str, start: float, end: float) -> float | None:
        return _level(recording, by_speaker.get(speaker, anyone), start, end)

    own = {segment.id: level(segment.speaker, segment.start, segment.end) for segment in segments}
    found = [(segment.speaker, value) for segment in segments if (value := own[segment.id]) is not None]
    overall = statistics.median(value for _, value in found) if found else None
    usual: dict[str, float | None] = {}
    for speaker in {segment.speaker for segment in segments}:
        values = [value for name, value in found if name == speaker]
        if values:
            usual[speaker] = statistics.median(values)
        else:
            of_turns = level(speaker, 0.0, recording.seconds)
            usual[speaker] = overall if of_turns is None else of_turns
    return {segment.id: _bounded(own[segment.id], usual[segment.speaker]) for segment in segments}


def _bounded(level: float | None, usual: float | None) -> float | None:
    if level is None or usual is None:
        return usual
    return max(usual - MAX_DEVIATION_DB, min(usual + MAX_DEVIATION_DB, level))


def _level(recording: Recording, spans: Sequence[Span], start: float, end: float) -> float | None:
    """Return the speech level of the recording from ``start`` to ``end``, in dBFS, within the spans alone."""
    first = bisect_right(spans, start, key=lambda span: span[1])
    last = bisect_left(spans, end, key=lambda span: span[0])
    parts = [
        recording.samples[round(max(start, from_) * ANALYSIS_RATE) : round(min(end, to) * ANALYSIS_RATE)]
        for from_, to in spans[first:last]
    ]
    return speech_level_db(np.concatenate(parts), ANALYSIS_RATE) if parts else None


def _speech_rate(path: Path) -> int:
    with _speech_errors(path), path.open("rb") as file:
        return int(soundfile.info(file).samplerate)


def _read_speech(path: Path, rate: int) -> Samples:
    """Read a wav as mono float32 at ``rate``."""
    with _speech_errors(path), path.open("rb") as file:
        samples, source_rate = soundfile.read(file, dtype="float32", always_2d=True)
    speech: Samples = soxr.resample(samples.mean(axis=1), source_rate, rate)
    return speech


@contextmanager
def _speech_errors(path: Path) -> Iterator[None]:
    """Raise RunError (``speech_unreadable``) for errors of reading.

    Callers open files themselves: libsndfile's wrapper supports only names in Unicode.
    """
    try:
        yield
    except (soundfile.LibsndfileError, OSError) as error:
        raise RunError(
            f"The synthesized segment {path} cannot be read ({error}): delete it and run again.",
            code="speech_unreadable",
        ) from error


def _cut(speech: Samples, frames: int, rate: int) -> Samples:
    kept = speech[:frames].copy()
    fade = min(frames, round(_CUT_FADE_SECONDS * rate))
    if fade:
        kept[-fade:] *= np.linspace(1.0, 0.0, fade, dtype=np.float32)
    return kept
