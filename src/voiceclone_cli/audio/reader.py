"""Reading of audio and video files through FFmpeg's libraries (PyAV), in blocks of about a second."""

from __future__ import annotations

import math
import typing
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import soxr
from av import AudioFrame, AudioResampler, Packet
from av.container import InputContainer
from av.stream import Stream
from numpy.typing import NDArray

from voiceclone_cli import types
from voiceclone_cli.audio import film
from voiceclone_cli.audio.dsp import Samples
from voiceclone_cli.audio.formats import declared_seconds, open_container
from voiceclone_cli.audio.tracks import AudioTrack, choose_track
from voiceclone_cli.errors import InputError

Channels = NDArray[np.float32]
"""Shape (frames, channels), nominally within [-1, 1]."""


DEFAULT_AUDIO = types.AudioChoice()

STAGE = "media"

BLOCK_SECONDS = 1.0
MIN_SECONDS = 0.1
SILENCE_PEAK = 1e-4
"""-80 dBFS. A recording whose peak is lower is silent."""
RATES = (4_000, 768_000)
"""Hz. A rate outside of this range is a wrong header, and resampling it would exhaust the memory."""
MAX_CHANNELS = 64
"""A full MADI line. More channels are a wrong header."""
MAX_HOURS = 12
"""The mono signal of 12 hours takes 2.8 GB. A small file can contain days of silence."""

_MAX_PLANES = 7
"""PyAV looks for a null after the address of the last plane, and reads invalid memory with eight planes."""

CANCELLED_SHARE = 0.1
"""Energy of the sum of the channels, as a share of the sum of their energies, below which they cancel each other out.
For stereo it is a correlation below -0.9; independent channels have 1, equal ones their number."""
_ALL_FRAMES = 500

_MISSING_SECONDS = 0.5
_MISSING_SHARE = 0.01
"""A file may be shorter than declared by the larger of these two, since encoders round durations."""


def read_recording(
    path: Path, progress: types.Progress = types.no_progress, audio: types.AudioChoice = DEFAULT_AUDIO
) -> types.Recording:
    """Decode a file for analysis: the mean of its channels at ANALYSIS_RATE.

    Channels that cancel each other out (a cable with wrong polarity) are not averaged: the file is decoded again,
    and the loudest of them read. Memory holds the mono signal and a block of the source. ``source_frames`` is the
    number of samples a channel of :meth:`AudioStream.blocks`. Progress: stage "media", in seconds of audio.

    Raises InputError with the codes of open_audio, ``media_too_short`` below 0.1 s, and ``media_silent`` if
    the peak of the mono signal is below -80 dBFS.
    """
    recording, peak, energy = _read(path, progress, audio)
    channel = energy.loudest_of_cancelled
    if channel is not None and audio.channel is None:
        recording, peak, _ = _read(path, progress, replace(audio, channel=channel))
        note = (
            f"the channels of the sound cancel each other out (opposite polarity): only channel {channel + 1} "
            "of them is used as the original"
        )
        recording = replace(recording, notes=(*recording.notes, note))
    if recording.seconds < MIN_SECONDS:
        raise InputError(
            f"{path} is too short ({recording.seconds:.3f} s of audio): at least {MIN_SECONDS} s are needed.",
            code="media_too_short",
        )
    if peak < SILENCE_PEAK:
        raise InputError(
            f"{path} is silent from beginning to end: check that the right track was recorded.",
            code="media_silent",
        )
    return recording


