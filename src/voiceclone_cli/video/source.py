"""The video that came in: opened as any stranger's file is, and what of it is kept."""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import typing
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

from voiceclone_cli.errors import InputError
from voiceclone_cli.media.formats import open_options

if typing.TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream

_COPIED = ("video", "subtitle", "attachment")

_SEARCHED_PACKETS = 10_000
"""Where a stream's first packet does not come before, it comes never."""


@contextmanager
def open_source(path: Path) -> Iterator[InputContainer]:
    """Open a video to copy from it. Nothing but its audio can be decoded.

    Raises InputError: ``media_damaged``.
    """
    with _opened(path) as container:
        _learn_sizes(container, path)
        yield container


@contextmanager
def _opened(path: Path) -> Iterator[InputContainer]:
    import av

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


def _learn_sizes(container: InputContainer, path: Path) -> None:
    """FFmpeg leaves the size of MPEG-4 Part 2 in MP4 to the decoder; the parser reads it in the headers too."""
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
    """The first packet of each of these streams, read from the file opened anew. Raises InputError."""
    found: dict[int, bytes] = {}
    if not indices:
        return found
    with _opened(path) as source:
        for packet in itertools.islice(packets(source, path), _SEARCHED_PACKETS):
            if packet.stream.index in indices and packet.size:
                found.setdefault(packet.stream.index, bytes(packet))
                if len(found) == len(indices):
                    break
    return found


def kept_streams(source: InputContainer, *, keep_original_audio: bool) -> list[Stream]:
    """The streams to copy: pictures, subtitles, attachments, and the audio if asked for.

    Data streams (time code, sensors) are left: the time code is in the metadata, and no player shows the rest.
    Covers go their own way (``covers``), and the still pictures of chapters are left, since FFmpeg keeps their
    packets to itself.
    """
    from av.stream import Disposition

    kinds = (*_COPIED, "audio") if keep_original_audio else _COPIED
    still = Disposition.attached_pic | Disposition.timed_thumbnails
    return [stream for stream in source.streams if stream.type in kinds and not stream.disposition & still]


def zero(source: InputContainer) -> Fraction:
    """The moment in seconds that becomes 0 in the output.

    Files count from zero. Broadcasts (MPEG-TS and its like) run on a clock of their own, which begins anywhere;
    there it is the beginning, and a whole number of Matroska's milliseconds before the first picture, whose time is
    then not rounded.
    """
    import av
    from av.format import Flags

    if source.start_time is None or not source.format.flags & typing.cast(int, Flags.ts_discont.value):
        return Fraction(0)
    start = Fraction(source.start_time, av.time_base)
    pictures = [
        stream.start_time * typing.cast("Fraction", stream.time_base)
        for stream in source.streams.video
        if stream.start_time is not None
    ]
    first = min(pictures, default=start)
    return first - Fraction(math.ceil((first - start) * 1000), 1000)


def packets(source: InputContainer, path: Path) -> Iterator[Packet[Stream]]:
    """All packets in the order of the file; the empty ones at the end tell decoders to give what they hold.

    Raises InputError (``media_damaged``).
    """
    import av

    try:
        yield from source.demux()
    except IndexError:
        # So PyAV ends where further streams came up midway, as in broadcasts.
        return
    except av.error.FFmpegError as error:
        raise InputError(
            f"{path} cannot be read to its end ({error.strerror}): copy or download it again.",
            code="media_damaged",
        ) from error
