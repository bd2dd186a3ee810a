"""Recordings in: as one mono signal for analysis, or spans of it at its own rate."""

from __future__ import annotations

import typing
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from voiceclone_cli.errors import InputError
from voiceclone_cli.media.opening import open_audio
from voiceclone_cli.types import ANALYSIS_RATE, Progress, ProgressEvent, Recording, no_progress

if typing.TYPE_CHECKING:
    from voiceclone_cli.media.decoder import AudioStream
    from voiceclone_cli.types import Samples

STAGE = "media"

MIN_SECONDS = 0.1
SILENCE_PEAK = 1e-4
"""-80 dBFS: where nothing passes it, nobody can be heard."""


def read_recording(path: Path, progress: Progress = no_progress) -> Recording:
    """Decode a file for analysis: the mean of its channels at ANALYSIS_RATE.

    The file is streamed: memory holds the mono signal and a block of the source. ``source_frames``
    counts what was really decoded. Progress: stage "media", in seconds of audio.

    Raises InputError with the codes of opening.open_audio, ``media_too_short`` below 0.1 s, and
    ``media_silent`` when no sample of the mono signal passes -80 dBFS.
    """
    signal = _GrowingSignal()
    with open_audio(path) as stream:
        source = _Counted(stream, progress)
        for block in resample_blocks(source.blocks(), stream.rate, ANALYSIS_RATE):
            signal.append(block)
        recording = Recording(
            path=path,
            samples=signal.finish(round(source.frames * ANALYSIS_RATE / stream.rate)),
            source_rate=stream.rate,
            source_frames=source.frames,
            channels=stream.channels,
            has_video=stream.has_video,
        )
    if recording.seconds < MIN_SECONDS:
        raise InputError(
            f"{path} is too short ({recording.seconds:.3f} s of audio): at least {MIN_SECONDS} s are needed.",
            code="media_too_short",
        )
    if source.peak < SILENCE_PEAK:
        raise InputError(
            f"{path} is silent from beginning to end: check that the right track was recorded.",
            code="media_silent",
        )
    return recording


def read_spans(path: Path, spans: Sequence[tuple[float, float]]) -> list[Samples]:
    """Mono float32 at the source rate for each span (start and end in seconds), in the order given.

    One streaming pass that ends with the last span; memory holds the spans alone. Positions are the
    samples nearest to the times; what lies past the end of the file is left out.
    Raises ValueError for a span that is not 0 <= start <= end, and InputError as opening.open_audio does.
    """
    import numpy as np

    for start, end in spans:
        if not 0 <= start <= end:
            raise ValueError(f"not a span of time: {start} to {end} s")
    with open_audio(path) as stream:
        frames = [(round(start * stream.rate), round(end * stream.rate)) for start, end in spans]
        parts: list[list[Samples]] = [[] for _ in spans]
        last = max((end for _, end in frames), default=0)
        position = 0
        for block in stream.blocks():
            for (start, end), pieces in zip(frames, parts, strict=True):
                # A copy, or the piece would keep its whole block alive.
                piece = block[max(0, start - position) : max(0, end - position)].copy()
                if piece.size:
                    pieces.append(piece)
            position += len(block)
            if position >= last:
                break
    return [np.concatenate(pieces) if pieces else np.zeros(0, np.float32) for pieces in parts]


def resample_blocks(blocks: Iterable[Samples], rate: int, target: int) -> Iterator[Samples]:
    """A signal at another rate, block by block, as if it were resampled in one piece (soxr, HQ)."""
    import numpy as np
    import soxr

    if rate == target:
        yield from blocks
        return
    resampler = soxr.ResampleStream(rate, target, 1, dtype="float32")
    for block in blocks:
        yield resampler.resample_chunk(block)
    yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)


class _Counted:
    """A stream's blocks, counted and reported as they pass."""

    def __init__(self, stream: AudioStream, progress: Progress) -> None:
        self._stream = stream
        self._progress = progress
        self.frames = 0
        self.peak = 0.0

    def blocks(self) -> Iterator[Samples]:
        import numpy as np

        rate, total = self._stream.rate, self._stream.promised_seconds
        for block in self._stream.blocks():
            self.frames += len(block)
            self.peak = max(self.peak, float(np.abs(block).max(initial=0.0)))
            self._progress(ProgressEvent(STAGE, self.frames / rate, total))
            yield block
        self._progress(ProgressEvent(STAGE, self.frames / rate, self.frames / rate))


class _GrowingSignal:
    """A signal of unknown length in one array, grown in place: an hour is never held twice."""

    def __init__(self) -> None:
        import numpy as np

        self._array = np.zeros(60 * ANALYSIS_RATE, np.float32)
        self._length = 0

    def append(self, block: Samples) -> None:
        needed = self._length + len(block)
        if needed > len(self._array):
            # refcheck looks for other views of the array; this class gives none away before the end.
            self._array.resize(needed + needed // 16, refcheck=False)
        self._array[self._length : needed] = block
        self._length = needed

    def finish(self, length: int) -> Samples:
        """The signal, cut or padded by the few samples that the resampler's rounding leaves."""
        self._array[self._length :] = 0
        self._array.resize(length, refcheck=False)
        return self._array
