from __future__ import annotations

import numpy as np
import pytest

from media_samples import syllables, tone
from voiceclone_cli.timeline.loudness import LIMITER_KNEE, limit, speech_level_db


@pytest.mark.parametrize("rate", [8_000, 16_000, 24_000, 44_100])
def test_the_level_of_a_tone_is_its_power(rate: int) -> None:
    assert speech_level_db(tone(1.0, rate, level=0.1), rate) == pytest.approx(-23.01, abs=0.05)


def test_pauses_do_not_count() -> None:
    speech = tone(1.0, level=0.1)
    paused = np.concatenate([np.zeros(32_000, np.float32), speech, np.zeros(64_000, np.float32)])
    assert speech_level_db(paused, 16_000) == pytest.approx(speech_level_db(speech, 16_000), abs=0.1)


def test_noise_far_below_the_speech_does_not_count() -> None:
    speech = tone(1.0, level=0.3)
    hiss = 0.003 * np.random.default_rng(0).standard_normal(160_000).astype(np.float32)
    noisy = np.concatenate([speech, hiss])
    assert speech_level_db(noisy, 16_000) == pytest.approx(speech_level_db(speech, 16_000), abs=0.1)


def test_twice_as_loud_is_six_decibels_more() -> None:
    quiet, loud = (speech_level_db(syllables(3.0, level=level), 16_000) for level in (0.2, 0.4))
    assert quiet is not None and loud is not None
    assert loud - quiet == pytest.approx(6.02, abs=0.05)


@pytest.mark.parametrize("samples", [tone(0.0), tone(0.05), tone(2.0, level=0.0), tone(2.0, level=0.001)])
def test_where_nobody_speaks_there_is_no_level(samples: np.ndarray) -> None:
    assert speech_level_db(samples, 16_000) is None


def test_the_limiter_changes_nothing_up_to_its_knee() -> None:
    samples = np.linspace(-LIMITER_KNEE, LIMITER_KNEE, 1001)
    np.testing.assert_array_equal(limit(samples), samples)


def test_the_limiter_is_smooth_rising_and_never_passes_full_scale() -> None:
    loud = np.linspace(0.0, 8.0, 800_001)
    limited = limit(loud)
    slope = np.diff(limited) / np.diff(loud)
    assert limited.max() <= 1.0
    assert slope.min() >= 0.0
    assert np.abs(np.diff(slope)).max() < 0.001
    np.testing.assert_array_equal(limit(-loud), -limited)
