"""The still picture of a video: in MP4 a piece of its metadata, in Matroska an attachment."""

from __future__ import annotations

import typing
from fractions import Fraction
from pathlib import Path

from voiceclone_cli.video.source import first_packets

if typing.TYPE_CHECKING:
    from av import VideoStream
    from av.container import InputContainer, OutputContainer
    from av.packet import Packet
    from av.stream import Stream

_KINDS = {"mjpeg": ("jpg", "image/jpeg"), "png": ("png", "image/png"), "bmp": ("bmp", "image/bmp")}
"""File name's ending and media type by FFmpeg's name of the codec. MP4 knows these three."""


def cover_streams(source: InputContainer) -> list[Stream]:
    """FFmpeg hands covers out as video streams of one packet."""
    from av.stream import Disposition

    return [
        stream
        for stream in source.streams.video
        if stream.disposition & Disposition.attached_pic
        and stream.codec_context is not None
        and stream.codec_context.name in _KINDS
    ]


def add_covers(
    output: OutputContainer, source: InputContainer, path: Path, suffix: str
) -> list[Packet[Stream]]:
    """Give the output the covers of the video at ``path``; the packets have to be its first.

    Raises InputError (``media_damaged``).
    """
    streams = cover_streams(source)
    pictures = first_packets(path, [stream.index for stream in streams])
    first = []
    for stream in streams:
        if stream.index not in pictures:
            continue
        if suffix == ".mkv":
            ending, kind = _KINDS[stream.codec_context.name]
            name = stream.metadata.get("filename", f"cover.{ending}")
            output.add_attachment(name, kind, pictures[stream.index])
        else:
            first.append(_attached(output, stream, pictures[stream.index]))
    return first


def _attached(output: OutputContainer, stream: Stream, picture: bytes) -> Packet[Stream]:
    import av

    copy = typing.cast("VideoStream", output.add_stream_from_template(stream, opaque=True))
    copy.disposition = stream.disposition
    if not copy.codec_context.width:
        # Any size will do: the muxer asks for one and writes none.
        copy.codec_context.width = copy.codec_context.height = 1
    packet = av.Packet(picture)
    packet.stream, packet.time_base = copy, Fraction(1, 1000)
    packet.pts = packet.dts = 0
    packet.is_keyframe = True
    return packet
