"""Containers that may be opened, channel layouts, and the length of audio that a file's header declares.

Media files are untrusted: FFmpeg must neither follow playlists to other files or addresses nor decode
pictures.
"""

from __future__ import annotations

import math
import os
import stat
import struct
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

import av
from av import AudioStream
from av.container import InputContainer

from voiceclone_cli.errors import InputError

_HEAD_BYTES = 64
"""Bytes that identify the kind of a file."""

CONTAINERS = (
    "mov,matroska,avi,asf,flv,live_flv,mpeg,mpegts,mxf,gxf,wtv,dv,rm,nut,"
    "wav,w64,aiff,caf,au,flac,mp3,aac,loas,ogg,ac3,eac3,dts,dtshd,"
    "truehd,mlp,ape,tak,tta,wv,mpc,mpc8,dsf,iff,oma,nistsphere,voc,sox,"
    "ircam,avr,pvf,amr,amrnb,amrwb,qcp,gsm,g722,alaw,mulaw,sln,sbc"
)
"""FFmpeg's names of the containers that recordings come in ("mov" includes mp4 and m4a).

FFmpeg supports some three hundred more: playlists, which open other files and addresses (hls, concat, dash,
sdp), pictures, subtitles, and the formats of old games.
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
    """Return FFmpeg's options for opening an untrusted file.

    They allow no network, only the containers above, and only audio decoders: probing a video would
    otherwise decode its first pictures, whatever size they declare.
    """
    return {
        "protocol_whitelist": "file",
        "format_whitelist": CONTAINERS,
        "codec_whitelist": _audio_decoders(),
    }


def open_container(path: Path) -> InputContainer:
    """Open a media file, so that FFmpeg can reach no other file or address.

    Raises InputError with the codes ``media_missing``, ``media_is_folder``, ``media_not_a_file``,
    ``media_unreadable``, ``media_empty``, ``media_playlist``, ``media_not_media``, ``media_truncated``.
    """
    head = _read_head(path)
    playlist = playlist_kind(head)
    if playlist is not None:
        raise InputError(
            f"{path} is {playlist}, not a recording, and its entries are not opened: "
            "save the recording to a file and give that.",
            code="media_playlist",
        )
    try:
        # With "file:", no name is taken for an address.
        return av.open(f"file:{os.path.abspath(path)}", metadata_errors="ignore", options=open_options())
    except av.error.FFmpegError as error:
        kind = looks_like(head)
        if kind is None and _is_text(head):
            raise InputError(
                f"{path} holds text, and no sound: name the recording, and give a script with --script.",
                code="media_not_media",
            ) from error
        if kind is None:
            raise InputError(
                f"{path} is not an audio or video file that can be read: if it is a recording, export it again as wav.",
                code="media_not_media",
            ) from error
        raise InputError(
            f"{path} begins like {kind} but is cut off or damaged: copy or download it again.",
            code="media_truncated",
        ) from error


def _read_head(path: Path) -> bytes:
    """Read the first bytes of a regular file."""
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
            head = file.read(_HEAD_BYTES)
    except (FileNotFoundError, ValueError) as error:
        # ValueError: the name contains a null character.
        raise InputError(f"{path} does not exist: check the path.", code="media_missing") from error
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror or error}): check the path and its permissions.",
            code="media_unreadable",
        ) from error
    if not head:
        raise InputError(f"{path} is empty: copy or download it again.", code="media_empty")
    return head


def looks_like(head: bytes) -> str | None:
    """Name the kind of media file that begins with these bytes ("a FLAC file"), readable or not."""
    return "an MP4 file" if head[4:8] == b"ftyp" else _HEADS.get(head[:4])


def _is_text(head: bytes) -> bool:
    try:
        text = head[:1024].decode("utf-8")
    except UnicodeDecodeError as error:
        text = "\0" if error.start < len(head[:1024]) - 3 else head[: error.start].decode("utf-8")
    return bool(text) and all(character.isprintable() or character.isspace() for character in text)


def playlist_kind(head: bytes) -> str | None:
    """Name the kind of playlist that begins with these bytes; None for any other file."""
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    return next((kind for mark, kind in _PLAYLISTS.items() if text.startswith(mark)), None)


@cache
def _audio_decoders() -> str:
    names = set()
    for name in av.codecs_available:
        try:
            codec = av.Codec(name, "r")
        except av.codec.codec.UnknownCodecError:
            # Only an encoder has this name.
            continue
        if codec.type == "audio":
            names.add(codec.name)
    return ",".join(sorted(names))


MAX_MIX_CHANNELS = 8
"""Recordings with more channels are multitrack recordings; their mix is mono."""

_BITS = {
    **{"FL": 1 << 0, "FR": 1 << 1, "FC": 1 << 2, "LFE": 1 << 3, "BL": 1 << 4, "BR": 1 << 5},
    **{"FLC": 1 << 6, "FRC": 1 << 7, "BC": 1 << 8, "SL": 1 << 9, "SR": 1 << 10, "TC": 1 << 11},
    **{"TFL": 1 << 12, "TFC": 1 << 13, "TFR": 1 << 14, "TBL": 1 << 15, "TBC": 1 << 16, "TBR": 1 << 17},
}
"""Bits of WAVEFORMATEXTENSIBLE's channel mask by FFmpeg's names of channels."""

_BASS = frozenset({"LFE", "LFE2"})

_PAIRS = (("FL", "FR"), ("SL", "SR"), ("BL", "BR"), ("FLC", "FRC"), ("TFL", "TFR"), ("TBL", "TBR"))


@dataclass(frozen=True, slots=True)
class Layout:
    """The channels of a file in order, by FFmpeg's names (any other name for an unknown channel)."""

    names: tuple[str, ...]

    @classmethod
    def of(cls, names: tuple[str, ...]) -> Layout:
        """Return the layout of these channels; one or two unknown channels become mono and stereo."""
        unknown = not any(name in _BITS for name in names)
        default = {1: ("FC",), 2: ("FL", "FR")}.get(len(names), names)
        return cls(default if unknown else names)

    @property
    def channels(self) -> int:
        """The number of channels."""
        return len(self.names)

    @property
    def mask(self) -> int:
        """The channel mask of a wav header; 0 if channels are unknown or not in the order of the mask."""
        bits = [_BITS.get(name, 0) for name in self.names]
        known = all(bits) and all(left < right for left, right in pairwise(bits))
        return sum(bits) if known else 0

    @property
    def speech_channels(self) -> tuple[int, ...]:
        """The channels that may hold speech: all except the low-frequency ones."""
        return tuple(index for index, name in enumerate(self.names) if name not in _BASS)

    @property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """The speech channels: left and right as pairs, the others alone."""
        indices = {name: index for index, name in enumerate(self.names)}
        pairs = [(indices[a], indices[b]) for a, b in _PAIRS if a in indices and b in indices]
        paired = {index for pair in pairs for index in pair}
        return (*pairs, *((index,) for index in self.speech_channels if index not in paired))


