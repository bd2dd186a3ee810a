from __future__ import annotations

import numpy as np
import pytest

from media_samples import Signal, syllables, tone
from voiceclone_cli.timeline.stretch import stretch


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


def test_what_is_said_keeps_its_place_within_a_few_hundredths_of_a_second() -> None:
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


def test_one_changes_nothing_and_nothing_stays_nothing() -> None:
    signal = tone(0.5)
    assert stretch(signal, 16_000, 1.0) is signal
    assert len(stretch(signal[:0], 16_000, 1.3)) == 0


@pytest.mark.parametrize("factor", [0.0, 0.4, 2.1, float("nan")])
def test_other_factors_are_an_error(factor: float) -> None:
    with pytest.raises(ValueError, match="stretched"):
        stretch(tone(0.5), 16_000, factor)
