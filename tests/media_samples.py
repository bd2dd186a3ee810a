"""Real media files for tests: signals and small files of every container, written through PyAV and soundfile."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import soundfile
from numpy.typing import NDArray

from voiceclone_cli.pipeline.demo import sample_recording

Signal = NDArray[np.float32]

PICTURES_PER_SECOND = 10

CODECS = {
    ".mp4": "aac",
    ".m4a": "aac",
    ".mkv": "aac",
    ".mp3": "libmp3lame",
    ".ogg": "libopus",
    ".opus": "libopus",
    ".webm": "libopus",
    ".flac": "flac",
}

RARER_CODECS = {
    ".aac": "aac",
    ".ac3": "ac3",
    ".asf": "libmp3lame",
    ".avi": "libmp3lame",
    ".mpg": "mp2",
    ".ts": "mp2",
    ".tta": "tta",
    ".wv": "wavpack",
}
"""Of these some say nothing of their length, or not exactly."""


def tone(seconds: float, rate: int = 16_000, hertz: float = 440.0, level: float = 0.3) -> Signal:
    """A sine of peak ``level``."""
    time = np.arange(round(seconds * rate)) / rate
    return (level * np.sin(2 * np.pi * hertz * time)).astype(np.float32)


def syllables(seconds: float, rate: int = 16_000, level: float = 0.3, seed: int = 0) -> Signal:
    """Noise in bursts of a fifth of a second with pauses between: a stand-in for speech and its level."""
    noise = np.random.default_rng(seed).standard_normal(round(seconds * rate)).astype(np.float32)
    time = np.arange(len(noise)) / rate
    envelope = np.clip(np.sin(2 * np.pi * 2.5 * time), 0, None).astype(np.float32)
    return level * np.clip(noise / 3, -1, 1) * envelope


def conversation() -> Path:
    """pyannote.audio's own sample: 30 s, two people on the telephone, 16 kHz mono."""
    return sample_recording()


def write_media(
    path: Path,
    samples: Signal,
    rate: int = 48_000,
    *,
    channels: int = 1,
    video: bool = False,
    seconds: float = 0.0,
) -> Path:
    """Encode a mono signal (the same in each of 1 or 2 channels) with the codec of ``path``'s suffix.

    ``video`` adds a small moving picture of ``seconds`` (the signal's length when 0). MP4 files begin with their index, so that
    a cut one still opens.
    """
    options = {"movflags": "+faststart"} if path.suffix in (".mp4", ".m4a") else {}
    with av.open(str(path), "w", options=options) as container:
        # All streams must be there before the first packet.
        pictures = container.add_stream("mpeg4", rate=PICTURES_PER_SECOND) if video else None
        audio = container.add_stream({**CODECS, **RARER_CODECS}[path.suffix], rate=rate)
        audio.layout = "stereo" if channels == 2 else "mono"
        if pictures is not None:
            pictures.width, pictures.height, pictures.pix_fmt = 64, 48, "yuv420p"
            _encode_pictures(container, pictures, seconds or len(samples) / rate)
        _encode_audio(container, audio, samples, rate, channels)
    return path


def write_wav(path: Path, samples: Signal, rate: int = 16_000, subtype: str = "PCM_16") -> Path:
    """Any wav (or other file of soundfile's): samples of shape (frames,) or (frames, channels)."""
    soundfile.write(path, samples, rate, subtype=subtype)
    return path


def cut(path: Path, share: float = 0.5) -> Path:
    """Keep the first part of a file's bytes, as a broken download does."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def _encode_pictures(container: av.container.OutputContainer, stream: av.VideoStream, seconds: float) -> None:
    for index in range(round(seconds * PICTURES_PER_SECOND)):
        picture = np.full((48, 64, 3), index % 256, np.uint8)
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts, frame.time_base = index, Fraction(1, PICTURES_PER_SECOND)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def _encode_audio(
    container: av.container.OutputContainer, stream: av.AudioStream, samples: Signal, rate: int, channels: int
) -> None:
    resampler = av.AudioResampler(format=stream.codec_context.format, layout=stream.layout, rate=rate)
    for start in range(0, len(samples), rate):
        block = np.tile(samples[start : start + rate], (channels, 1))
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(block), format="fltp", layout="stereo" if channels == 2 else "mono"
        )
        frame.sample_rate, frame.pts = rate, start
        for part in resampler.resample(frame):
            container.mux(stream.encode(part))
    for part in resampler.resample(None):
        container.mux(stream.encode(part))
    container.mux(stream.encode(None))
