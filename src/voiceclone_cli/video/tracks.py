"""The mix becomes the first audio track of a video, at the times of the original's audio."""

from __future__ import annotations

import heapq
import itertools
import struct
import typing
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from voiceclone_cli.audio.reader import MAX_HOURS
from voiceclone_cli.audio.writer import fits_flac, to_pcm16
from voiceclone_cli.errors import InputError, RunError
from voiceclone_cli.types import Segment
from voiceclone_cli.video.source import container_metadata, first_packets, first_picture_time, language_tag

if typing.TYPE_CHECKING:
    from av import AudioFrame, AudioStream, VideoStream
    from av.container import InputContainer, OutputContainer
    from av.container.core import Chapter
    from av.packet import Packet
    from av.stream import Stream
    from av.subtitles.stream import SubtitleStream
    from soundfile import SoundFile

    from voiceclone_cli.types import Samples


# The script as a subtitle track: "mov_text" (3GPP timed text) in MP4, "subrip" in Matroska.


_STYLE = b"""[Script Info]
ScriptType: v4.00+
PlayResX: 384
PlayResY: 288

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, \
Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, \
MarginV, Encoding
Style: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,0

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""
"""What FFmpeg's subtitle encoders want to know of: white letters at the lower edge, as players show them anyway."""


@dataclass(frozen=True, slots=True)
class CaptionCue:
    """Text on the screen, in milliseconds."""

    start: int
    end: int
    text: str


def caption_cues(segments: Sequence[Segment]) -> list[CaptionCue]:
    """One text at a time: where people talk at once, their lines stand below each other, each with a dash.

    3GPP timed text (TS 26.245) can show but one sample at a time.
    """
    lines = sorted(
        (round(s.start * 1000), index, round(s.end * 1000), s.text.strip())
        for index, s in enumerate(segments)
    )
    moments = sorted({moment for start, _, end, _ in lines for moment in (start, end)})
    shown: list[CaptionCue] = []
    talking: list[tuple[int, int, str]] = []
    """Heap of (end, index, text)."""
    following = 0
    for start, end in itertools.pairwise(moments):
        while following < len(lines) and lines[following][0] <= start:
            _, index, until, text = lines[following]
            heapq.heappush(talking, (until, index, text))
            following += 1
        while talking and talking[0][0] <= start:
            heapq.heappop(talking)
        texts = [text for _, _, text in sorted(talking, key=lambda line: line[1]) if text]
        if texts:
            shown.append(
                CaptionCue(start, end, texts[0] if len(texts) == 1 else "\n".join(f"- {t}" for t in texts))
            )
    return shown


class CaptionTrack:
    """A subtitle track of an output, whose packets are taken as the pictures come by."""

    def __init__(
        self, output: OutputContainer, suffix: str, segments: Sequence[Segment], height: int
    ) -> None:
        """``height`` is that of the pictures in pixels, for the size of the letters."""
        self._is_mp4 = suffix == ".mp4"
        self._waiting = iter(caption_cues(segments))
        self._next = next(self._waiting, None)
        codec, options = ("mov_text", {"height": str(height)}) if self._is_mp4 else ("subrip", {})
        self.stream = typing.cast("SubtitleStream", output.add_stream(codec, options=options))
        self.stream.codec_context.subtitle_header = _STYLE
        self.stream.time_base = Fraction(1, 1000)

    def until(self, seconds: float) -> Iterator[Packet[Stream]]:
        """The cues that begin before this moment and were not taken yet."""
        while self._next is not None and self._next.start <= seconds * 1000:
            yield self._packet(self._next)
            self._next = next(self._waiting, None)

    def _packet(self, cue: CaptionCue) -> Packet[Stream]:
        import av

        text = cue.text.encode("utf-8")
        packet = av.Packet(struct.pack(">H", len(text)) + text if self._is_mp4 else text)
        packet.stream, packet.time_base = self.stream, Fraction(1, 1000)
        packet.pts = packet.dts = cue.start
        packet.duration = cue.end - cue.start
        packet.is_keyframe = True
        return packet


# The still picture of a video: in MP4 a piece of its metadata, in Matroska an attachment.


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


