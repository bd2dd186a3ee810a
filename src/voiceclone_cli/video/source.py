"""The input video: its streams and packets, and copying them into an output container without decoding."""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import typing
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import av
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.codeccontext import VideoCodecContext

from voiceclone_cli.audio.film import film_zero, is_broadcast, near
from voiceclone_cli.audio.formats import open_options
from voiceclone_cli.errors import InputError

FORMATS = {".mp4": "mp4", ".mkv": "matroska"}
"""FFmpeg's container names by suffix."""

_COPIED = ("video", "subtitle", "attachment")
_MAX_SEARCHED = 10_000
"""Packets that are searched for the first packet of a stream."""
_MAX_REORDERED = 16
"""Pictures that H.264 and H.265 may hold back (the largest ``max_num_reorder_frames``)."""
_MAX_FILM_SECONDS = 12 * 3600
"""A later time of a broadcast is one before its clock started anew."""
_APPLE_TAGS = frozenset({"hvc1", "dvh1"})
"""Tags of HEVC in MP4 to keep: Apple's players require them, and FFmpeg would write "hev1"."""
_UNSUPPORTED = {".mp4": frozenset({"vp8", "vp9", "rawvideo"}), ".mkv": frozenset({"rawvideo"})}
"""Codecs whose headers FFmpeg writes from the pixel format, which is unknown without a decoder."""
_MP4_TRACK_TAGS = frozenset({"handler_name", "vendor_id"})


@contextmanager
def open_source(path: Path) -> Iterator[InputContainer]:
    """Open a video to copy from it; only its audio can be decoded. Raises InputError (``media_damaged``)."""
    with _opened(path) as container:
        _read_sizes(container, path)
        yield container


@contextmanager
def _opened(path: Path) -> Iterator[InputContainer]:
    try:
        # "file:", or a name could be an address.
        container = av.open(f"file:{os.path.abspath(path)}", metadata_errors="ignore", options=open_options())
    except av.error.FFmpegError as error:
        raise InputError(
            f"{path} cannot be opened as a video ({error.strerror}): copy or download it again.",
            code="media_damaged",
        ) from error
    with container:
        yield container


def _read_sizes(container: InputContainer, path: Path) -> None:
    """Parse the headers of MPEG-4 Part 2 in MP4, whose picture size FFmpeg leaves to the decoder."""
    unknown = [
        stream.index
        for stream in container.streams.video
        if stream.codec_context is not None and not stream.codec_context.width
    ]
    for index, data in first_packets(path, unknown).items():
        context = container.streams[index].codec_context
        # ValueError: no parser for this codec. Then the size stays unknown.
        with contextlib.suppress(ValueError):
            context.parse(data)
            context.parse(None)


def first_packets(path: Path, indices: Collection[int]) -> dict[int, bytes]:
    """Return the first packet of each of these streams, read from the reopened file. Raises InputError."""
    found: dict[int, bytes] = {}
    if not indices:
        return found
    with _opened(path) as source:
        for packet in itertools.islice(packets(source, path), _MAX_SEARCHED):
            if packet.stream.index in indices and packet.size:
                found.setdefault(packet.stream.index, bytes(packet))
                if len(found) == len(indices):
                    break
    return found


def kept_streams(source: InputContainer, *, keep_original_audio: bool) -> list[Stream]:
    """Return the streams to copy: pictures, subtitles, attachments, and the audio on request.

    Data streams (time code, sensors) are dropped: the time code is in the metadata too, and players show no other.
    Covers are copied by ``tracks.add_covers``; chapter pictures are dropped, since FFmpeg yields no packets of them.
    """
    kinds = (*_COPIED, "audio") if keep_original_audio else _COPIED
    still = Disposition.attached_pic | Disposition.timed_thumbnails
    return [stream for stream in source.streams if stream.type in kinds and not stream.disposition & still]


def packets(source: InputContainer, path: Path) -> Iterator[Packet[Stream]]:
    """Yield all packets in file order; empty ones at the end flush the decoders. Raises InputError."""
    try:
        yield from source.demux()
    except IndexError:
        # PyAV ends like this where streams start midway, as in broadcasts.
        return
    except av.error.FFmpegError as error:
        raise InputError(
            f"{path} cannot be read to its end ({error.strerror}): copy or download it again.",
            code="media_damaged",
        ) from error


def output_suffix(source: Path, *, keep_original_audio: bool) -> str:
    """Return ``.mp4`` for videos of that family (mp4, mov, m4v, 3gp) if it can hold all kept streams, else ``.mkv``.

    Raises InputError: ``video_codec`` where neither can hold the pictures or the sound, and what ``open_source`` raises.
    """
    with open_source(source) as container:
        streams = kept_streams(container, keep_original_audio=keep_original_audio)
        if "mp4" in container.format.name.split(",") and not _unsupported(streams, ".mp4"):
            return ".mp4"
        choose_format(streams, source, ".mkv")
        return ".mkv"


def choose_format(
    streams: Sequence[Stream], source: Path, suffix: str
) -> tuple[list[Stream], tuple[str, ...]]:
    """Return the streams that the container can hold, and notes on the subtitles that it cannot hold.

    Raises InputError (``video_codec``) for pictures and sound that it cannot hold.
    """
    unsupported = _unsupported(streams, suffix)
    for stream in unsupported:
        if stream.type in ("video", "audio"):
            raise InputError(
                f"The {stream.type} of {source} has a codec ({_codec(stream)}) that can be copied into neither mp4 "
                "nor mkv: convert the video to mp4 first.",
                code="video_codec",
            )
    notes = tuple(
        f"the video lacks the {stream.type} stream {stream.index} of the input, because {_codec(stream)} cannot be "
        "copied"
        for stream in unsupported
    )
    return [stream for stream in streams if stream not in unsupported], notes


