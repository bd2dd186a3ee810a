"""New tracks of a dubbed video: the mix, subtitles from the script, covers."""

from __future__ import annotations

import struct
import typing
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import soundfile
import soxr
from av import AudioStream, VideoStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.subtitles.stream import SubtitleStream
from soundfile import SoundFile

from voiceclone_cli.audio.dsp import Samples
from voiceclone_cli.audio.writer import fits_flac, to_pcm16
from voiceclone_cli.errors import RunError
from voiceclone_cli.types import Segment
from voiceclone_cli.video.captions import caption_cues
from voiceclone_cli.video.source import first_packets

_BLOCK = 1 << 16

# MP4 gets AAC, which everything plays; the edit list has the encoder's delay, and every player removes it. Matroska
# gets FLAC: lossless and without a delay, while for AAC and Opus a player has to support CodecDelay.
_AAC_RATES = (16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
"""Hz. AAC has more, which phones and televisions do not play."""
_FLAC_MAX_RATE = 192_000
_DEFAULT_RATE = 48_000
_BITS_PER_CHANNEL = 96_000
_BITS_OF_MONO = 128_000
_AAC_MAX_BITS_PER_SAMPLE = 6
"""6144 bits in a frame of 1024 samples (ISO/IEC 14496-3)."""
_LAYOUTS = ("mono", "stereo", "3.0", "4.0", "5.0", "5.1", "6.1", "7.1")
_AAC_LAYOUTS = {"quad(side)": "quad", "5.0(side)": "5.0", "5.1(side)": "5.1"}
"""AAC's surround speakers are at the back; the channels stay the same."""


class Soundtrack:
    """The new audio track: the mix, whose first sample is the start of the film."""

    def __init__(self, path: Path, wav: SoundFile, encoder: TrackEncoder) -> None:
        self._path = path
        self._wav = wav
        self._encoder = encoder

    @property
    def stream(self) -> AudioStream:
        """The track in the output."""
        return self._encoder.stream

    def until(self, seconds: float) -> Iterator[Packet[Stream]]:
        """Yield the mix up to this time of the film. Raises RunError (``mix_unreadable``)."""
        end = min(len(self._wav), round(seconds * self._wav.samplerate))
        while (length := end - self._wav.tell()) > 0:
            try:
                block: Samples = self._wav.read(min(_BLOCK, length), dtype="float32", always_2d=True)
            except soundfile.LibsndfileError as error:
                raise _unreadable(self._path, error) from error
            if not len(block):
                return
            yield from self._encoder.encode(block)

    def finish(self) -> Iterator[Packet[Stream]]:
        """Yield the rest of the mix, and what the encoder has delayed."""
        yield from self.until(len(self._wav) / self._wav.samplerate)
        yield from self._encoder.finish()


@contextmanager
def open_soundtrack(
    wav: Path, output: OutputContainer, suffix: str, original: AudioStream
) -> Iterator[Soundtrack]:
    """Add the track that plays ``wav`` from the start of the film to ``output``.

    It has the channel layout of ``original``, the track that was read, if the number of channels is the same.
    Raises RunError (``mix_unreadable``) when ``wav`` cannot be read.
    """
    with ExitStack() as stack:
        try:
            # Opened here, since libsndfile's wrapper accepts Unicode names only.
            file = stack.enter_context(wav.open("rb"))
        except OSError as error:
            raise _unreadable(wav, error) from error
        try:
            sound = stack.enter_context(soundfile.SoundFile(file))
        except soundfile.LibsndfileError as error:
            raise _unreadable(wav, error) from error
        layout = _layout(original, sound.channels)
        yield Soundtrack(wav, sound, TrackEncoder(output, suffix, sound.samplerate, layout))


def _unreadable(wav: Path, error: Exception) -> RunError:
    return RunError(f"The mix {wav} cannot be read ({error}): run again.", code="mix_unreadable")


def _layout(original: AudioStream, channels: int) -> str:
    name = str(original.codec_context.layout.name)
    # FFmpeg calls a layout that the file does not name "6 channels".
    is_named = original.codec_context.channels == channels and not name.endswith(" channels")
    return name if is_named else default_layout(channels)


def default_layout(channels: int) -> str:
    """Return FFmpeg's name of the usual layout of 1 to 8 channels."""
    return _LAYOUTS[channels - 1]


class TrackEncoder:
    """An audio track of an output. Create it before the first packet of the output."""

    def __init__(self, output: OutputContainer, suffix: str, rate: int, layout: str) -> None:
        """``rate`` and ``layout`` are those of the samples to encode; the track may have another rate."""
        codec = "flac" if suffix == ".mkv" else "aac"
        self._rate = track_rate(rate, codec)
        self._layout = _AAC_LAYOUTS.get(layout, layout) if codec == "aac" else layout
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
        """Return the packets that are complete. ``samples`` has the shape (samples, channels)."""
        if self._resampler is not None:
            samples = self._resampler.resample_chunk(samples)
        return self._encode(samples)

    def finish(self) -> list[Packet[Stream]]:
        """Return the delayed packets."""
        packets: list[Packet[Stream]] = []
        if self._resampler is not None:
            nothing = np.zeros((0, self.stream.codec_context.channels), np.float32)
            packets += self._encode(self._resampler.resample_chunk(nothing, last=True))
        return packets + self.stream.encode(None)

    def _encode(self, samples: Samples) -> list[Packet[Stream]]:
        if not len(samples):
            return []
        # Interleaved for every encoder: PyAV reads past the end of eight planes.
        is_16_bit = self.stream.codec_context.format.name == "s16"
        data = to_pcm16(samples) if is_16_bit else samples
        frame = av.AudioFrame.from_ndarray(
            data.reshape(1, -1), format="s16" if is_16_bit else "flt", layout=self._layout
        )
        frame.sample_rate, frame.pts = self._rate, self._position
        frame.time_base = Fraction(1, self._rate)
        self._position += len(samples)
        return self.stream.encode(frame)


def track_rate(rate: int, codec: str) -> int:
    """Return the rate of a track with audio at ``rate``: the same, unless players are known to refuse it."""
    if codec == "aac":
        return rate if rate in _AAC_RATES else _DEFAULT_RATE
    return rate if rate <= _FLAC_MAX_RATE and fits_flac(rate) else _DEFAULT_RATE


def bit_rate(rate: int, channels: int) -> int:
    """Return bits a second, well above where AAC is transparent for speech, within the limits of the format."""
    wanted = _BITS_OF_MONO if channels == 1 else _BITS_PER_CHANNEL
    return channels * min(wanted, _AAC_MAX_BITS_PER_SAMPLE * rate)


# Subtitles: "mov_text" (3GPP timed text) in MP4, "subrip" in Matroska

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
"""Header that FFmpeg's subtitle encoders require: white letters at the lower edge, the default of players."""


class CaptionTrack:
    """A subtitle track of an output, whose packets are taken in step with the pictures."""

    def __init__(
        self, output: OutputContainer, suffix: str, segments: Sequence[Segment], height: int
    ) -> None:
        """``height`` is that of the pictures in pixels, for the size of the letters."""
        self._is_mp4 = suffix == ".mp4"
        self._cues = iter(caption_cues(segments))
        self._next = next(self._cues, None)
        codec, options = ("mov_text", {"height": str(height)}) if self._is_mp4 else ("subrip", {})
        self.stream = typing.cast("SubtitleStream", output.add_stream(codec, options=options))
        self.stream.codec_context.subtitle_header = _STYLE
        self.stream.time_base = Fraction(1, 1000)

    def until(self, seconds: float) -> Iterator[Packet[Stream]]:
        """Yield the remaining cues that start up to this time."""
        while self._next is not None and self._next[0] <= seconds * 1000:
            yield self._packet(*self._next)
            self._next = next(self._cues, None)

    def _packet(self, start: int, end: int, text: str) -> Packet[Stream]:
        data = text.encode("utf-8")
        packet = av.Packet(struct.pack(">H", len(data)) + data if self._is_mp4 else data)
        packet.stream, packet.time_base = self.stream, Fraction(1, 1000)
        packet.pts = packet.dts = start
        packet.duration = end - start
        packet.is_keyframe = True
        return packet


# Cover pictures: metadata in MP4, attachments in Matroska

_COVER_TYPES = {"mjpeg": ("jpg", "image/jpeg"), "png": ("png", "image/png"), "bmp": ("bmp", "image/bmp")}
"""Suffix and media type by FFmpeg's codec name; MP4 supports these three."""


def cover_streams(source: InputContainer) -> list[Stream]:
    """Return the covers, which FFmpeg presents as video streams of one packet."""
    return [
        stream
        for stream in source.streams.video
        if stream.disposition & Disposition.attached_pic
        and stream.codec_context is not None
        and stream.codec_context.name in _COVER_TYPES
    ]


def add_covers(
    output: OutputContainer, source: InputContainer, path: Path, suffix: str
) -> list[Packet[Stream]]:
    """Add the covers of the video at ``path`` and return their packets, which must be the first of the output.

    Raises InputError (``media_damaged``).
    """
    streams = cover_streams(source)
    pictures = first_packets(path, [stream.index for stream in streams])
    packets = []
    for stream in streams:
        if stream.index not in pictures:
            continue
        if suffix == ".mkv":
            ending, media_type = _COVER_TYPES[stream.codec_context.name]
            name = stream.metadata.get("filename", f"cover.{ending}")
            output.add_attachment(name, media_type, pictures[stream.index])
        else:
            packets.append(_cover_packet(output, stream, pictures[stream.index]))
    return packets


def _cover_packet(output: OutputContainer, stream: Stream, picture: bytes) -> Packet[Stream]:
    copy = typing.cast("VideoStream", output.add_stream_from_template(stream, opaque=True))
    copy.disposition = stream.disposition
    if not copy.codec_context.width:
        # Any size: the muxer requires one and writes none.
        copy.codec_context.width = copy.codec_context.height = 1
    packet = av.Packet(picture)
    packet.stream, packet.time_base = copy, Fraction(1, 1000)
    packet.pts = packet.dts = 0
    packet.is_keyframe = True
    return packet
