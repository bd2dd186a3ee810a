"""Speech level, limiter and time stretching."""

from __future__ import annotations

import numpy as np
import pytest

from media_samples import Signal, syllables, tone
from voiceclone_cli.audio.dsp import LIMITER_KNEE, limit, speech_level_db, stretch


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
def test_silence_has_no_speech_level(samples: np.ndarray) -> None:
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


def pitch(samples: Signal, rate: int) -> float:
    """Hz of the strongest line of the spectrum."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.fft.rfftfreq(len(samples), 1 / rate)[spectrum.argmax()])


@pytest.mark.parametrize("rate", [16_000, 24_000, 44_100, 48_000])
@pytest.mark.parametrize("factor", [0.8, 1.0001, 1.15, 1.3, 2.0])
def test_the_length_is_exact(rate: int, factor: float) -> None:
    for frames in (7, 1000, rate + 13, 2 * rate):
        assert len(stretch(syllables(2.0, rate)[:frames], rate, factor)) == round(frames / factor)


def test_the_pitch_stays() -> None:
    faster = stretch(tone(3.0, 24_000, hertz=220.0), 24_000, 1.3)
    assert pitch(faster, 24_000) == pytest.approx(220.0, abs=1.0)


def test_events_stay_in_place_within_a_few_hundredths_of_a_second() -> None:
    rate, factor = 24_000, 1.3
    signal = np.zeros(4 * rate, np.float32)
    for second in (0.5, 1.5, 2.5, 3.9):
        signal[round(second * rate) :][: rate // 20] = tone(0.05, rate)
    faster = np.abs(stretch(signal, rate, factor)) > 0.1
    for second in (0.5, 1.5, 2.5, 3.9):
        near = slice(round((second / factor - 0.03) * rate), round((second / factor + 0.07) * rate))
        assert faster[near].any(), second


def test_the_last_word_is_not_lost() -> None:
    rate = 24_000
    signal = np.concatenate([np.zeros(rate, np.float32), tone(0.3, rate)])
    faster = stretch(signal, rate, 1.25)
    assert np.abs(faster[-round(0.2 * rate) : -round(0.04 * rate)]).max() > 0.25


def test_a_factor_of_one_and_silence_stay_unchanged() -> None:
    signal = tone(0.5)
    assert stretch(signal, 16_000, 1.0) is signal
    assert len(stretch(signal[:0], 16_000, 1.3)) == 0


@pytest.mark.parametrize("factor", [0.0, 0.4, 2.1, float("nan")])
def test_factors_out_of_range_are_an_error(factor: float) -> None:
    with pytest.raises(ValueError, match="stretch factor"):
        stretch(tone(0.5), 16_000, factor)