def _unsupported(streams: Sequence[Stream], suffix: str) -> list[Stream]:
    with av.open(io.BytesIO(), "w", format=FORMATS[suffix]) as scratch:
        return [stream for stream in streams if not _is_supported(scratch, stream, suffix)]


def _is_supported(output: OutputContainer, stream: Stream, suffix: str) -> bool:
    if (stream.type == "video" and 0 in picture_size(stream)) or _codec(stream) in _UNSUPPORTED[suffix]:
        return False
    try:
        output.add_stream_from_template(stream, opaque=True)
    except (ValueError, av.error.FFmpegError):
        return False
    return True


class PacketCopier:
    """The copied streams of an output, packet by packet."""

    def __init__(self, source: InputContainer, output: OutputContainer, suffix: str) -> None:
        self._output = output
        self._suffix = suffix
        self._zero = film_zero(source)
        self._is_broadcast = is_broadcast(source)
        self._by_index: dict[int, Stream] = {}
        self._without_dts = "matroska" in source.format.name.split(",")
        self._decoding_times: dict[int, DecodingTimes] = {}

    def add(self, streams: Sequence[Stream]) -> list[Stream]:
        """Add copies of the streams to the output, with their metadata, flags and rotation."""
        return [self._add(stream) for stream in streams]

    def seconds(self, packet: Packet[Stream]) -> float | None:
        """Return the start of a source packet on the clock of the output."""
        time = self._film_time(packet, packet.pts if packet.dts is None else packet.dts)
        return None if time is None else float(time * packet.time_base)

    def copy(self, packet: Packet[Stream]) -> list[Packet[Stream]]:
        """Return the output packets that are ready after this packet of the source."""
        index = packet.stream.index
        target = self._by_index.get(index)
        is_flush = packet.size == 0 and packet.dts is None and packet.pts is None
        if target is None or is_flush:
            return []
        if self._zero and packet.time_base:
            packet.pts, packet.dts = (self._film_time(packet, time) for time in (packet.pts, packet.dts))
        packet.stream = target
        times = self._decoding_times.get(index)
        return [packet] if times is None else times.push(packet)

    def _film_time(self, packet: Packet[Stream], time: int | None) -> int | None:
        """Return a time of the source on the clock of the output, both in the unit of the packet."""
        unit = packet.time_base
        if time is None or not unit:
            return time
        if self._is_broadcast and not 0 <= time * unit - self._zero < _MAX_FILM_SECONDS:
            time = round(near(time * unit, self._zero) / unit)
        return time - round(self._zero / unit)

    def finish(self) -> list[Packet[Stream]]:
        """Return the delayed packets."""
        return [packet for times in self._decoding_times.values() for packet in times.finish()]

    def _add(self, stream: Stream) -> Stream:
        copy = self._output.add_stream_from_template(stream, opaque=True)
        copy.metadata.update(track_metadata(stream.metadata, self._suffix))
        copy.disposition = stream.disposition
        tag = _codec_tag(stream)
        if tag in _APPLE_TAGS and self._suffix == ".mp4":
            copy.codec_context.codec_tag = tag
        if stream.type == "video":
            context = typing.cast("VideoCodecContext", copy.codec_context)
            context.width, context.height = picture_size(stream)
            if self._without_dts:
                self._decoding_times[stream.index] = DecodingTimes()
        if stream.type != "attachment":
            self._by_index[stream.index] = copy
        return copy


class DecodingTimes:
    """Decoding times for the packets of a Matroska stream, which has presentation times only.

    FFmpeg would get them from the decoder, which does not run here. A muxer requires them in order, and none later
    than any picture still to come: a packet gets the earliest time of those that follow, and is delayed until these
    are known.
    """

    def __init__(self) -> None:
        self._delayed: deque[Packet[Stream]] = deque()

    def push(self, packet: Packet[Stream]) -> list[Packet[Stream]]:
        """Return the packets that are ready."""
        self._delayed.append(packet)
        return [self._next()] if len(self._delayed) > _MAX_REORDERED else []

    def finish(self) -> list[Packet[Stream]]:
        """Return the remaining packets."""
        return [self._next() for _ in range(len(self._delayed))]

    def _next(self) -> Packet[Stream]:
        times = [packet.pts for packet in self._delayed if packet.pts is not None]
        packet = self._delayed.popleft()
        if times and packet.pts is not None:
            packet.dts = min(times)
        return packet


def track_metadata(source: Mapping[str, str], suffix: str) -> dict[str, str]:
    """Return the metadata of a copied track, without the keys that only MP4 has a place for."""
    dropped = _MP4_TRACK_TAGS if suffix == ".mkv" else frozenset[str]()
    return {key: value for key, value in source.items() if key.lower() not in dropped}


def picture_size(stream: Stream) -> tuple[int, int]:
    """Return the width and height of pictures in pixels; 0 where they are unknown."""
    context = typing.cast("VideoCodecContext | None", stream.codec_context)
    return (0, 0) if context is None else (context.width, context.height)


def _codec_tag(stream: Stream) -> str:
    try:
        return str(stream.codec_context.codec_tag) if stream.codec_context else ""
    except UnicodeDecodeError:  # AVI numbers its codecs
        return ""


def _codec(stream: Stream) -> str:
    context = stream.codec_context
    return "an unknown codec" if context is None else str(context.codec.canonical_name)
