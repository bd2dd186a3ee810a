"""A file's channels, read apart."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from media_samples import Signal, tone, write_wav
from voiceclone_cli.audio.reader import open_audio

RATE = 48_000


def channels_of(path: Path) -> tuple[tuple[str, ...], Signal]:
    with open_audio(path) as stream:
        return stream.layout, np.concatenate(list(stream.channel_blocks()))


def mean_of(path: Path) -> Signal:
    with open_audio(path) as stream:
        return np.concatenate(list(stream.blocks()))


def encoded(path: Path, codec: str, layout: str, samples: Signal) -> Path:
    """Samples of shape (frames, channels), handed over interleaved."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=RATE, layout=layout)
        resampler = av.AudioResampler(stream.codec_context.format, layout, RATE)
        for start in range(0, len(samples), 1000):
            block = np.ascontiguousarray(samples[start : start + 1000].reshape(1, -1))
            frame = av.AudioFrame.from_ndarray(block, format="flt", layout=layout)
            frame.sample_rate, frame.pts = RATE, start
            for part in resampler.resample(frame):
                container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_channels_of_every_sample_format_come_apart_at_their_level(tmp_path: Path, subtype: str) -> None:
    samples = np.stack([tone(1.5), 0.5 * tone(1.5, hertz=300), 0 * tone(1.5)], axis=1)
    path = write_wav(tmp_path / "in.wav", samples, subtype=subtype)
    _, found = channels_of(path)
    np.testing.assert_allclose(found, samples, atol=0.01 if subtype == "PCM_U8" else 1e-4)
    np.testing.assert_allclose(found.mean(axis=1), mean_of(path), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "codec", "layout", "names"),
    [
        ("in.m4a", "aac", "5.1", ("FL", "FR", "FC", "LFE", "BL", "BR")),
        ("in.m4a", "aac", "7.1", ("FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR")),
        ("in.wv", "wavpack", "7.1", ("FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR")),
    ],
)
def test_surround_sound_names_its_channels(
    tmp_path: Path, name: str, codec: str, layout: str, names: tuple[str, ...]
) -> None:
    levels = np.linspace(0.1, 0.8, len(names), dtype=np.float32)
    path = encoded(tmp_path / name, codec, layout, tone(1.0, RATE, 80, level=1.0)[:, None] * levels)
    found_names, found = channels_of(path)
    assert found_names == names
    heard = np.sqrt(2 * np.mean(np.square(found[4800:-4800]), axis=0))
    np.testing.assert_allclose(heard, levels, atol=0.02)
    np.testing.assert_allclose(found.mean(axis=1), mean_of(path), atol=1e-6)
