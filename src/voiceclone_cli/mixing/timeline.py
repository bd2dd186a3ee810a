"""Synthesized segments on the timeline of the recording: their slots, tempo and loudness, block by block."""

from __future__ import annotations

import statistics
import typing
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path

from voiceclone_cli.audio.dsp import limit, speech_level_db, stretch
from voiceclone_cli.audio.writer import to_pcm16
from voiceclone_cli.errors import RunError
from voiceclone_cli.types import ANALYSIS_RATE, Placement, Recording, Segment, Span

if typing.TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from voiceclone_cli.types import Samples


GUARD_SECONDS = 0.03
"""Pause before the next segment, so that two lines do not touch."""
MAX_GAIN_DB = 15.0
"""Maximum change of loudness. A greater difference means that one of the two is not speech."""

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
        max_stretch: float,
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
        self._levels = _original_levels(segments, recording)
        ends = slot_ends(segments, recording.seconds)
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
        import numpy as np

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
        factor = 1.0
        if len(speech) > end - start:
            factor = min(len(speech) / (end - start), self._max_stretch) if end > start else self._max_stretch
        fitted = stretch(speech, self.rate, factor)
        overflow = max(0, start + len(fitted) - end)
        gain_db, warnings = self._gain_db(segment, fitted)
        available = max(0, self.frames - start)
        if len(fitted) > available:
            fitted = _cut(fitted, available, self.rate)
            warnings += ("It exceeds the end of the recording and was cut there.",)
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


def slot_ends(segments: Sequence[Segment], recording_seconds: float) -> dict[str, float]:
    """Return the end of each segment's slot in seconds, by segment id.

    A slot extends to the start of the next segment of any speaker, minus a guard; the last one extends to the
    end of the recording, which limits all slots. A segment that overlaps with the start or the end of another
    one keeps its own end: people who talk over each other do so for as long as they did.
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
    """Return the recording's rate, or its smallest multiple that is not below the rates of the speech.

    With a whole multiple, the mix has exactly that multiple of the recording's samples.
    """
    return source_rate * max(1, -(-max(speech_rates, default=0) // source_rate))


def _original_levels(segments: Sequence[Segment], recording: Recording) -> Mapping[str, float | None]:
    """Return the speech level to reach for each segment id, in dBFS.

    It is the level of the recording between the segment's times. If there is no speech then, it is the
    median of the speaker's other segments, or else of all segments; None without any speech.
    """
    own = {}
    for segment in segments:
        start, end = (max(0, round(time * ANALYSIS_RATE)) for time in (segment.start, segment.end))
        own[segment.id] = speech_level_db(recording.samples[start:end], ANALYSIS_RATE)
    known = [(segment.speaker, level) for segment in segments if (level := own[segment.id]) is not None]
    overall = statistics.median(level for _, level in known) if known else None
    levels = {}
    for segment in segments:
        speaker = [level for name, level in known if name == segment.speaker]
        usual = statistics.median(speaker) if speaker else overall
        levels[segment.id] = usual if own[segment.id] is None else own[segment.id]
    return levels


def _speech_rate(path: Path) -> int:
    import soundfile

    with _speech_errors(path), path.open("rb") as file:
        return int(soundfile.info(file).samplerate)


def _read_speech(path: Path, rate: int) -> Samples:
    """Read a wav as mono float32 at ``rate``."""
    import soundfile
    import soxr

    with _speech_errors(path), path.open("rb") as file:
        samples, source_rate = soundfile.read(file, dtype="float32", always_2d=True)
    speech: Samples = soxr.resample(samples.mean(axis=1), source_rate, rate)
    return speech


@contextmanager
def _speech_errors(path: Path) -> Iterator[None]:
    """Raise RunError (``speech_unreadable``) for errors of reading.

    Callers open files themselves: libsndfile's wrapper supports only names in Unicode.
    """
    import soundfile

    try:
        yield
    except (soundfile.LibsndfileError, OSError) as error:
        raise RunError(
            f"The synthesized segment {path} cannot be read ({error}): delete it and run again.",
            code="speech_unreadable",
        ) from error


def _cut(speech: Samples, frames: int, rate: int) -> Samples:
    import numpy as np

    kept = speech[:frames].copy()
    fade = min(frames, round(_CUT_FADE_SECONDS * rate))
    if fade:
        kept[-fade:] *= np.linspace(1.0, 0.0, fade, dtype=np.float32)
    return kept
