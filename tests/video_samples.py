"""Small real videos of every kind for tests, made with PyAV, and looks into those that come out."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import soundfile
from numpy.typing import NDArray

from media_samples import Signal

PICTURES_PER_SECOND = 25
RATE = 48_000

VIDEO_CODECS = {
    ".mp4": "mpeg4",
    ".mov": "mpeg4",
    ".mkv": "mpeg4",
    ".avi": "mpeg4",
    ".webm": "libvpx",
    ".ts": "mpeg2video",
    ".asf": "wmv2",
}
AUDIO_CODECS = {".webm": "libopus", ".ts": "mp2", ".avi": "libmp3lame", ".asf": "libmp3lame"}


@dataclass(frozen=True)
class Film:
    """What a sample video is made of. Times in seconds."""

    seconds: float = 3.0
    picture_start: float = 0.0
    sound_start: float = 0.0
    codec: str | None = None
    sound_codec: str | None = None
    sounds: Sequence[Signal] = ()
    """One track each; none: a second of noise, repeated."""
    channels: str = "mono"
    languages: Sequence[str] = ("eng", "fra")
    pictures: int = 1
    uneven: bool = False
    """Pictures at uneven times."""
    b_frames: int = 0
    x264: str = ""
    """Parameters of libx264."""
    metadata: Mapping[str, str] = field(default_factory=dict)


def noise(seconds: float, seed: int = 0, rate: int = RATE) -> Signal:
    """Noise without the highest octave, which lossy codecs change: to find places to the sample in."""
    signal = np.random.default_rng(seed).standard_normal(round(seconds * rate)).astype(np.float32)
    smooth = np.convolve(signal, np.hanning(9), mode="same").astype(np.float32)
    loud: Signal = smooth / (2 * np.abs(smooth).max())
    return loud


def write_film(path: Path, film: Film = Film()) -> Path:
    """A moving test picture with sound."""
    with av.open(str(path), "w") as container:
        container.metadata.update(film.metadata)
        shows = [_add_pictures(container, path.suffix, film) for _ in range(film.pictures)]
        sounds = film.sounds or (noise(film.seconds),)
        tracks = []
        for _, language in zip(sounds, film.languages, strict=False):
            codec = film.sound_codec or AUDIO_CODECS.get(path.suffix, "aac")
            track = container.add_stream(codec, rate=RATE, layout=film.channels)
            track.metadata["language"] = language
            tracks.append(track)
        for number, show in enumerate(shows):
            _encode_pictures(container, show, film, number)
        for track, sound in zip(tracks, sounds, strict=True):
            _encode_sound(container, track, sound, film)
    return path


def remux(
    source: Path,
    out: Path,
    change: Callable[[av.container.OutputContainer], object] = lambda output: None,
    moved: Callable[[av.Packet], float] = lambda packet: 0.0,
    first: Sequence[tuple[str, Sequence[tuple[float, float, str]]]] = (),
) -> Path:
    """Copy a video; ``change`` may add to the output, ``moved`` gives seconds to move a packet by, ``first`` are
    subtitle tracks: a codec and its cues (start, end, text)."""
    with av.open(str(source)) as old, av.open(str(out), "w") as new:
        new.metadata.update(old.metadata)
        streams = {stream.index: new.add_stream_from_template(stream, opaque=True) for stream in old.streams}
        for stream in old.streams:
            streams[stream.index].metadata.update(stream.metadata)
        cues = [cue for codec, texts in first for cue in _cues(new, codec, texts)]
        change(new)
        new.mux(cues)
        for packet in old.demux():
            if packet.dts is None and packet.pts is None:
                continue
            shift = round(moved(packet) / packet.time_base)
            packet.pts = None if packet.pts is None else packet.pts + shift
            packet.dts = None if packet.dts is None else packet.dts + shift
            packet.stream = streams[packet.stream.index]
            new.mux(packet)
    return out


def write_mix(path: Path, signal: NDArray[np.float32], rate: int = RATE) -> NDArray[np.float32]:
    """A wav of shape (samples,) or (samples, channels); the values that it really holds."""
    soundfile.write(path, signal, rate, subtype="PCM_16")
    values: NDArray[np.float32] = soundfile.read(path, dtype="float32")[0]
    return values


def rotate(path: Path) -> Path:
    """Write a quarter turn into the track header of an mp4."""
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 44
    one = 1 << 16
    data[matrix : matrix + 36] = struct.pack(">9i", 0, one, 0, -one, 0, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


@dataclass(frozen=True)
class Track:
    """A stream as a player meets it."""

    kind: str
    codec: str
    metadata: Mapping[str, str]
    disposition: int
    payloads: Sequence[str]
    """SHA-256 of each packet."""
    times: Sequence[Fraction]
    """Presentation times of the packets in seconds, in their order; empty where there are none."""


def tracks(path: Path) -> list[Track]:
    packets: dict[int, list[tuple[Fraction | None, str]]] = {}
    with av.open(str(path)) as container:
        for packet in container.demux():
            if packet.size:
                time = None if packet.pts is None else packet.pts * packet.time_base
                packets.setdefault(packet.stream.index, []).append((time, hashlib.sha256(packet).hexdigest()))
        return [
            Track(
                stream.type,
                stream.codec_context.name if stream.codec_context else "",
                dict(stream.metadata),
                int(stream.disposition),
                [digest for _, digest in packets.get(stream.index, [])],
                [time for time, _ in packets.get(stream.index, []) if time is not None],
            )
            for stream in container.streams
        ]


def kinds(path: Path) -> list[str]:
    return [track.kind for track in tracks(path)]


def decoded(path: Path, track: int = 0) -> tuple[Fraction, int, NDArray[np.float32]]:
    """The start in seconds, the rate, and the sound (samples, channels) of an audio track, as a player hears it."""
    with av.open(str(path)) as container:
        frames = list(container.decode(container.streams.audio[track]))
    first = frames[0]
    assert first.pts is not None and first.time_base is not None
    # Interleaved, since PyAV reads past the end of eight planes.
    interleave = av.AudioResampler(format="flt", layout=first.layout, rate=first.sample_rate)
    parts = [part.to_ndarray().ravel() for frame in frames for part in interleave.resample(frame)]
    samples = np.concatenate(parts).reshape(-1, first.layout.nb_channels)
    return first.pts * first.time_base, first.sample_rate, samples


def lag(sound: NDArray[np.float32], part: NDArray[np.float32]) -> int:
    """By how many samples ``part`` comes later in ``sound`` than at its start."""
    size = 1 << (len(sound) + len(part)).bit_length()
    product = np.fft.rfft(sound, size) * np.conj(np.fft.rfft(part, size))
    best = int(np.fft.irfft(product, size).argmax())
    return best if best < size // 2 else best - size


def _add_pictures(container: av.container.OutputContainer, suffix: str, film: Film) -> av.VideoStream:
    show = container.add_stream(film.codec or VIDEO_CODECS[suffix], rate=PICTURES_PER_SECOND)
    assert isinstance(show, av.VideoStream)
    show.width, show.height = 64, 48
    show.pix_fmt = "yuv422p10le" if film.codec == "prores_ks" else "yuv420p"
    show.codec_context.max_b_frames = film.b_frames
    if film.x264:
        show.codec_context.options = {"x264-params": film.x264}
    if film.uneven:
        show.codec_context.time_base = Fraction(1, 1000)
    return show


def _encode_pictures(
    container: av.container.OutputContainer, show: av.VideoStream, film: Film, number: int
) -> None:
    unit = Fraction(1, 1000) if film.uneven else Fraction(1, PICTURES_PER_SECOND)
    for index in range(round(film.seconds * PICTURES_PER_SECOND)):
        time = film.picture_start + (index + (index % 3) / 4 if film.uneven else index) / PICTURES_PER_SECOND
        picture = np.full((48, 64, 3), (7 * index + 90 * number) % 256, np.uint8)
        picture[:, index % 64] = 255
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts, frame.time_base = round(time / unit), unit
        container.mux(show.encode(frame))
    container.mux(show.encode(None))


def _encode_sound(
    container: av.container.OutputContainer, track: av.AudioStream, sound: Signal, film: Film
) -> None:
    form, layout = track.codec_context.format, track.layout
    resampler = av.AudioResampler(format=form, layout=layout, rate=RATE)
    channels = np.repeat(sound, layout.nb_channels)
    for start in range(0, len(sound), RATE):
        part = channels[start * layout.nb_channels : (start + RATE) * layout.nb_channels]
        frame = av.AudioFrame.from_ndarray(part[None, :], format="flt", layout=layout)
        frame.sample_rate, frame.pts = RATE, start + round(film.sound_start * RATE)
        frame.time_base = Fraction(1, RATE)
        for part in resampler.resample(frame):
            container.mux(track.encode(part))
    container.mux(track.encode(None))


def _cues(
    container: av.container.OutputContainer, codec: str, texts: Sequence[tuple[float, float, str]]
) -> list[av.Packet]:
    stream = container.add_stream(codec)
    stream.codec_context.subtitle_header = (
        b"[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\nFormat: Name, Fontname, Fontsize\n"
        b"Style: Default,Arial,16\n\n[Events]\nFormat: Layer, Start, End, Style, Text\n"
    )
    packets = []
    for start, end, text in texts:
        data = text.encode()
        packet = av.Packet(struct.pack(">H", len(data)) + data if codec == "mov_text" else data)
        packet.stream, packet.time_base = stream, Fraction(1, 1000)
        packet.pts = packet.dts = round(start * 1000)
        packet.duration = round((end - start) * 1000)
        packets.append(packet)
    return packets
