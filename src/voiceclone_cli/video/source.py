"""The video that came in: opened as any stranger's file is, and what of it is kept."""

from __future__ import annotations

import contextlib
import io
import itertools
import math
import os
import typing
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

from voiceclone_cli.audio.formats import open_options
from voiceclone_cli.errors import InputError

if typing.TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer
    from av.packet import Packet
    from av.stream import Stream
    from av.video.codeccontext import VideoCodecContext


# Names of languages as containers want them: three letters, where scripts and recognisers give two.


UNKNOWN = "und"

_ISO_639 = """
aa aar ab abk ae ave af afr ak aka am amh an arg ar ara as asm av ava ay aym az aze ba bak be bel bg bul bh bih
bi bis bm bam bn ben bo bod br bre bs bos ca cat ce che ch cha co cos cr cre cs ces cu chu cv chv cy cym da dan
de deu dv div dz dzo ee ewe el ell en eng eo epo es spa et est eu eus fa fas ff ful fi fin fj fij fo fao fr fra
fy fry ga gle gd gla gl glg gn grn gu guj gv glv ha hau he heb hi hin ho hmo hr hrv ht hat hu hun hy hye hz her
ia ina id ind ie ile ig ibo ii iii ik ipk io ido is isl it ita iu iku ja jpn jv jav jw jav ka kat kg kon ki kik
kj kua kk kaz kl kal km khm kn kan ko kor kr kau ks kas ku kur kv kom kw cor ky kir la lat lb ltz lg lug li lim
ln lin lo lao lt lit lu lub lv lav mg mlg mh mah mi mri mk mkd ml mal mn mon mr mar ms msa mt mlt my mya na nau
nb nob nd nde ne nep ng ndo nl nld nn nno no nor nr nbl nv nav ny nya oc oci oj oji om orm or ori os oss pa pan
pi pli pl pol ps pus pt por qu que rm roh rn run ro ron ru rus rw kin sa san sc srd sd snd se sme sg sag si sin
sk slk sl slv sm smo sn sna so som sq sqi sr srp ss ssw st sot su sun sv swe sw swa ta tam te tel tg tgk th tha
ti tir tk tuk tl tgl tn tsn to ton tr tur ts tso tt tat tw twi ty tah ug uig uk ukr ur urd uz uzb ve ven vi vie
vo vol wa wln wo wol xh xho yi yid yo yor za zha zh zho zu zul
"""
"""ISO 639-1 and the terminological code of ISO 639-2; "jw" is what Whisper calls Javanese."""

_BIBLIOGRAPHIC = """
bod tib ces cze cym wel deu ger ell gre eus baq fas per fra fre hye arm isl ice kat geo mkd mac mri mao msa may
mya bur nld dut ron rum slk slo sqi alb zho chi
"""


def _pairs(table: str) -> dict[str, str]:
    codes = table.split()
    return dict(zip(codes[::2], codes[1::2], strict=True))


_TERMINOLOGICAL = _pairs(_ISO_639)
_IN_MATROSKA = _pairs(_BIBLIOGRAPHIC)


def language_tag(language: str | None, suffix: str) -> str:
    """``es`` or ``es-419`` as ``spa``; "und" where the language is not known.

    MP4 takes the terminological code of ISO 639-2, Matroska the bibliographic one (French: fra, fre).
    """
    main = (language or "").partition("-")[0].lower()
    code = _TERMINOLOGICAL.get(
        main, main if len(main) == 3 and main.isascii() and main.isalpha() else UNKNOWN
    )
    return _IN_MATROSKA.get(code, code) if suffix == ".mkv" else code


# What a video says of itself: the source's words, and with them that these voices are synthetic.
#
# MP4 has two boxes for it. That of iTunes (``ilst``) is shown by all players and has a fixed set of names; that of
# QuickTime (``mdta``) takes any name, such as those that telephones write, but players look for Apple's names in it.
# FFmpeg writes one or the other.


_OF_A_TRACK_IN_MP4 = frozenset({"handler_name", "vendor_id"})

_OF_THE_FILE = frozenset({"major_brand", "minor_version", "compatible_brands", "encoder", "duration"})
"""Said of the old file; the new one has its own."""

_IN_ITUNES = frozenset((
    "title", "artist", "album_artist", "composer", "album", "date", "comment", "genre", "copyright", "grouping",
    "lyrics", "description", "synopsis", "show", "episode_id", "network", "keywords",
))  # fmt: skip
_ELSEWHERE_IN_MP4 = frozenset({"creation_time", "timecode"})
"""The movie's header and a track of its own hold these."""

_APPLE = "com.apple.quicktime."
_APPLE_NAMES = frozenset({"title", "comment", "description", "software", "keywords", "copyright"})


