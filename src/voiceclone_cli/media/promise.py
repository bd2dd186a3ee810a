"""How much audio a file's own header promises, so that a file that was cut off can be told from a short one.

FFmpeg's libraries answer with an estimate where a header says nothing, and with the file's size where a
wav header says more than there is. Neither is a promise, so only what a header really states counts here.
"""

from __future__ import annotations

import math
import struct
import typing
from pathlib import Path

if typing.TYPE_CHECKING:
    from av.container import InputContainer

_STATED_BY_HEADER = frozenset({"flac", "mov", "matroska", "aiff", "au", "mp3"})
"""FFmpeg's names of the formats whose stream duration is a statement ("mov" is mp4 and m4a as well)."""

_UNKNOWN_SIZES = ((0, 0), (0x7FFF_F000 - 64, 0x8000_0000), (0xFFFF_F000, 0xFFFF_FFFF))
"""What programs that write to a pipe put where the size of a wav's data belongs (first, last)."""

_MOST_CHUNKS = 1000
"""Before the data of a wav. A file that is chunks from end to end would be read for minutes."""


def promised_seconds(path: Path, container: InputContainer) -> float | None:
    """Seconds of audio that the header promises; None where it says nothing that can be relied on."""
    formats = set(container.format.name.split(","))
    stream = container.streams.audio[0]
    if "wav" in formats:
        return _wav_seconds(path)
    if "matroska" in formats:
        if "DURATION" in stream.metadata:
            end = _clock_seconds(stream.metadata["DURATION"])
            # The tag gives the time of the end, and a track may begin late.
            return None if end is None else end - float((stream.start_time or 0) * (stream.time_base or 0))
        # Without that tag FFmpeg hands every stream the whole file's length, which is the longest stream's.
        if len(container.streams) > 1:
            return None
    if "mp3" in formats and not _mp3_counts_its_frames(path):
        return None
    if formats.isdisjoint(_STATED_BY_HEADER) or stream.duration is None or stream.time_base is None:
        return None
    return float(stream.duration * stream.time_base)


def _wav_seconds(path: Path) -> float | None:
    """Length by the size in the ``data`` chunk (RF64: in ``ds64``) and the bytes a second of ``fmt``."""
    bytes_per_second = long_size = 0
    with path.open("rb") as file:
        file.seek(12)
        for _ in range(_MOST_CHUNKS):
            header = file.read(8)
            if len(header) < 8:
                return None
            name, size = struct.unpack("<4sI", header)
            if name == b"data":
                size = long_size or size
                known = not any(first <= size <= last for first, last in _UNKNOWN_SIZES)
                return size / bytes_per_second if known and bytes_per_second else None
            body = file.read(min(size, 16))
            if name == b"fmt " and len(body) == 16:
                (bytes_per_second,) = struct.unpack_from("<I", body, 8)
            if name == b"ds64" and len(body) == 16:
                (long_size,) = struct.unpack_from("<Q", body, 8)
            # Chunks start at even offsets.
            file.seek(size + size % 2 - len(body), 1)
    return None


def _mp3_counts_its_frames(path: Path) -> bool:
    """Whether the first MPEG frame holds the encoder's frame count (a "Xing" or "Info" tag)."""
    with path.open("rb") as file:
        head = file.read(10)
        if head[:3] == b"ID3" and len(head) == 10:
            # An ID3v2 tag's size is written in seven bits of each byte.
            a, b, c, d = head[6:]
            file.seek(10 + (a << 21 | b << 14 | c << 7 | d))
        else:
            file.seek(0)
        first_frame = file.read(256)
    return b"Xing" in first_frame or b"Info" in first_frame


def _clock_seconds(text: str) -> float | None:
    """Seconds of Matroska's "00:00:30.021000000"."""
    try:
        hours, minutes, seconds = text.split(":")
        clock = int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    except (ValueError, OverflowError):
        return None
    return clock if math.isfinite(clock) else None
