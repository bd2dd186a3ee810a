"""What is measured of a reference, before anything is synthesized."""

from __future__ import annotations

import numpy as np
import pytest

from voiceclone_worker.engines.kokoro.fitting import TRAITS_RATE, measure_pitch
from voiceclone_worker.engines.kokoro.model import Floats


def voiced(f0_hz: float, lowest_hz: float, seconds: float = 2.0) -> Floats:
    """Return a vowel-like sound whose F0 falls by four semitones, without what lies below ``lowest_hz``."""
    time = np.arange(round(seconds * TRAITS_RATE)) / TRAITS_RATE
    f0 = f0_hz * 2 ** ((2 - 4 * time / seconds) / 12)
    phase = 2 * np.pi * np.cumsum(f0) / TRAITS_RATE
    harmonics = [
        np.sin(number * phase) / (1 + (number * f0 / 600) ** 2) * (number * f0 >= lowest_hz)
        for number in range(1, int(3400 / f0_hz))
    ]
    return (0.1 * np.sum(harmonics, 0)).astype(np.float32)


@pytest.mark.parametrize("f0_hz", [100.0, 130.0, 210.0])
@pytest.mark.parametrize("lowest_hz", [50.0, 300.0])
def test_the_pitch_is_found_with_and_without_the_fundamental(f0_hz: float, lowest_hz: float) -> None:
    """A telephone band begins at 300 Hz."""
    pitch = measure_pitch(voiced(f0_hz, lowest_hz))
    assert pitch is not None
    assert pitch.median == pytest.approx(12 * np.log2(f0_hz), abs=0.7)
    assert 0.7 < pitch.spread < 1.8


def test_silence_has_no_pitch() -> None:
    assert measure_pitch(np.zeros(TRAITS_RATE, np.float32)) is None