MONO = Layout(("FC",))


_EXACT_DURATIONS = frozenset({"flac", "mov", "matroska", "aiff", "au", "mp3"})
"""FFmpeg's names of the containers whose stream duration is in the header ("mov" includes mp4 and m4a)."""

_UNKNOWN_SIZES = ((0, 0), (0x7FFF_F000 - 64, 0x8000_0000), (0xFFFF_F000, 0xFFFF_FFFF))
"""Placeholders (first, last) that programs writing to a pipe put into the size of a wav's data."""

_MAX_CHUNKS = 1000
"""Chunks before the data of a wav. Reading a file made of chunks only would take minutes."""


def declared_seconds(path: Path, container: InputContainer, stream: AudioStream) -> float | None:
    """Return the seconds of a stream of audio that the header declares; None if it does not declare them reliably.

    This tells a truncated file from a short one. FFmpeg's own durations do not: they are estimates if the
    header declares none, and follow from the file size if a wav header declares more than there is.
    """
    formats = set(container.format.name.split(","))
    if "wav" in formats:
        return _wav_seconds(path)
    if "matroska" in formats:
        if "DURATION" in stream.metadata:
            end = _clock_seconds(stream.metadata["DURATION"])
            # The tag is the time of the end, and a track may begin late.
            return None if end is None else end - float((stream.start_time or 0) * (stream.time_base or 0))
        # Without that tag, FFmpeg reports the length of the longest stream for every stream.
        if len(container.streams) > 1:
            return None
    if "mp3" in formats and not _has_mp3_frame_count(path):
        return None
    if formats.isdisjoint(_EXACT_DURATIONS) or stream.duration is None or stream.time_base is None:
        return None
    return float(stream.duration * stream.time_base)


def _wav_seconds(path: Path) -> float | None:
    """Return the length from the size in the ``data`` chunk (RF64: ``ds64``) and the byte rate in ``fmt``."""
    bytes_per_second = long_size = 0
    with path.open("rb") as file:
        file.seek(12)
        for _ in range(_MAX_CHUNKS):
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


def _has_mp3_frame_count(path: Path) -> bool:
    """Tell whether the first MPEG frame holds the number of frames (a "Xing" or "Info" tag)."""
    with path.open("rb") as file:
        head = file.read(10)
        if head[:3] == b"ID3" and len(head) == 10:
            # The size of an ID3v2 tag uses seven bits of each byte.
            a, b, c, d = head[6:]
            file.seek(10 + (a << 21 | b << 14 | c << 7 | d))
        else:
            file.seek(0)
        first_frame = file.read(256)
    return b"Xing" in first_frame or b"Info" in first_frame


def _clock_seconds(text: str) -> float | None:
    """Parse Matroska's "00:00:30.021000000" into seconds."""
    try:
        hours, minutes, seconds = text.split(":")
        clock = int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    except (ValueError, OverflowError):
        return None
    return clock if math.isfinite(clock) else None
