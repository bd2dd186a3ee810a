"""Recordings in: as one mono signal for analysis, or spans of it at its own rate."""

from __future__ import annotations

import os
import stat
import typing
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from voiceclone_cli.audio.formats import looks_like, open_options, playlist_kind, promised_seconds
from voiceclone_cli.errors import InputError
from voiceclone_cli.types import ANALYSIS_RATE, Progress, ProgressEvent, Recording, no_progress

if typing.TYPE_CHECKING:
    import numpy as np
    from av import AudioFrame, AudioResampler, Packet
    from av import AudioStream as Source
    from av.container import InputContainer
    from numpy.typing import NDArray

    from voiceclone_cli.types import Samples

    Channels = NDArray[np.float32]
    """Shape (frames, channels), nominally within [-1, 1]."""


# Any audio or video file as a stream of blocks of samples, through FFmpeg's libraries (PyAV).


BLOCK_SECONDS = 1.0
RATES = (4_000, 768_000)
"""Hz. Outside of it a header lies, and resampling would fill the memory."""
MOST_CHANNELS = 64
"""A full MADI line. More is a header that lies."""
MOST_HOURS = 12
"""The mono signal of so long a recording takes 2.8 GB. Small files can hold days of silence."""

_MOST_PLANES = 7
"""PyAV looks for a null behind the last plane's address, and with eight of them it reads whatever is there."""

_MISSING_SECONDS = 0.5
_MISSING_SHARE = 0.01
"""Less than both of these may be missing: encoders round their durations."""


