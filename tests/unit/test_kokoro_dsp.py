"""Silent ends, pauses and the level of speech."""

from __future__ import annotations

import numpy as np
import pytest

from voiceclone_worker.engines.kokoro.dsp import at_level, level, speech_seconds, trim, without_gaps
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


def test_a_level_is_set_and_nothing_clips() -> None:
    assert level(at_level(noise(1.0), 0.05)) == pytest.approx(0.05, rel=1e-4)
    assert np.abs(at_level(noise(1.0), 0.9)).max() == pytest.approx(0.98, abs=1e-4)
    assert not at_level(silence(0.1), 0.05).any()
