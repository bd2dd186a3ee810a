"""Measurements of a wav that need no model; silence needs none at all."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import pytest

from media_samples import syllables, tone, write_wav
from voiceclone_cli.errors import RunError
from voiceclone_cli.evaluation.metrics import (
    MetricModels,
    clipped_samples,
    embedding_from_text,
    embedding_to_text,
    measure,
    read_wav,
    weighted_mean,
)


class UnusableModels:
    """Models that must not be asked for measurements."""

    def measure(self, speech: object, language: str) -> None:
        raise AssertionError("a model was asked about silence")


NO_MODELS = cast(MetricModels, UnusableModels())


def test_silence_needs_no_model(tmp_path: Path) -> None:
    metrics = measure(write_wav(tmp_path / "a.wav", np.zeros(24_000, np.float32), 24_000), "en", NO_MODELS)
    assert metrics["level_db"] is None
    assert (metrics["seconds"], metrics["words"], metrics["mos"], metrics["peak_db"]) == (1.0, "", None, None)


def test_sound_far_below_speech_is_silence(tmp_path: Path) -> None:
    metrics = measure(write_wav(tmp_path / "a.wav", syllables(1.0, level=2e-4)), "en", NO_MODELS)
    assert metrics["level_db"] is None


def test_an_empty_wav_is_silence(tmp_path: Path) -> None:
    metrics = measure(write_wav(tmp_path / "a.wav", np.zeros(0, np.float32)), "en", NO_MODELS)
    assert metrics["level_db"] is None and metrics["seconds"] == 0.0


def test_samples_at_full_scale_count_from_three_in_a_row() -> None:
    signal = np.zeros(100, np.float32)
    signal[10:12] = 1.0
    assert clipped_samples(signal) == 0
    signal[20:23] = -1.0
    signal[97:] = 1.0
    assert clipped_samples(signal) == 6


def test_a_loud_tone_is_not_clipped_and_an_overdriven_one_is() -> None:
    assert clipped_samples(tone(1.0, level=0.99)) == 0
    assert clipped_samples(np.clip(tone(1.0, level=2.0), -1, 1)) > 1000


def test_channels_are_measured_as_their_mean(tmp_path: Path) -> None:
    both = np.stack([tone(0.5), np.zeros(8000, np.float32)], axis=1)
    samples, rate = read_wav(write_wav(tmp_path / "a.wav", both))
    assert rate == 16_000 and samples.shape == (8000,)
    assert np.abs(samples).max() == pytest.approx(0.15, abs=0.001)


@pytest.mark.parametrize("data", [b"", b"RIFF", b"no wav at all" * 100])
def test_another_file_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "0001.wav"
    path.write_bytes(data)
    with pytest.raises(RunError) as raised:
        read_wav(path)
    assert raised.value.code == "speech_unreadable"


def test_a_missing_wav_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"missing\.wav"):
        read_wav(tmp_path / "missing.wav")


def test_an_embedding_survives_its_file_to_the_last_bit() -> None:
    embedding = np.random.default_rng(0).standard_normal(192).astype(np.float32)
    assert np.array_equal(embedding_from_text(embedding_to_text(embedding)), embedding)


def test_a_mean_voice_leans_to_the_longer_sample() -> None:
    one, other = np.eye(2, dtype=np.float32)
    mean = weighted_mean([(one, 3.0), (other, 1.0)])
    assert np.linalg.norm(mean) == pytest.approx(1.0)
    assert mean @ one > mean @ other