def _read(
    path: Path, progress: types.Progress, audio: types.AudioChoice
) -> tuple[types.Recording, float, _ChannelEnergy]:
    """Return the recording, its peak, and the energy of its channels."""
    signal = _GrowingSignal()
    frames, peak = 0, 0.0
    with open_audio(path, audio) as stream:
        energy = _ChannelEnergy(stream.channels)

        def source_blocks() -> Iterator[Samples]:
            nonlocal frames, peak
            for block in stream.blocks(energy):
                frames += len(block)
                peak = max(peak, float(np.abs(block).max(initial=0.0)))
                seconds = frames / stream.rate
                # A film may have silence that its header does not count.
                total = stream.declared_seconds and max(stream.declared_seconds, seconds)
                progress(types.ProgressEvent(STAGE, seconds, total))
                yield block
            progress(types.ProgressEvent(STAGE, frames / stream.rate, frames / stream.rate))

        for block in resample_blocks(source_blocks(), stream.rate, types.ANALYSIS_RATE):
            signal.append(block)
        recording = types.Recording(
            path=path,
            samples=signal.finish(round(frames * types.ANALYSIS_RATE / stream.rate)),
            source_rate=stream.rate,
            source_frames=frames,
            channels=stream.channels,
            has_video=stream.has_video,
            audio=types.AudioChoice(str(stream.track.number), audio.channel),
            moved_frames=stream.moved_frames,
            notes=stream.notes,
        )
    return recording, peak, energy


def read_spans(
    path: Path, spans: Sequence[types.Span], audio: types.AudioChoice = DEFAULT_AUDIO
) -> list[Samples]:
    """Read spans (start and end in seconds) as mono float32 at the source rate, in the given order.

    The file is read once, up to the last span; memory holds the spans alone. Times are rounded to the nearest
    sample; spans are cut at the end of the file.
    Raises ValueError unless 0 <= start <= end, and InputError as open_audio does.
    """
    for start, end in spans:
        if not 0 <= start <= end:
            raise ValueError(f"not a span of time: {start} to {end} s")
    with open_audio(path, audio) as stream:
        frames = [(round(start * stream.rate), round(end * stream.rate)) for start, end in spans]
        parts: list[list[Samples]] = [[] for _ in spans]
        last = max((end for _, end in frames), default=0)
        position = 0
        for block in stream.blocks():
            for (start, end), found in zip(frames, parts, strict=True):
                # A view would keep the whole block in memory.
                part = block[max(0, start - position) : max(0, end - position)].copy()
                if part.size:
                    found.append(part)
            position += len(block)
            if position >= last:
                break
    return [np.concatenate(found) if found else np.zeros(0, np.float32) for found in parts]


def resample_blocks(blocks: Iterable[Channels], rate: int, target: int) -> Iterator[Channels]:
    """Resample a signal block by block, with the result of resampling it whole (soxr, HQ).

    Blocks have the shape (frames,) or (frames, channels).
    """
    if rate == target:
        yield from blocks
        return
    resampler = block = None
    for block in blocks:
        if resampler is None:
            channels = 1 if block.ndim == 1 else block.shape[1]
            resampler = soxr.ResampleStream(rate, target, channels, dtype="float32")
        yield resampler.resample_chunk(block)
    if resampler is not None and block is not None:
        yield resampler.resample_chunk(block[:0], last=True)


@contextmanager
def open_audio(path: Path, audio: types.AudioChoice = DEFAULT_AUDIO) -> Iterator[AudioStream]:
    """Open an audio track of a media file, so that FFmpeg can reach no other file or address.

    Raises InputError with the codes ``media_missing``, ``media_is_folder``, ``media_not_a_file``,
    ``media_unreadable``, ``media_empty``, ``media_playlist``, ``media_not_media``, ``media_truncated``,
    ``media_no_audio``, ``audio_track``, ``media_codec``, and those of :class:`AudioStream` and its blocks.
    """
    with open_container(path) as container:
        track = choose_track(container, path, audio.track)
        # PyAV has no codec context for a stream without a decoder.
        if track.stream.codec_context is None:
            raise InputError(
                f"{path} has audio in a format that cannot be decoded: convert it to wav first.",
                code="media_codec",
            )
        yield AudioStream(path, container, track, audio.channel)


