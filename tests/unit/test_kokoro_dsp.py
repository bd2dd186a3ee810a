"""Measurements of a signal, and the equaliser."""

from __future__ import annotations

import numpy as np
import pytest

from voiceclone_worker.engines.kokoro import dsp
from voiceclone_worker.engines.kokoro.dsp import level, speech_seconds, trim, without_gaps
from voiceclone_worker.engines.kokoro.model import RATE, Floats


def noise(seconds: float, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).normal(0, 0.1, round(seconds * RATE)).astype(np.float32)


def silence(seconds: float) -> Floats:
    return np.zeros(round(seconds * RATE), np.float32)


def test_trimming_takes_the_silent_ends_and_nothing_inside() -> None:
    speech = np.concatenate([noise(0.5), silence(0.4), noise(0.5)])
    padded = np.concatenate([silence(0.3), speech, silence(0.7)])
    assert np.array_equal(trim(padded, RATE), speech)
    assert len(trim(padded, RATE, keep_seconds=0.02)) == len(speech) + round(0.04 * RATE)


def test_trimming_silence_leaves_it() -> None:
    assert len(trim(silence(1.0), RATE)) == RATE


def test_the_gaps_between_the_parts_of_a_reference_go() -> None:
    parts = np.concatenate([noise(0.5), silence(0.15), noise(0.5)])
    assert np.array_equal(without_gaps(parts, RATE), np.concatenate([noise(0.5), noise(0.5)]))
    assert len(without_gaps(silence(1.0), RATE)) == 0


def test_pauses_are_no_speech_but_short_gaps_are() -> None:
    signal = np.concatenate([silence(0.5), noise(1.0), silence(0.5), noise(1.0), silence(0.05), noise(1.0)])
    assert speech_seconds(signal, RATE) == pytest.approx(3.05, abs=0.02)
    assert speech_seconds(silence(1.0), RATE) == 0.0
    assert speech_seconds(silence(0.0), RATE) == 0.0


@pytest.mark.parametrize("samples", [1, 255, 256, 1024, 24_001])
def test_a_signal_comes_back_from_its_short_time_spectrum(samples: int) -> None:
    signal = noise(1.1)[:samples]
    back = dsp.resynthesize(dsp.short_time_spectrum(signal), samples)
    assert np.abs(back - signal).max() < 1e-9


def test_equal_spectra_need_no_equaliser() -> None:
    spectrum = dsp.long_term_spectrum(noise(2.0))
    assert np.allclose(dsp.design_equaliser(spectrum, spectrum), 1.0)


def test_the_equaliser_carries_one_spectrum_to_another() -> None:
    white = noise(4.0)
    dark = np.convolve(noise(4.0, seed=1), np.ones(6) / 6, "same").astype(np.float32)
    target = dsp.long_term_spectrum(dark)
    gains = dsp.design_equaliser(target, dsp.long_term_spectrum(white))
    shaped = dsp.long_term_spectrum(dsp.apply_equaliser(white, gains, 0.1))
    speech = slice(20, 130)  # 470 Hz to 3 kHz

    def distance(spectrum: dsp.Doubles) -> float:
        difference = (target - spectrum)[speech]
        return float(np.std(difference))

    assert distance(shaped) < 0.2 * distance(dsp.long_term_spectrum(white))


def test_the_equaliser_leaves_what_lies_above_8_khz() -> None:
    gains = dsp.design_equaliser(np.linspace(0, 40, dsp.BINS), np.zeros(dsp.BINS))
    assert np.all(gains[np.linspace(0, 12_000, dsp.BINS) >= 8000] == 1.0)
    assert gains.max() <= np.exp(2.5) + 1e-5


def test_equalising_sets_the_level_and_never_clips() -> None:
    flat = np.ones(dsp.BINS, np.float32)
    assert level(dsp.apply_equaliser(noise(1.0), flat, 0.05)) == pytest.approx(0.05, rel=1e-4)
    assert np.abs(dsp.apply_equaliser(noise(1.0), flat, 0.9)).max() == pytest.approx(0.98, abs=1e-4)