def track_metadata(source: Mapping[str, str], suffix: str) -> dict[str, str]:
    """A copied track's own words, without those that only MP4 has a place for."""
    left = _OF_A_TRACK_IN_MP4 if suffix == ".mkv" else frozenset[str]()
    return {key: value for key, value in source.items() if key.lower() not in left}


def container_metadata(
    source: Mapping[str, str], tags: Mapping[str, str], suffix: str, *, cover: bool
) -> tuple[dict[str, str], dict[str, str]]:
    """The metadata to write, and FFmpeg's options that have the container take it.

    ``cover``: whether there is one; FFmpeg writes it into the box of iTunes only, so the other is not chosen then.
    """
    kept = {key: value for key, value in source.items() if key.lower() not in _OF_THE_FILE}
    if suffix == ".mkv":
        return _joined(kept, tags), {}
    # Times of tracks' starts are written in units of the movie's time scale, by default in thousandths.
    options = {"movflags": "+faststart", "movie_timescale": "90000", "strict": "unofficial"}
    if cover or {key.lower() for key in kept} <= _IN_ITUNES | _ELSEWHERE_IN_MP4:
        return _joined(kept, _for_itunes(tags)), options
    options["movflags"] += "+use_metadata_tags"
    return _joined(kept, {**_with_apples_names(tags), **tags}), options


def _joined(kept: Mapping[str, str], tags: Mapping[str, str]) -> dict[str, str]:
    """Both; where both have a word of one name, ours stands before the source's."""
    words = dict(kept)
    names = {key.lower(): key for key in kept}
    for key, text in tags.items():
        theirs = words.pop(names.get(key.lower(), ""), None)
        words[key] = f"{text} | {theirs}" if theirs and text not in theirs else theirs or text
    return words


def _for_itunes(tags: Mapping[str, str]) -> dict[str, str]:
    """What has no name there becomes keywords."""
    named = {key: text for key, text in tags.items() if key in _IN_ITUNES}
    others = [f"{key}: {text}" for key, text in tags.items() if key not in _IN_ITUNES]
    keywords = "; ".join([*([named["keywords"]] if "keywords" in named else []), *others])
    return {**named, "keywords": keywords} if keywords else named


def _with_apples_names(tags: Mapping[str, str]) -> dict[str, str]:
    return {f"{_APPLE}{key}": text for key, text in tags.items() if key in _APPLE_NAMES}


# Decoding times for pictures of Matroska, which keeps only the times when they are shown.
#
# FFmpeg learns them from the decoder, which is not asked here. A muxer wants some all the same: in order, and none
# later than any picture that is still to come.


_MOST_REORDERED = 16
"""Pictures that H.264 and H.265 may hold back (the largest ``max_num_reorder_frames``)."""


class DecodingTimes:
    """Gives the packets of one stream a decoding time: the earliest time of what follows.

    They come out later than they went in, by as many packets as have to be looked at.
    """

    def __init__(self) -> None:
        self._held: deque[Packet[Stream]] = deque()

    def push(self, packet: Packet[Stream]) -> list[Packet[Stream]]:
        """The packets that are ready now."""
        self._held.append(packet)
        return [self._next()] if len(self._held) > _MOST_REORDERED else []

    def finish(self) -> list[Packet[Stream]]:
        """All that are left."""
        return [self._next() for _ in range(len(self._held))]

    def _next(self) -> Packet[Stream]:
        times = [packet.pts for packet in self._held if packet.pts is not None]
        packet = self._held.popleft()
        if times and packet.pts is not None:
            packet.dts = min(times)
        return packet


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


def first_picture_time(source: InputContainer) -> Fraction:
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


# Streams copied as they are, and the container that can hold them.


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
        choose_format(streams, source, ".mkv")
        return ".mkv"


def choose_format(
    streams: Sequence[Stream], source: Path, suffix: str
) -> tuple[list[Stream], tuple[str, ...]]:
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

    if stream.type == "video" and 0 in estimated_size(stream):
        return False
    if _codec(stream) in _MISFITS[suffix]:
        return False
    try:
        output.add_stream_from_template(stream, opaque=True)
    except (ValueError, av.error.FFmpegError):
        return False
    return True


class PacketCopier:
    """The streams of an output that are those of the source, packet by packet."""

    def __init__(self, source: InputContainer, output: OutputContainer, suffix: str) -> None:
        self._output = output
        self._suffix = suffix
        self.zero = first_picture_time(source)
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
            context.width, context.height = estimated_size(stream)
            if self._without_dts:
                self._decoding_times[stream.index] = DecodingTimes()
        if stream.type != "attachment":
            self._by_index[stream.index] = copy
        return copy


def is_flush(packet: Packet[Stream]) -> bool:
    """Whether it is one of the empty packets after the last."""
    return packet.size == 0 and packet.dts is None and packet.pts is None


def estimated_size(stream: Stream) -> tuple[int, int]:
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