# The new sound as a compressed track.
#
# MP4 takes AAC, which everything plays; its encoder's delay stands in the file's edit list, and every player takes it
# out again. Matroska takes FLAC: lossless, and with no delay at all, where for AAC and Opus a player has to know
# about CodecDelay.


_AAC_RATES = (16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
"""Hz. AAC knows some more, which phones and televisions do not."""
_FLAC_HIGHEST_RATE = 192_000
_USUAL_RATE = 48_000

_BITS_PER_CHANNEL = 96_000
_BITS_OF_MONO = 128_000
_AAC_MOST_BITS_PER_SAMPLE = 6
"""6144 bits in a frame of 1024 samples (ISO/IEC 14496-3)."""

_BY_CHANNELS = ("mono", "stereo", "3.0", "4.0", "5.0", "5.1", "6.1", "7.1")
_AS_IN_AAC = {"quad(side)": "quad", "5.0(side)": "5.0", "5.1(side)": "5.1"}
"""AAC's surround speakers stand behind; the channels stay as they are."""


class TrackEncoder:
    """One audio track of an output. Make it before the output's first packet."""

    def __init__(self, output: OutputContainer, suffix: str, rate: int, layout: str) -> None:
        """``rate`` and ``layout`` are those of the samples to come; the track may have another rate."""
        import soxr

        codec = "flac" if suffix == ".mkv" else "aac"
        self._rate = track_rate(rate, codec)
        self._layout = _AS_IN_AAC.get(layout, layout) if codec == "aac" else layout
        self._position = 0
        self.stream = typing.cast(
            "AudioStream", output.add_stream(codec, rate=self._rate, layout=self._layout)
        )
        channels = self.stream.codec_context.channels
        self._resampler = None
        if self._rate != rate:
            self._resampler = soxr.ResampleStream(rate, self._rate, channels, dtype="float32")
        if codec == "aac":
            self.stream.bit_rate = bit_rate(self._rate, channels)

    def encode(self, samples: Samples) -> list[Packet[Stream]]:
        """Packets of what is complete. ``samples`` have the shape (samples, channels)."""
        if self._resampler is not None:
            samples = self._resampler.resample_chunk(samples)
        return self._encode(samples)

    def finish(self) -> list[Packet[Stream]]:
        """The packets of what was held back."""
        import numpy as np

        packets: list[Packet[Stream]] = []
        if self._resampler is not None:
            nothing = np.zeros((0, self.stream.codec_context.channels), np.float32)
            packets += self._encode(self._resampler.resample_chunk(nothing, last=True))
        return packets + self.stream.encode(None)

    def _encode(self, samples: Samples) -> list[Packet[Stream]]:
        import av

        if not len(samples):
            return []
        # Interleaved, whatever the encoder wants: PyAV reads past the end of eight planes.
        takes_16_bits = self.stream.codec_context.format.name == "s16"
        data = to_pcm16(samples) if takes_16_bits else samples
        frame = av.AudioFrame.from_ndarray(
            data.reshape(1, -1), format="s16" if takes_16_bits else "flt", layout=self._layout
        )
        frame.sample_rate, frame.pts = self._rate, self._position
        frame.time_base = Fraction(1, self._rate)
        self._position += len(samples)
        return self.stream.encode(frame)


def track_rate(rate: int, codec: str) -> int:
    """The rate that a track of sound at ``rate`` has: the same, unless players are known to refuse it."""
    if codec == "aac":
        return rate if rate in _AAC_RATES else _USUAL_RATE
    return rate if rate <= _FLAC_HIGHEST_RATE and fits_flac(rate) else _USUAL_RATE


def bit_rate(rate: int, channels: int) -> int:
    """Bits a second, well above where AAC is transparent for speech, and within what the format allows."""
    wanted = _BITS_OF_MONO if channels == 1 else _BITS_PER_CHANNEL
    return channels * min(wanted, _AAC_MOST_BITS_PER_SAMPLE * rate)


def usual_layout(channels: int) -> str:
    """FFmpeg's name of the loudspeakers that 1 to 8 channels are for."""
    return _BY_CHANNELS[channels - 1]


# Where the new sound goes: under the very frames in which the original was heard.
#
# The mix counts samples and knows no gaps, but the frames of a video's audio carry times of their own: it may begin
# after the picture, and a recording may have holes. So the mix is laid down piece by piece as the original's frames
# come by.


TOLERANCE_SECONDS = 0.1
"""Times that are off by less are rounded, or jitter; FFmpeg's resampler corrects hard from here on too
(``min_hard_comp``)."""

_BACK_SECONDS = 10.0
"""A clock that steps back further than this has been set anew."""


@dataclass(frozen=True, slots=True)
class AudioChunk:
    """The next samples of the track: silence first, then some of the mix, after leaving some of it out."""

    silence: int
    left_out: int
    taken: int


class AudioAligner:
    """Follows the frames of the original's audio; all results count samples of the mix."""

    def __init__(self, source: Path, rate: int) -> None:
        self._source = source
        self._rate = rate
        self._written = 0
        self._read = 0
        self._heard = 0
        """Samples of the original so far, at its own rate."""

    def place(self, start: float | None, samples: int, source_rate: int) -> AudioChunk:
        """What belongs under a frame of ``samples`` that begins at ``start`` seconds (None: right after the last).

        Raises InputError (``video_times``) where the times leap.
        """
        silence = left_out = 0
        if start is not None:
            ahead = round(start * self._rate) - self._written
            self._check(ahead / self._rate)
            # The start is exact to the sample; later, a time is only looked at for what it is worth.
            if not self._written or abs(ahead) > TOLERANCE_SECONDS * self._rate:
                silence, left_out = max(0, ahead), max(0, -ahead)
        self._heard += samples
        due = round(self._heard * self._rate / source_rate) - self._read
        left_out = min(left_out, due)
        self._read += due
        self._written += silence + due - left_out
        return AudioChunk(silence, left_out, due - left_out)

    def _check(self, ahead_seconds: float) -> None:
        if not -_BACK_SECONDS < ahead_seconds < MAX_HOURS * 3600:
            raise InputError(
                f"The times of the audio in {self._source} leap by {ahead_seconds:.1f} s: "
                "convert the video to mp4 first.",
                code="video_times",
            )


# What players show of a dubbed video: its tracks' titles, languages and order of choice, its chapters and words.


NEW_TITLE = "Dubbed by voiceclone (synthetic voices)"
ORIGINAL_TITLE = "Original"
SCRIPT_TITLE = "Script"


def describe(output: OutputContainer, source: InputContainer, tags: Mapping[str, str], suffix: str) -> None:
    """Give the output the source's metadata and chapters, and ``tags``."""
    words, options = container_metadata(source.metadata, tags, suffix, cover=bool(cover_streams(source)))
    output.metadata.update(words)
    output.container_options.update(options)
    output.set_chapters([_moved(chapter, first_picture_time(source)) for chapter in source.chapters()])


def introduce(stream: Stream, language: str | None, suffix: str) -> None:
    """Say of the new sound what it is; it is played unless somebody chooses otherwise."""
    from av.stream import Disposition

    _entitle(stream, NEW_TITLE, suffix)
    stream.metadata["language"] = language_tag(language, suffix)
    stream.disposition = Disposition.default | Disposition.dub


def introduce_script(stream: Stream, language: str | None, suffix: str) -> None:
    """Subtitles are there to choose. (Where an MP4 has no other, FFmpeg marks them as the default.)"""
    _entitle(stream, SCRIPT_TITLE, suffix)
    stream.metadata["language"] = language_tag(language, suffix)


def step_back(originals: Sequence[Stream], suffix: str) -> None:
    """The tracks of the original are there to choose, not to be played first."""
    from av.stream import Disposition

    for stream in originals:
        _entitle(stream, stream.metadata.get("title", ORIGINAL_TITLE), suffix)
        stream.disposition = (stream.disposition & ~Disposition.default) | Disposition.original


def _entitle(stream: Stream, title: str, suffix: str) -> None:
    stream.metadata["title"] = title
    if suffix == ".mp4":
        # FFmpeg writes no title of a track there; this is what players show instead.
        stream.metadata["handler_name"] = title


def _moved(chapter: Chapter, zero: Fraction) -> Chapter:
    shift = round(zero / chapter["time_base"]) if chapter["time_base"] else 0
    return {**chapter, "start": chapter["start"] - shift, "end": chapter["end"] - shift}


_BLOCK = 1 << 16


class Soundtrack:
    """Turns the original's packets into those of the new track. Made by :func:`open_soundtrack`."""

    def __init__(self, wav: SoundFile, encoder: TrackEncoder, laying: AudioAligner, zero: Fraction) -> None:
        self._wav = wav
        self._encoder = encoder
        self._laying = laying
        self._zero = zero

    @property
    def stream(self) -> AudioStream:
        return self._encoder.stream

    def follow(self, packet: Packet[Stream]) -> Iterator[Packet[Stream]]:
        """The new sound for as long as this packet of the original's audio lasts."""
        import av

        try:
            frames = typing.cast("list[AudioFrame]", packet.decode())
        except av.error.InvalidDataError:
            # media.decoder passes over damaged packets likewise: they are not in the mix.
            return
        for frame in frames:
            yield from self._under(frame)

    def finish(self) -> Iterator[Packet[Stream]]:
        """What the mix has left, and what the encoder holds."""
        yield from self._spoken(len(self._wav) - self._wav.tell())
        yield from self._encoder.finish()

    def _under(self, frame: AudioFrame) -> Iterator[Packet[Stream]]:
        start = None
        if frame.pts is not None and frame.time_base is not None:
            start = float(frame.pts * frame.time_base - self._zero)
        piece = self._laying.place(start, frame.samples, frame.sample_rate)
        yield from self._silence(piece.silence)
        if piece.left_out:
            # The mix may end early, by the few samples of a rounding.
            self._wav.seek(min(len(self._wav), self._wav.tell() + piece.left_out))
        yield from self._spoken(piece.taken)

    def _silence(self, length: int) -> Iterator[Packet[Stream]]:
        import numpy as np

        for start in range(0, length, _BLOCK):
            block = np.zeros((min(_BLOCK, length - start), self._wav.channels), np.float32)
            yield from self._encoder.encode(block)

    def _spoken(self, length: int) -> Iterator[Packet[Stream]]:
        while length > 0:
            block: Samples = self._wav.read(min(_BLOCK, length), dtype="float32", always_2d=True)
            if not len(block):
                return
            length -= len(block)
            yield from self._encoder.encode(block)


@contextmanager
def open_soundtrack(
    wav: Path, output: OutputContainer, suffix: str, heard: AudioStream, source: Path, zero: Fraction
) -> Iterator[Soundtrack]:
    """Add the track that plays ``wav`` to ``output``. ``heard`` is the stream of ``source`` that it is laid under.

    The track has the loudspeakers of ``heard`` where the channels agree.
    Raises RunError (``mix_unreadable``) when ``wav`` cannot be read.
    """
    with _opened(wav) as sound:
        layout = _layout(heard, sound.channels)
        encoder = TrackEncoder(output, suffix, sound.samplerate, layout)
        yield Soundtrack(sound, encoder, AudioAligner(source, sound.samplerate), zero)


def _layout(heard: AudioStream, channels: int) -> str:
    name = str(heard.codec_context.layout.name)
    # "6 channels" is what FFmpeg calls loudspeakers that the file does not name.
    known = heard.codec_context.channels == channels and not name.endswith(" channels")
    return name if known else usual_layout(channels)


@contextmanager
def _opened(wav: Path) -> Iterator[SoundFile]:
    import soundfile

    try:
        with ExitStack() as opened:
            try:
                # Opened here, since libsndfile's wrapper takes no name that is not Unicode.
                file = opened.enter_context(wav.open("rb"))
            except OSError as error:
                raise _unreadable(wav, error) from error
            yield opened.enter_context(soundfile.SoundFile(file))
    except soundfile.LibsndfileError as error:
        raise _unreadable(wav, error) from error


def _unreadable(wav: Path, error: Exception) -> RunError:
    return RunError(f"The mix {wav} cannot be read ({error}): run again.", code="mix_unreadable")
