"""Any audio or video file as a stream of mono blocks, through FFmpeg's libraries (PyAV)."""

from __future__ import annotations

import typing
from collections.abc import Iterator
from pathlib import Path

from voiceclone_cli.errors import InputError
from voiceclone_cli.media.promise import promised_seconds

if typing.TYPE_CHECKING:
    import numpy as np
    from av import AudioFrame, Packet
    from av import AudioStream as Source
    from av.container import InputContainer
    from numpy.typing import NDArray

    from voiceclone_cli.types import Samples

BLOCK_SECONDS = 1.0
RATES = (4_000, 768_000)
"""Hz. Outside of it a header lies, and resampling would fill the memory."""
MOST_CHANNELS = 64
"""A full MADI line. More is a header that lies."""
MOST_HOURS = 12
"""The mono signal of so long a recording takes 2.8 GB. Small files can hold days of silence."""

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
        self._check_channels(self._stream.codec_context.channels)
        self._frames = self._decode()
        self._first = next(self._frames, None)
        # The codec's own word is not enough: HE-AAC announces half of the rate that it decodes to.
        first = self._first
        self.rate: int = first.sample_rate if first else self._stream.codec_context.sample_rate
        self.channels: int = first.layout.nb_channels if first else self._stream.codec_context.channels
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

    def blocks(self) -> Iterator[Samples]:
        """The mean of the channels, float32, in blocks of about a second at ``rate``.

        Raises InputError: ``media_truncated`` when the file ends before its header's promise,
        ``media_too_long`` when it goes on past MOST_HOURS whatever its header says, ``media_not_finite``
        for NaN or infinite samples, ``media_rate`` when the rate changes midway.
        """
        import numpy as np

        parts: list[Samples] = []
        held = decoded = 0
        for frame in self._all_frames():
            part = _mono(frame)
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

    def _checked(self, block: Samples) -> Samples:
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

    samples: NDArray[np.generic] = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    # A double may be too large for a float: it becomes infinite, which the caller reports.
    with np.errstate(over="ignore", invalid="ignore"):
        channels = samples.astype(np.float32)
        mono: Samples = channels[0] if len(channels) == 1 else channels.mean(axis=0, dtype=np.float32)
    full_scale = np.float32(2 ** (8 * samples.dtype.itemsize - 1))
    if samples.dtype.kind == "u":
        return mono / full_scale - np.float32(1)
    if samples.dtype.kind == "i":
        return mono / full_scale
    return mono
