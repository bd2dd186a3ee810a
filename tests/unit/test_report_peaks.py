"""Waveforms small enough to lie in a page."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pytest
import soundfile

from voiceclone_cli.report import peaks


def written(path: Path, samples: np.ndarray, rate: int = 8000) -> Path:
    soundfile.write(path, samples, rate, subtype="FLOAT")
    return path


def bytes_of(found: peaks.Peaks | None) -> list[int]:
    assert found is not None
    return list(base64.b64decode(found.base64))


def test_a_peak_is_the_loudest_sample_of_its_hundredth_of_a_second(tmp_path: Path) -> None:
    samples = np.zeros(800)
    samples[85], samples[799] = -0.5, 1.0
    found = peaks.read_peaks(written(tmp_path / "a.wav", samples))
    assert found is not None and (found.seconds, found.per_second) == (0.1, 100.0)
    assert bytes_of(found) == [0, 128, *[0] * 7, 255]


def test_rates_that_are_no_multiple_do_not_drift(tmp_path: Path) -> None:
    rate = 11_025
    samples = np.zeros(rate * 60)
    samples[rate * 59 + 5] = 1.0
    found = bytes_of(peaks.read_peaks(written(tmp_path / "a.wav", samples, rate)))
    assert len(found) == 6000 and found.index(255) == 5900


def test_blocks_make_no_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "a.wav", np.random.default_rng(1).uniform(-1, 1, 11_111), 7919)
    whole = peaks.read_peaks(path)
    monkeypatch.setattr(peaks, "_BINS_AT_ONCE", 7)
    assert peaks.read_peaks(path) == whole


def test_long_recordings_are_drawn_more_coarsely(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peaks, "MOST", 50)
    found = peaks.read_peaks(written(tmp_path / "a.wav", np.ones(16_000)))
    assert found is not None and found.per_second == 25.0
    assert bytes_of(found) == [255] * 50


def test_the_loudest_channel_counts_and_what_is_no_number_is_silence(tmp_path: Path) -> None:
    samples = np.zeros((160, 2))
    samples[10] = (0.0, -1.0)
    samples[100] = np.nan
    assert bytes_of(peaks.read_peaks(written(tmp_path / "a.wav", samples))) == [255, 0]


def test_what_is_no_sound_has_no_peaks(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"RIFF, but no more")
    assert peaks.read_peaks(tmp_path / "a.wav") is None
    assert peaks.read_peaks(tmp_path / "missing.wav") is None


def test_a_sound_without_samples_has_no_bars(tmp_path: Path) -> None:
    assert bytes_of(peaks.read_peaks(written(tmp_path / "a.wav", np.zeros(0)))) == []
