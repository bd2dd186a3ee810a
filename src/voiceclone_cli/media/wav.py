"""Mono 16-bit wav files, written front to back.

Our own writer because the length is known before: no header has to be mended afterwards, and a full disk
is an OSError at the very write that met it (libsndfile answers with a short count).
"""

from __future__ import annotations

import struct
import typing
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

if typing.TYPE_CHECKING:
    from typing import BinaryIO

    import numpy as np
    from numpy.typing import NDArray

_RIFF_LIMIT = 2**32 - 4096
"""Bytes. A wav counts in 32 bits; RF64 (EBU Tech 3306) is the same file with a chunk of 64-bit sizes."""


class WavWriter:
    """Takes the blocks of one file. Made by :func:`open_wav`."""

    def __init__(self, file: BinaryIO, frames: int) -> None:
        self._file = file
        self._missing = frames

    def write(self, pcm: NDArray[np.int16]) -> None:
        self._missing -= len(pcm)
        self._file.write(pcm.astype("<i2").tobytes())

    def finish(self) -> None:
        """Raises ValueError unless exactly the promised frames were written."""
        if self._missing:
            raise ValueError(f"a wav misses {self._missing} of its frames")


@contextmanager
def open_wav(path: Path, rate: int, frames: int) -> Iterator[WavWriter]:
    """A wav of exactly ``frames`` samples at ``rate`` Hz, to be written block by block."""
    with path.open("wb") as file:
        file.write(wav_header(rate, frames))
        writer = WavWriter(file, frames)
        yield writer
        writer.finish()


def wav_header(rate: int, frames: int) -> bytes:
    """Everything before the samples; RF64 where the file passes 4 GB."""
    size = 2 * frames
    channels, width = 1, 2
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, channels, rate, rate * width, width, 8 * width)
    if size <= _RIFF_LIMIT:
        data = struct.pack("<4sI", b"data", size)
        return struct.pack("<4sI4s", b"RIFF", 4 + len(form) + len(data) + size, b"WAVE") + form + data
    unknown = 0xFFFF_FFFF
    data = struct.pack("<4sI", b"data", unknown)
    long_sizes = struct.calcsize("<4sIQQQI")
    whole = 4 + long_sizes + len(form) + len(data) + size
    sizes = struct.pack("<4sIQQQI", b"ds64", long_sizes - 8, whole, size, frames, 0)
    return struct.pack("<4sI4s", b"RF64", unknown, b"WAVE") + sizes + form + data


def to_pcm16(samples: NDArray[np.floating]) -> NDArray[np.int16]:
    """Nearest 16-bit values of [-1, 1): the inverse of reading them, so a round trip changes no bit."""
    import numpy as np

    pcm: NDArray[np.int16] = np.clip(np.rint(samples * 32768.0), -32768, 32767).astype(np.int16)
    return pcm
