"""What FFmpeg's libraries may make of a stranger's file: a recording, and nothing that leads elsewhere."""

from __future__ import annotations

import math
import struct
import typing
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

if typing.TYPE_CHECKING:
    from av.container import InputContainer


CONTAINERS = (
    "mov,matroska,avi,asf,flv,live_flv,mpeg,mpegts,mxf,gxf,wtv,dv,rm,nut,"
    "wav,w64,aiff,caf,au,flac,mp3,aac,loas,ogg,ac3,eac3,dts,dtshd,"
    "truehd,mlp,ape,tak,tta,wv,mpc,mpc8,dsf,iff,oma,nistsphere,voc,sox,"
    "ircam,avr,pvf,amr,amrnb,amrwb,qcp,gsm,g722,alaw,mulaw,sln,sbc"
)
"""FFmpeg's names of the formats that recordings come in ("mov" is mp4 and m4a as well).

It knows some three hundred more: playlists and descriptions, which open other files and addresses
(hls, concat, dash, sdp), pictures, subtitles, and the formats of old games.
"""

_PLAYLISTS = {
    b"#EXTM3U": "an M3U playlist",
    b"[playlist]": "a PLS playlist",
    b"ffconcat": "a list of files (ffconcat)",
    b"v=0": "the description of a broadcast (SDP)",
    b"<?xml": "an XML file, perhaps a playlist",
    b"http://": "an address in a file",
    b"https://": "an address in a file",
    b"rtsp://": "an address in a file",
}

_HEADS = {
    b"RIFF": "a wav or avi file",
    b"RF64": "a wav file",
    b"FORM": "an AIFF file",
    b".snd": "an AU file",
    b"caff": "a CAF file",
    b"fLaC": "a FLAC file",
    b"OggS": "an Ogg file",
    b"\x1a\x45\xdf\xa3": "a Matroska or WebM file",
}


def open_options() -> dict[str, str]:
    """FFmpeg's options for opening a file.

    No network, none but the containers above, and no decoder but those of audio: whoever looks into a
    video would otherwise have its first pictures decoded, however large they say they are.
    """
    return {
        "protocol_whitelist": "file",
        "format_whitelist": CONTAINERS,
        "codec_whitelist": _audio_decoders(),
    }


def looks_like(head: bytes) -> str | None:
    """The media file that these first bytes begin ("a FLAC file"), whether or not the rest can be read."""
    return "an MP4 file" if head[4:8] == b"ftyp" else _HEADS.get(head[:4])


def playlist_kind(head: bytes) -> str | None:
    """What these first bytes begin when it only tells where a recording is."""
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    return next((kind for mark, kind in _PLAYLISTS.items() if text.startswith(mark)), None)


@cache
def _audio_decoders() -> str:
    import av

    names = set()
    for name in av.codecs_available:
        try:
            codec = av.Codec(name, "r")
        except av.codec.codec.UnknownCodecError:
            # An encoder that has no decoder.
            continue
        if codec.type == "audio":
            names.add(codec.name)
    return ",".join(sorted(names))


# Which loudspeaker each channel of a file is for.


MOST_CHANNELS = 8
"""A recording of more is a mixing desk's, and no mix for listeners is made in its image."""

_BITS = {
    **{"FL": 1 << 0, "FR": 1 << 1, "FC": 1 << 2, "LFE": 1 << 3, "BL": 1 << 4, "BR": 1 << 5},
    **{"FLC": 1 << 6, "FRC": 1 << 7, "BC": 1 << 8, "SL": 1 << 9, "SR": 1 << 10, "TC": 1 << 11},
    **{"TFL": 1 << 12, "TFC": 1 << 13, "TFR": 1 << 14, "TBL": 1 << 15, "TBC": 1 << 16, "TBR": 1 << 17},
}
"""Of WAVEFORMATEXTENSIBLE's channel mask, by FFmpeg's names."""

_BASS = frozenset({"LFE", "LFE2"})

_PAIRS = (("FL", "FR"), ("SL", "SR"), ("BL", "BR"), ("FLC", "FRC"), ("TFL", "TFR"), ("TBL", "TBR"))


@dataclass(frozen=True, slots=True)
class Layout:
    """The channels of a file in their order, by FFmpeg's names; any other name where nobody knows."""

    names: tuple[str, ...]

    @classmethod
    def of(cls, names: tuple[str, ...]) -> Layout:
        """One or two channels of which a file says nothing are mono and stereo."""
        unknown = not any(name in _BITS for name in names)
        usual = {1: ("FC",), 2: ("FL", "FR")}.get(len(names), names)
        return cls(usual if unknown else names)

    @property
    def channels(self) -> int:
        return len(self.names)

    @property
    def mask(self) -> int:
        """For a wav header; 0 where the channels are unknown, or in an order that a mask cannot tell."""
        bits = [_BITS.get(name, 0) for name in self.names]
        known = all(bits) and all(left < right for left, right in pairwise(bits))
        return sum(bits) if known else 0

    @property
    def voiced(self) -> tuple[int, ...]:
        """The channels in which somebody may speak: all but those for bass."""
        return tuple(index for index, name in enumerate(self.names) if name not in _BASS)

    @property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """The voiced channels: left and right together, others alone."""
        where = {name: index for index, name in enumerate(self.names)}
        pairs = [(where[a], where[b]) for a, b in _PAIRS if a in where and b in where]
        paired = {index for pair in pairs for index in pair}
        return (*pairs, *((index,) for index in self.voiced if index not in paired))


MONO = Layout(("FC",))


# How much audio a file's own header promises, so that a file that was cut off can be told from a short one.
#
# FFmpeg's libraries answer with an estimate where a header says nothing, and with the file's size where a
# wav header says more than there is. Neither is a promise, so only what a header really states counts here.


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