class AudioStream:
    """An audio track of an open file, whose blocks can be read once; see :func:`open_audio`.

    The blocks of a film are on its time line: the first sample is what a player shows first, silence stands where
    the sound has a hole or the pictures last longer, and sound before the film's start is cut. Those of a file
    without pictures are as decoded.
    """

    def __init__(
        self, path: Path, container: InputContainer, track: AudioTrack, channel: int | None = None
    ) -> None:
        """``channel`` is the only one that :meth:`blocks` reads; None: the mean of all."""
        self._path = path
        self._container = container
        self.track = track
        self._stream = track.stream
        self._channel = channel
        self._pictures = film.picture_streams(container)
        self._shown = film.ShownPictures(film.film_zero(container) if self._pictures else Fraction(0))
        self._last_time = 0.0
        self._packer: AudioResampler | None = None
        self._check_channels(self._stream.codec_context.channels)
        self._frames = self._decode()
        self._first = next(self._frames, None)
        # Not the codec context's rate: that of HE-AAC is half of the decoded rate.
        first = self._first
        self.rate: int = first.sample_rate if first else self._stream.codec_context.sample_rate
        self.channels: int = first.layout.nb_channels if first else self._stream.codec_context.channels
        layout = first.layout if first else self._stream.codec_context.layout
        self.layout: tuple[str, ...] = tuple(channel.name for channel in layout.channels)
        """FFmpeg's names of the channels, such as "FL" and "FR"; other names if the file has none."""
        self._check_rate()
        self.declared_seconds = declared_seconds(path, container, self._stream)
        if (self.declared_seconds or 0) > MAX_HOURS * 3600:
            raise self._too_long(f"lasts {(self.declared_seconds or 0) / 3600:.1f} hours by its header")
        self._clock = self._film_clock() if self._pictures else None

    @property
    def has_video(self) -> bool:
        """Whether the file has video; cover art does not count."""
        return bool(self._pictures)

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences for the user on the track and, after all blocks, on what is silence or cut."""
        return (*self.track.notes, *(self._clock.notes if self._clock else ()))

    @property
    def moved_frames(self) -> int:
        """Samples of silence in the blocks so far that were not decoded, plus decoded ones that were cut."""
        return self._clock.moved if self._clock else 0

    @property
    def tags(self) -> dict[str, str]:
        """The metadata of the stream and the container, with their original names."""
        return {**self._stream.metadata, **self._container.metadata}

    def blocks(self, energy: _ChannelEnergy | None = None) -> Iterator[Samples]:
        """Yield the mean of the channels, or the one to read, float32, in blocks of about a second at ``rate``.

        ``energy`` is given the frames with all their channels. Raises InputError: ``media_truncated`` if the file is
        shorter than its header declares, ``media_too_long`` if it is longer than MAX_HOURS, ``media_not_finite`` for
        NaN or infinite samples, ``media_rate`` if the rate changes.
        """

        def to_mono(frame: AudioFrame) -> Samples:
            if energy is not None:
                energy.add(frame)
            return _to_mono(frame, self._channel)

        return self._blocks(to_mono)

    def channel_blocks(self) -> Iterator[Channels]:
        """Yield blocks as :meth:`blocks` does, of shape (frames, channels).

        In frames with another number of channels than the first, each channel is the mean.
        """
        return self._blocks(lambda frame: _to_channels(frame, self.channels))

    def _blocks(self, convert: Callable[[AudioFrame], NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
        parts: list[NDArray[np.float32]] = []
        buffered = total = 0
        for part in self._parts(convert):
            parts.append(part)
            buffered += len(part)
            if buffered >= BLOCK_SECONDS * self.rate:
                total += buffered
                if total > MAX_HOURS * 3600 * self.rate:
                    raise self._too_long(f"is longer than {MAX_HOURS} hours")
                yield self._checked(np.concatenate(parts))
                parts, buffered = [], 0
        if buffered:
            yield self._checked(np.concatenate(parts))

    def _parts(self, convert: Callable[[AudioFrame], NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
        """Yield the samples of each frame, and silence in parts of at most a second."""

        decoded, shape = 0, (0,)
        frames: Iterable[tuple[int, AudioFrame, int]] = ((0, frame, 0) for frame in self._all_frames())
        if self._clock is not None:
            frames = self._clock.arrange(self._all_frames())
        for silence, frame, cut in frames:
            part = convert(self._interleaved(frame))
            decoded += len(part)
            shape = part.shape[1:]
            yield from self._silence(silence, shape)
            yield part[cut:]
        self._check_length(decoded / self.rate)
        if self._clock is not None and decoded:
            yield from self._silence(self._clock.tail(), shape)

    def _silence(self, samples: int, shape: tuple[int, ...]) -> Iterator[NDArray[np.float32]]:
        while samples > 0:
            part = min(samples, self.rate)
            yield np.zeros((part, *shape), np.float32)
            samples -= part

    def _film_clock(self) -> film.FilmClock:
        longest = MAX_HOURS * 3600.0
        if self._container.duration:
            longest = min(longest, self._container.duration / av.time_base + _MISSING_SECONDS)
        clock_round = float(film.ROUND_SECONDS) if film.is_broadcast(self._container) else math.inf
        return film.FilmClock(self._shown, self.rate, longest, clock_round)

    def _all_frames(self) -> Iterator[AudioFrame]:
        if self._first is not None:
            yield self._first
        self._first = None
        for frame in self._frames:
            if frame.sample_rate != self.rate:
                raise InputError(
                    f"{self._path} changes its sample rate from {self.rate} to {frame.sample_rate} Hz: "
                    "convert it to one rate first.",
                    code="media_rate",
                )
            yield frame

    def _interleaved(self, frame: AudioFrame) -> AudioFrame:
        """Interleave the channels of a frame that has more planes than PyAV can read."""
        if not frame.format.is_planar or frame.layout.nb_channels <= _MAX_PLANES:
            return frame
        if self._packer is None:
            self._packer = av.AudioResampler(frame.format.packed, frame.layout, frame.sample_rate)
        # At the same rate, each frame gives one frame.
        (packed,) = self._packer.resample(frame)
        return packed

    def _decode(self) -> Iterator[AudioFrame]:
        try:
            for packet in self._packets():
                if packet.stream is not self._stream:
                    self._shown.add(packet)
                    continue
                try:
                    frames = typing.cast("list[AudioFrame]", packet.decode())
                except av.error.InvalidDataError:
                    # Broadcasts have damaged packets. _check_length finds greater losses.
                    continue
                for frame in frames:
                    if frame.pts is not None and frame.time_base is not None:
                        start = (frame.pts - (self._stream.start_time or 0)) * frame.time_base
                        self._last_time = float(start) + frame.samples / frame.sample_rate
                    yield frame
        except av.error.FFmpegError as error:
            raise InputError(
                f"{self._path} cannot be decoded ({error.strerror}): create or download the file again, "
                "or convert it to wav first.",
                code="media_damaged",
            ) from error

    def _packets(self) -> Iterator[Packet[Stream]]:
        try:
            yield from self._container.demux(self._stream, *self._pictures)
        except IndexError:
            # PyAV raises it at the end of a broadcast in which streams appeared later.
            return

    def _check_rate(self) -> None:
        if not RATES[0] <= self.rate <= RATES[1]:
            raise InputError(
                f"{self._path} declares a sample rate of {self.rate} Hz, which is out of range: "
                "check how it was made.",
                code="media_rate",
            )

    def _check_channels(self, channels: int) -> None:
        if not 1 <= channels <= MAX_CHANNELS:
            raise InputError(
                f"{self._path} declares a number of channels outside of 1 to {MAX_CHANNELS}: "
                "check how it was made.",
                code="media_channels",
            )

    def _too_long(self, problem: str) -> InputError:
        return InputError(
            f"{self._path} {problem}, and at most {MAX_HOURS} hours can be read: cut it into parts, "
            "or copy it again if it should be shorter.",
            code="media_too_long",
        )

    def _checked(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        if not np.isfinite(block).all():
            raise InputError(
                f"{self._path} has samples that are not numbers (NaN or infinite): export it again.",
                code="media_not_finite",
            )
        return block

    def _check_length(self, decoded_seconds: float) -> None:
        if self.declared_seconds is None:
            return
        # The time stamps count too: a complete recording may have gaps between them.
        missing = self.declared_seconds - max(decoded_seconds, self._last_time)
        if missing > max(_MISSING_SECONDS, _MISSING_SHARE * self.declared_seconds):
            raise InputError(
                f"{self._path} is cut off: its header declares {self.declared_seconds:.1f} s of audio, "
                f"but it has only {decoded_seconds:.1f} s. Copy or download it again.",
                code="media_truncated",
            )


def _to_mono(frame: AudioFrame, channel: int | None = None) -> Samples:
    """Return one channel, or the mean of all, as float32; integer formats are scaled to [-1, 1)."""
    planes = _planes(frame)
    if channel is not None and channel < len(planes):
        planes = planes[channel : channel + 1]
    # A double may be too large for a float; it becomes infinite, which the caller reports.
    with np.errstate(over="ignore", invalid="ignore"):
        channels = planes.astype(np.float32)
        mono: Samples = channels[0] if len(channels) == 1 else channels.mean(axis=0, dtype=np.float32)
    return _scaled(mono, planes.dtype)


def _to_channels(frame: AudioFrame, channels: int) -> Channels:
    """Return the channels as float32, scaled as in ``_to_mono``."""
    if frame.layout.nb_channels != channels:
        return np.repeat(_to_mono(frame)[:, None], channels, axis=1)
    planes = _planes(frame)
    with np.errstate(over="ignore", invalid="ignore"):
        return _scaled(np.ascontiguousarray(planes.T, np.float32), planes.dtype)


def _planes(frame: AudioFrame) -> NDArray[np.generic]:
    """Return samples of shape (channels, frames) in the file's number format."""
    samples: NDArray[np.generic] = frame.to_ndarray()
    return samples if frame.format.is_planar else samples.reshape(-1, frame.layout.nb_channels).T