class AudioStream:
    """The audio of one open file. Made by :func:`opening.open_audio`; its blocks can be read once."""

    def __init__(self, path: Path, container: InputContainer) -> None:
        self._path = path
        self._container = container
        self._stream = container.streams.audio[0]
        self._reached = 0.0
        self._packer: AudioResampler | None = None
        self._check_channels(self._stream.codec_context.channels)
        self._frames = self._decode()
        self._first = next(self._frames, None)
        # The codec's own word is not enough: HE-AAC announces half of the rate that it decodes to.
        first = self._first
        self.rate: int = first.sample_rate if first else self._stream.codec_context.sample_rate
        self.channels: int = first.layout.nb_channels if first else self._stream.codec_context.channels
        layout = first.layout if first else self._stream.codec_context.layout
        self.layout: tuple[str, ...] = tuple(channel.name for channel in layout.channels)
        """FFmpeg's names of the channels, "FL" and "FR" say; others where a file does not say what is what."""
        self._check_rate()
        self.promised_seconds = promised_seconds(path, container)
        if (self.promised_seconds or 0) > MOST_HOURS * 3600:
            raise self._too_long(f"lasts {(self.promised_seconds or 0) / 3600:.1f} hours by its header")

    @property
    def has_video(self) -> bool:
        """Whether there are moving pictures; the cover of an album does not count."""
        from av.stream import Disposition

        return any(
            not stream.disposition & Disposition.attached_pic for stream in self._container.streams.video
        )

    @property
    def tags(self) -> dict[str, str]:
        """What the file says of itself, of the stream and as a whole, spelled as it is there."""
        return {**self._stream.metadata, **self._container.metadata}

    def blocks(self) -> Iterator[Samples]:
        """The mean of the channels, float32, in blocks of about a second at ``rate``.

        Raises InputError: ``media_truncated`` when the file ends before its header's promise,
        ``media_too_long`` when it goes on past MOST_HOURS whatever its header says, ``media_not_finite``
        for NaN or infinite samples, ``media_rate`` when the rate changes midway.
        """
        return self._blocks(_mono)

    def channel_blocks(self) -> Iterator[Channels]:
        """As :meth:`blocks`, with the channels apart. Where their number changes midway, each is the mean."""
        return self._blocks(lambda frame: _apart(frame, self.channels))

    def _blocks(self, convert: Callable[[AudioFrame], NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
        import numpy as np

        parts: list[NDArray[np.float32]] = []
        held = decoded = 0
        for frame in self._all_frames():
            part = convert(self._packed(frame))
            parts.append(part)
            held += len(part)
            if held >= BLOCK_SECONDS * self.rate:
                decoded += held
                if decoded > MOST_HOURS * 3600 * self.rate:
                    raise self._too_long("goes on and on")
                yield self._checked(np.concatenate(parts))
                parts, held = [], 0
        if held:
            yield self._checked(np.concatenate(parts))
        self._check_promise((decoded + held) / self.rate)

    def _all_frames(self) -> Iterator[AudioFrame]:
        if self._first is not None:
            yield self._first
        self._first = None
        for frame in self._frames:
            if frame.sample_rate != self.rate:
                raise InputError(
                    f"{self._path} changes its sample rate from {self.rate} to {frame.sample_rate} Hz midway: "
                    "convert it to one rate first.",
                    code="media_rate",
                )
            yield frame

    def _packed(self, frame: AudioFrame) -> AudioFrame:
        """The frame, with its channels interleaved where PyAV must not be asked for so many planes."""
        import av

        if not frame.format.is_planar or frame.layout.nb_channels <= _MOST_PLANES:
            return frame
        if self._packer is None:
            self._packer = av.AudioResampler(frame.format.packed, frame.layout, frame.sample_rate)
        # Without a change of rate nothing is held back.
        (packed,) = self._packer.resample(frame)
        return packed

    def _decode(self) -> Iterator[AudioFrame]:
        import av

        try:
            for packet in self._packets():
                try:
                    frames = packet.decode()
                except av.error.InvalidDataError:
                    # One damaged packet, as broadcasts have them. Where much is lost, the promise tells.
                    continue
                for frame in frames:
                    if frame.pts is not None and frame.time_base is not None:
                        start = (frame.pts - (self._stream.start_time or 0)) * frame.time_base
                        self._reached = float(start) + frame.samples / frame.sample_rate
                    yield frame
        except av.error.FFmpegError as error:
            raise InputError(
                f"{self._path} cannot be decoded ({error.strerror}): make or fetch the file again, "
                "or convert it to wav first.",
                code="media_damaged",
            ) from error

    def _packets(self) -> Iterator[Packet[Source]]:
        try:
            yield from self._container.demux(self._stream)
        except IndexError:
            # So PyAV ends where further streams came up midway, as in broadcasts; ours is through by then.
            return

    def _check_rate(self) -> None:
        if not RATES[0] <= self.rate <= RATES[1]:
            raise InputError(
                f"{self._path} claims a sample rate of {self.rate} Hz, which cannot be right: "
                "check how it was made.",
                code="media_rate",
            )

    def _check_channels(self, channels: int) -> None:
        if not 1 <= channels <= MOST_CHANNELS:
            raise InputError(
                f"{self._path} claims a number of channels that cannot be right (1 to {MOST_CHANNELS} can be "
                "read): check how it was made.",
                code="media_channels",
            )

    def _too_long(self, how: str) -> InputError:
        return InputError(
            f"{self._path} {how}, and at most {MOST_HOURS} hours can be read: cut it into parts, "
            "or copy it again if it is shorter.",
            code="media_too_long",
        )

    def _checked(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        import numpy as np

        if not np.isfinite(block).all():
            raise InputError(
                f"{self._path} holds samples that are not numbers (NaN or infinite): export it again.",
                code="media_not_finite",
            )
        return block

    def _check_promise(self, decoded_seconds: float) -> None:
        if self.promised_seconds is None:
            return
        # A recording with gaps between its time stamps decodes to less than it lasts; it is whole all the same.
        missing = self.promised_seconds - max(decoded_seconds, self._reached)
        if missing > max(_MISSING_SECONDS, _MISSING_SHARE * self.promised_seconds):
            raise InputError(
                f"{self._path} is cut off: its header promises {self.promised_seconds:.1f} s of audio, "
                f"but only {decoded_seconds:.1f} s are there. Copy or download it again.",
                code="media_truncated",
            )


def _mono(frame: AudioFrame) -> Samples:
    """Mean of the channels as float32; integer formats are scaled to [-1, 1)."""
    import numpy as np

    planes = _planes(frame)
    # A double may be too large for a float: it becomes infinite, which the caller reports.
    with np.errstate(over="ignore", invalid="ignore"):
        channels = planes.astype(np.float32)
        mono: Samples = channels[0] if len(channels) == 1 else channels.mean(axis=0, dtype=np.float32)
    return _scaled(mono, planes.dtype)


def _apart(frame: AudioFrame, channels: int) -> Channels:
    """The channels as float32, scaled as ``_mono`` does."""
    import numpy as np

    if frame.layout.nb_channels != channels:
        return np.repeat(_mono(frame)[:, None], channels, axis=1)
    planes = _planes(frame)
    with np.errstate(over="ignore", invalid="ignore"):
        return _scaled(np.ascontiguousarray(planes.T, np.float32), planes.dtype)


def _planes(frame: AudioFrame) -> NDArray[np.generic]:
    """Shape (channels, frames), in the file's own number format."""
    samples: NDArray[np.generic] = frame.to_ndarray()
    return samples if frame.format.is_planar else samples.reshape(-1, frame.layout.nb_channels).T


def _scaled(samples: NDArray[np.float32], source: np.dtype[np.generic]) -> NDArray[np.float32]:
    import numpy as np

    full_scale = np.float32(2 ** (8 * source.itemsize - 1))
    if source.kind == "u":
        return samples / full_scale - np.float32(1)
    return samples / full_scale if source.kind == "i" else samples


# A file on its way to the decoder: looked at first, then opened so that it can reach nothing else.


_HEAD = 64
"""Bytes. Enough to tell what a file is."""


@contextmanager
def open_audio(path: Path) -> Iterator[AudioStream]:
    """Open the first audio stream of a file.

    Raises InputError with the codes ``media_missing``, ``media_is_folder``, ``media_not_a_file``,
    ``media_unreadable``, ``media_empty``, ``media_playlist``, ``media_not_media``, ``media_truncated``,
    ``media_no_audio``, ``media_codec``, and those of :class:`AudioStream` and its blocks.
    """
    container = _open(path, _head(path))
    with container:
        if not container.streams.audio:
            raise InputError(
                f"{path} holds no audio: give a file in which people can be heard.", code="media_no_audio"
            )
        # PyAV has no codec context for a stream that FFmpeg cannot decode.
        if container.streams.audio[0].codec_context is None:
            raise InputError(
                f"{path} holds audio in a format that cannot be decoded: convert it to wav first.",
                code="media_codec",
            )
        yield AudioStream(path, container)


def _head(path: Path) -> bytes:
    """The first bytes of a regular file."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise InputError(
                f"{path} is a folder: give one audio or video file in it.", code="media_is_folder"
            )
        if not stat.S_ISREG(mode):
            raise InputError(
                f"{path} is not a regular file: save the recording to a file first.", code="media_not_a_file"
            )
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except (FileNotFoundError, ValueError) as error:
        # ValueError: a name with a null character, which no file can have.
        raise InputError(f"{path} does not exist: check the path.", code="media_missing") from error
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror or error}): check the path and its permissions.",
            code="media_unreadable",
        ) from error
    if not head:
        raise InputError(f"{path} is empty: copy or download it again.", code="media_empty")
    return head


def _open(path: Path, head: bytes) -> InputContainer:
    import av

    playlist = playlist_kind(head)
    if playlist is not None:
        raise InputError(
            f"{path} is {playlist}, not a recording, and what it names is not opened: "
            "save the recording to a file and give that.",
            code="media_playlist",
        )
    try:
        # "file:", or a name could be an address.
        return av.open(f"file:{os.path.abspath(path)}", metadata_errors="ignore", options=open_options())
    except av.error.FFmpegError as error:
        kind = looks_like(head)
        if kind is None:
            raise InputError(
                f"{path} is not an audio or video file that can be read here: convert it to wav first.",
                code="media_not_media",
            ) from error
        raise InputError(
            f"{path} begins like {kind}, but is cut off or damaged: copy or download it again.",
            code="media_truncated",
        ) from error


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
