"""The sound of the input as a file of its own, for a report to play from the run directory."""

from __future__ import annotations

import hashlib
import struct
import typing
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType

from voiceclone_cli.audio.reader import open_audio, resample_blocks
from voiceclone_cli.files import friendly_errors
from voiceclone_cli.types import Progress, ProgressEvent, no_progress
from voiceclone_worker.atomic import atomic_path

if typing.TYPE_CHECKING:
    from typing import BinaryIO

    import numpy as np
    from av import AudioStream
    from av.packet import Packet
    from av.stream import Stream
    from numpy.typing import NDArray

    from voiceclone_cli.types import Samples


# 16-bit wav files of any number of channels, written front to back.
#
# Our own writer because the length is known before: no header has to be mended afterwards, and a full disk
# is an OSError at the very write that met it (libsndfile answers with a short count).


NO_INFO: Mapping[str, str] = MappingProxyType({})

_RIFF_LIMIT = 2**32 - 4096
"""Bytes. A wav counts in 32 bits; RF64 (EBU Tech 3306) is the same file with a chunk of 64-bit sizes."""

_PCM, _EXTENSIBLE = 1, 0xFFFE
_PCM_GUID = bytes.fromhex("0100000000001000800000aa00389b71")
"""How an extensible header names 16-bit integers (KSDATAFORMAT_SUBTYPE_PCM)."""


class WavWriter:
    """Takes the blocks of one file. Made by :func:`open_wav`."""

    def __init__(self, file: BinaryIO, header: bytes, frames: int, channels: int) -> None:
        self._file = file
        self._missing = frames
        self._channels = channels
        self._hash = hashlib.sha256()
        self._put(header)

    def write(self, pcm: NDArray[np.int16]) -> None:
        """Shape (frames,) for one channel, (frames, channels) for any number."""
        if pcm.size != len(pcm) * self._channels:
            raise ValueError(f"a wav of {self._channels} channels was given a block of shape {pcm.shape}")
        self._missing -= len(pcm)
        self._put(pcm.astype("<i2").tobytes())

    def finish(self) -> None:
        """Raises ValueError unless exactly the promised frames were written."""
        if self._missing:
            raise ValueError(f"a wav misses {self._missing} of its frames")

    @property
    def sha256(self) -> str:
        """Of the file as far as it is written, header and all."""
        return self._hash.hexdigest()

    def _put(self, data: bytes) -> None:
        self._file.write(data)
        self._hash.update(data)


@contextmanager
def open_wav(
    path: Path,
    rate: int,
    frames: int,
    channels: int = 1,
    mask: int = 0,
    info: Mapping[str, str] = NO_INFO,
) -> Iterator[WavWriter]:
    """A wav of exactly ``frames`` samples a channel at ``rate`` Hz, to be written block by block.

    ``mask`` says where the loudspeakers of more than two channels stand (bits of WAVEFORMATEXTENSIBLE, 0 where
    nobody knows); ``info`` are the texts of a LIST INFO chunk by their identifiers, such as ``ISFT``.
    """
    with path.open("wb") as file:
        writer = WavWriter(file, wav_header(rate, frames, channels, mask, info), frames, channels)
        yield writer
        writer.finish()


def write_wav(path: Path, samples: Samples, rate: int) -> None:
    """Write a mono 16-bit wav, whole or not at all. A signal past full scale is turned down to it.

    Raises ValueError for samples that are not finite and RunError (atomic.write_error).
    """
    import numpy as np

    peak = float(np.abs(samples).max(initial=0.0))
    if not np.isfinite(samples).all():
        raise ValueError(f"samples for {path} are not finite")
    with (
        friendly_errors(path.parent),
        atomic_path(path) as temporary,
        open_wav(temporary, rate, len(samples)) as file,
    ):
        file.write(to_pcm16(samples / max(1.0, peak)))