def _scaled(samples: NDArray[np.float32], source: np.dtype[np.generic]) -> NDArray[np.float32]:
    full_scale = np.float32(2 ** (8 * source.itemsize - 1))
    if source.kind == "u":
        return samples / full_scale - np.float32(1)
    return samples / full_scale if source.kind == "i" else samples


class _ChannelEnergy:
    """The energy of each channel of a file, and of their sum: of its first frames, and of every eighth after them."""

    def __init__(self, channels: int) -> None:
        self._each = np.zeros(channels)
        self._sum = 0.0
        self._frames = 0

    def add(self, frame: AudioFrame) -> None:
        """Add a frame; those with another number of channels do not count."""
        self._frames += 1
        is_skipped = self._frames > _ALL_FRAMES and self._frames % 8
        if is_skipped or len(self._each) == 1 or frame.layout.nb_channels != len(self._each):
            return
        planes = _planes(frame)
        with np.errstate(over="ignore", invalid="ignore"):
            samples = _scaled(planes.astype(np.float32), planes.dtype)
            if np.isfinite(samples).all():
                self._each += np.einsum("cf,cf->c", samples, samples)
                total = samples.sum(axis=0)
                self._sum += float(total @ total)

    @property
    def loudest_of_cancelled(self) -> int | None:
        """The loudest channel where their sum is far weaker than independent channels would make it; else None."""
        if not self._sum < CANCELLED_SHARE * self._each.sum():
            return None
        return int(self._each.argmax())


class _GrowingSignal:
    """A signal of unknown length in one array that is grown in place, without a second copy in memory."""

    def __init__(self) -> None:
        self._array = np.zeros(60 * types.ANALYSIS_RATE, np.float32)
        self._length = 0

    def append(self, block: Samples) -> None:
        """Append a block."""
        needed = self._length + len(block)
        if needed > len(self._array):
            # refcheck looks for views of the array; this class returns none before the end.
            self._array.resize(needed + needed // 16, refcheck=False)
        self._array[self._length : needed] = block
        self._length = needed

    def finish(self, length: int) -> Samples:
        """Return the signal, cut or padded by the few samples that the resampler's rounding leaves."""
        self._array[self._length :] = 0
        self._array.resize(length, refcheck=False)
        return self._array
