"""The new sound as a compressed track.

MP4 takes AAC, which everything plays; its encoder's delay stands in the file's edit list, and every player takes it
out again. Matroska takes FLAC: lossless, and with no delay at all, where for AAC and Opus a player has to know
about CodecDelay.
"""

from __future__ import annotations

import typing
from fractions import Fraction

from voiceclone_cli.media.original import fits_flac
from voiceclone_cli.media.wav import to_pcm16

if typing.TYPE_CHECKING:
    from av import AudioStream
    from av.container import OutputContainer
    from av.packet import Packet
    from av.stream import Stream

    from voiceclone_cli.types import Samples

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