def wav_header(rate: int, frames: int, channels: int, mask: int, info: Mapping[str, str]) -> bytes:
    """Everything before the samples; RF64 where the file passes 4 GB."""
    size = 2 * frames * channels
    before = _format_chunk(rate, channels, mask) + _info_chunk(info)
    if size <= _RIFF_LIMIT:
        data = struct.pack("<4sI", b"data", size)
        return struct.pack("<4sI4s", b"RIFF", 4 + len(before) + len(data) + size, b"WAVE") + before + data
    unknown = 0xFFFF_FFFF
    data = struct.pack("<4sI", b"data", unknown)
    long_sizes = struct.calcsize("<4sIQQQI")
    whole = 4 + long_sizes + len(before) + len(data) + size
    sizes = struct.pack("<4sIQQQI", b"ds64", long_sizes - 8, whole, size, frames, 0)
    return struct.pack("<4sI4s", b"RF64", unknown, b"WAVE") + sizes + before + data


def to_pcm16(samples: NDArray[np.floating]) -> NDArray[np.int16]:
    """Nearest 16-bit values of [-1, 1): the inverse of reading them, so a round trip changes no bit."""
    import numpy as np

    pcm: NDArray[np.int16] = np.clip(np.rint(samples * 32768.0), -32768, 32767).astype(np.int16)
    return pcm


def _format_chunk(rate: int, channels: int, mask: int) -> bytes:
    width = 2 * channels
    kind = _PCM if channels <= 2 else _EXTENSIBLE
    plain = struct.pack("<HHIIHH", kind, channels, rate, rate * width, width, 16)
    if kind == _EXTENSIBLE:
        plain += struct.pack("<HHI", 22, 16, mask) + _PCM_GUID
    return struct.pack("<4sI", b"fmt ", len(plain)) + plain


def _info_chunk(info: Mapping[str, str]) -> bytes:
    """The texts, each ended by a null and padded to an even length; nothing where there are none."""
    texts = b""
    for name, text in info.items():
        identifier = name.encode("ascii")
        if len(identifier) != 4:
            raise ValueError(f"an identifier of a LIST INFO chunk has four letters, not {name!r}")
        value = text.encode("utf-8") + b"\0"
        texts += struct.pack("<4sI", identifier, len(value)) + value + b"\0" * (len(value) % 2)
    return struct.pack("<4sI4s", b"LIST", 4 + len(texts), b"INFO") + texts if texts else b""


STAGE = "original"
VERSION = 1
"""To be counted up when the same input gives another file."""

_OTHERWISE_RATE = 48_000


def write_original(source: Path, out: Path, progress: Progress = no_progress) -> Path:
    """Write the first audio stream of ``source`` as mono 16-bit FLAC at its own rate.

    Sample for sample what media.read_recording hears before it resamples: the mean of the channels, from the same
    first sample to the same last. What passes full scale is clipped. Streamed in blocks of a second.

    Progress: stage "original", in seconds. Raises InputError as opening.open_audio does, and RunError
    (atomic.write_error).
    """
    import av

    with (
        open_audio(source) as stream,
        friendly_errors(out.parent),
        atomic_path(out) as temporary,
        av.open(f"file:{temporary.absolute()}", "w", format="flac") as container,
    ):
        rate = stream.rate if fits_flac(stream.rate) else _OTHERWISE_RATE
        track = container.add_stream("flac", rate=rate, layout="mono")
        position = 0
        for block in resample_blocks(stream.blocks(), stream.rate, rate):
            if len(block):
                container.mux(_encoded(track, block, rate, position))
            position += len(block)
            progress(ProgressEvent(STAGE, position / rate, stream.promised_seconds))
        container.mux(track.encode(None))
    progress(ProgressEvent(STAGE, position / rate, position / rate))
    return out


def fits_flac(rate: int) -> bool:
    """Whether FLAC has a place for this rate in Hz (RFC 9639, 9.1.2). Those that it has not are nobody's."""
    return rate < 2**16 or (rate % 10 == 0 and rate // 10 < 2**16)


def _encoded(track: AudioStream, block: Samples, rate: int, position: int) -> list[Packet[Stream]]:
    import av

    frame = av.AudioFrame.from_ndarray(to_pcm16(block)[None, :], format="s16", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = rate, position, Fraction(1, rate)
    return track.encode(frame)
