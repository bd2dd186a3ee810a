"""Streams copied as they are, and the container that can hold them."""

from __future__ import annotations

import io
import typing
from collections.abc import Sequence
from pathlib import Path

from voiceclone_cli.errors import InputError
from voiceclone_cli.video.metadata import track_metadata
from voiceclone_cli.video.ordering import DecodingTimes
from voiceclone_cli.video.source import kept_streams, open_source, zero

if typing.TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer
    from av.packet import Packet
    from av.stream import Stream
    from av.video.codeccontext import VideoCodecContext

FORMATS = {".mp4": "mp4", ".mkv": "matroska"}
"""FFmpeg's names by suffix."""

_APPLE_TAGS = frozenset({"hvc1", "dvh1"})
"""Names of HEVC in MP4 to keep: Apple's players show it under these alone, and FFmpeg would write "hev1"."""

_MISFITS = {".mp4": frozenset({"vp8", "vp9", "rawvideo"}), ".mkv": frozenset({"rawvideo"})}
"""FFmpeg writes their headers from the pixel format, which only a decoder could tell."""


def output_suffix(source: Path, *, keep_original_audio: bool) -> str:
    """``.mp4`` for videos of that family (mp4, mov, m4v, 3gp) when all that is kept fits in, else ``.mkv``.

    To be asked before the work. Raises InputError: ``video_codec`` where pictures or sound fit into neither, and
    what :func:`source.open_source` raises.
    """
    with open_source(source) as container:
        streams = kept_streams(container, keep_original_audio=keep_original_audio)
        if "mp4" in container.format.name.split(",") and not _misfits(streams, ".mp4"):
            return ".mp4"
        fitting(streams, source, ".mkv")
        return ".mkv"


def fitting(streams: Sequence[Stream], source: Path, suffix: str) -> tuple[list[Stream], tuple[str, ...]]:
    """The streams that the container can hold, and notes of the subtitles that it cannot.

    Raises InputError (``video_codec``) for pictures and sound that it cannot hold.
    """
    lost = _misfits(streams, suffix)
    for stream in lost:
        if stream.type in ("video", "audio"):
            raise InputError(
                f"The {stream.type} of {source} is of a kind ({_codec(stream)}) that can be copied neither into mp4 "
                "nor into mkv here: convert the video to mp4 first.",
                code="video_codec",
            )
    notes = tuple(
        f"the video is without the {stream.type} stream {stream.index} of the input, since {_codec(stream)} cannot "
        "be copied"
        for stream in lost
    )
    return [stream for stream in streams if stream not in lost], notes


def _misfits(streams: Sequence[Stream], suffix: str) -> list[Stream]:
    import av

    with av.open(io.BytesIO(), "w", format=FORMATS[suffix]) as nowhere:
        return [stream for stream in streams if not _fits(nowhere, stream, suffix)]


def _fits(output: OutputContainer, stream: Stream, suffix: str) -> bool:
    import av

    if stream.type == "video" and 0 in size(stream):
        return False
    if _codec(stream) in _MISFITS[suffix]:
        return False
    try:
        output.add_stream_from_template(stream, opaque=True)
    except (ValueError, av.error.FFmpegError):
        return False
    return True


class Copies:
    """The streams of an output that are those of the source, packet by packet."""

    def __init__(self, source: InputContainer, output: OutputContainer, suffix: str) -> None:
        self._output = output
        self._suffix = suffix
        self.zero = zero(source)
        self._by_index: dict[int, Stream] = {}
        self._without_dts = "matroska" in source.format.name.split(",")
        self._decoding_times: dict[int, DecodingTimes] = {}

    def add(self, streams: Sequence[Stream]) -> list[Stream]:
        """Give the output streams like these, with their words, flags and rotation."""
        return [self._like(stream) for stream in streams]

    def seconds(self, packet: Packet[Stream]) -> float | None:
        """When a packet of the source begins, on the clock of the output."""
        time = packet.pts if packet.dts is None else packet.dts
        return None if time is None else float(time * packet.time_base - self.zero)

    def moved(self, packet: Packet[Stream]) -> list[Packet[Stream]]:
        """What goes into the output, now that this packet of the source has come."""
        index = packet.stream.index
        copy = self._by_index.get(index)
        if copy is None or is_flush(packet):
            return []
        if self.zero and packet.time_base:
            shift = round(self.zero / packet.time_base)
            packet.pts = None if packet.pts is None else packet.pts - shift
            packet.dts = None if packet.dts is None else packet.dts - shift
        packet.stream = copy
        times = self._decoding_times.get(index)
        return [packet] if times is None else times.push(packet)

    def rest(self) -> list[Packet[Stream]]:
        """What was held back."""
        return [packet for times in self._decoding_times.values() for packet in times.finish()]

    def _like(self, stream: Stream) -> Stream:
        copy = self._output.add_stream_from_template(stream, opaque=True)
        copy.metadata.update(track_metadata(stream.metadata, self._suffix))
        copy.disposition = stream.disposition
        tag = _codec_tag(stream)
        if tag in _APPLE_TAGS and self._suffix == ".mp4":
            copy.codec_context.codec_tag = tag
        if stream.type == "video":
            context = typing.cast("VideoCodecContext", copy.codec_context)
            context.width, context.height = size(stream)
            if self._without_dts:
                self._decoding_times[stream.index] = DecodingTimes()
        if stream.type != "attachment":
            self._by_index[stream.index] = copy
        return copy


def is_flush(packet: Packet[Stream]) -> bool:
    """Whether it is one of the empty packets after the last."""
    return packet.size == 0 and packet.dts is None and packet.pts is None


def size(stream: Stream) -> tuple[int, int]:
    """Width and height of pictures in pixels; 0 where not even the parser knows them."""
    context = typing.cast("VideoCodecContext | None", stream.codec_context)
    return (0, 0) if context is None else (context.width, context.height)


def _codec_tag(stream: Stream) -> str:
    try:
        return str(stream.codec_context.codec_tag) if stream.codec_context else ""
    except UnicodeDecodeError:  # AVI numbers its codecs
        return ""


def _codec(stream: Stream) -> str:
    return (
        str(stream.codec_context.codec.canonical_name)
        if stream.codec_context is not None
        else "an unknown codec"
    )
