"""Writing of audio: 16-bit wav files, block by block, and the audio of a recording as FLAC."""

from __future__ import annotations

import hashlib
import struct
import typing
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType

import av
import numpy as np
from av import AudioStream
from av.packet import Packet
from av.stream import Stream
from numpy.typing import NDArray

from voiceclone_cli.audio.dsp import Samples
from voiceclone_cli.audio.reader import DEFAULT_AUDIO, open_audio, resample_blocks
from voiceclone_cli.files import friendly_errors
from voiceclone_cli.types import AudioChoice, Progress, ProgressEvent, no_progress
from voiceclone_worker.atomic import atomic_path

if typing.TYPE_CHECKING:
    from typing import BinaryIO


NO_INFO: Mapping[str, str] = MappingProxyType({})

_RIFF_LIMIT = 2**32 - 4096
"""Bytes. The sizes in a wav have 32 bits; RF64 (EBU Tech 3306) adds a chunk of 64-bit sizes."""

_PCM, _EXTENSIBLE = 1, 0xFFFE
_PCM_GUID = bytes.fromhex("0100000000001000800000aa00389b71")
"""The sample format of an extensible header (KSDATAFORMAT_SUBTYPE_PCM)."""

STAGE = "original"
VERSION = 1
"""Increase this when the same input gives another file."""

_FALLBACK_FLAC_RATE = 48_000


class WavWriter:
    """A 16-bit wav file of known length that is written block by block; see :func:`open_wav`.

    Not libsndfile: with the length known in advance, the header is never rewritten, and a full disk raises
    OSError at the write that fails, where libsndfile returns a short count.
    """

    def __init__(self, file: BinaryIO, header: bytes, frames: int, channels: int) -> None:
        self._file = file
        self._missing = frames
        self._channels = channels
        self._hash = hashlib.sha256()
        self._put(header)

    def write(self, pcm: NDArray[np.int16]) -> None:
        """Write a block of shape (frames, channels), or (frames,) for one channel."""
        if pcm.size != len(pcm) * self._channels:
            raise ValueError(f"block of shape {pcm.shape} for a wav of {self._channels} channels")
        self._missing -= len(pcm)
        self._put(pcm.astype("<i2").tobytes())

    def finish(self) -> None:
        """Check that all frames were written. Raises ValueError for too few or too many."""
        if self._missing:
            raise ValueError(f"{self._missing} frames of the wav are missing")

    @property
    def sha256(self) -> str:
        """The SHA-256 of what was written so far, including the header."""
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
    """Open a wav of exactly ``frames`` samples a channel at ``rate`` Hz for writing.

    ``mask`` is the channel mask of WAVEFORMATEXTENSIBLE for more than two channels (0: unknown); ``info``
    maps identifiers of a LIST INFO chunk, such as ``ISFT``, to texts. Raises ValueError at the end unless
    exactly ``frames`` were written.
    """
    with path.open("wb") as file:
        writer = WavWriter(file, wav_header(rate, frames, channels, mask, info), frames, channels)
        yield writer
        writer.finish()


def write_wav(path: Path, samples: Samples, rate: int) -> None:
    """Write a mono 16-bit wav atomically; a signal above full scale is attenuated to full scale.

    Raises ValueError for samples that are not finite, and RunError if the file cannot be written.
    """
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
    """Return the bytes before the samples; RF64 for a file above 4 GB."""
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
    """Round samples in [-1, 1) to 16 bits; the inverse of reading them, to the bit."""
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
    """Return a LIST INFO chunk of null-terminated texts, padded to even lengths; empty without texts."""
    texts = b""
    for name, text in info.items():
        identifier = name.encode("ascii")
        if len(identifier) != 4:
            raise ValueError(f"identifier {name!r} of a LIST INFO chunk does not have four letters")
        value = text.encode("utf-8") + b"\0"
        texts += struct.pack("<4sI", identifier, len(value)) + value + b"\0" * (len(value) % 2)
    return struct.pack("<4sI4s", b"LIST", 4 + len(texts), b"INFO") + texts if texts else b""


def write_original(
    source: Path, out: Path, progress: Progress = no_progress, audio: AudioChoice = DEFAULT_AUDIO
) -> Path:
    """Write the audio of ``source`` as mono 16-bit FLAC at its own rate.

    The samples are those that read_recording decodes before resampling: of a film, from its start; the mean of the
    channels, clipped at full scale. A rate that FLAC does not support becomes 48 kHz. Streamed in blocks of a second.

    Progress: stage "original", in seconds. Raises InputError as open_audio does, and RunError if the file
    cannot be written.
    """
    with (
        open_audio(source, audio) as stream,
        friendly_errors(out.parent),
        atomic_path(out) as temporary,
        av.open(f"file:{temporary.absolute()}", "w", format="flac") as container,
    ):
        rate = stream.rate if fits_flac(stream.rate) else _FALLBACK_FLAC_RATE
        track = container.add_stream("flac", rate=rate, layout="mono")
        position = 0
        for block in resample_blocks(stream.blocks(), stream.rate, rate):
            if len(block):
                container.mux(_encode(track, block, rate, position))
            position += len(block)
            progress(ProgressEvent(STAGE, position / rate, stream.declared_seconds))
        container.mux(track.encode(None))
    progress(ProgressEvent(STAGE, position / rate, position / rate))
    return out


def fits_flac(rate: int) -> bool:
    """Tell whether FLAC can store this rate in Hz (RFC 9639, 9.1.2)."""
    return rate < 2**16 or (rate % 10 == 0 and rate // 10 < 2**16)


def _encode(track: AudioStream, block: Samples, rate: int, position: int) -> list[Packet[Stream]]:
    frame = av.AudioFrame.from_ndarray(to_pcm16(block)[None, :], format="s16", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = rate, position, Fraction(1, rate)
    return track.encode(frame)
