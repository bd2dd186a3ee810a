"""Where a sound is quiet enough to be cut."""

from __future__ import annotations

import numpy as np
import pytest

from casting_samples import RATE, sound_of, speech
from voiceclone_cli.casting.sound import quietest, sounding


def test_a_sound_without_pauses_is_parted_where_it_is_quietest() -> None:
    samples = sound_of(speech(0, 5), 5)
    samples[round(2.2 * RATE) : round(2.3 * RATE)] *= 0.2
    edges = [word.end for word in sounding(samples, (0, 5))]
    assert edges == [pytest.approx(2.25, abs=0.06), 5.0]


def test_the_quietest_moment_is_found_within_bounds() -> None:
    samples = np.ones(5 * RATE, np.float32)
    samples[round(3.0 * RATE) : round(3.1 * RATE)] = 0.1
    samples[: RATE // 2] = 0
    assert quietest(samples, RATE, (1, 5)) == pytest.approx(3.05, abs=0.06)
