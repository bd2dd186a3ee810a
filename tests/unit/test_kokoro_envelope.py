"""Envelopes of a line move to those of a reference, and what is not envelope stays."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from voiceclone_worker.engines.kokoro import envelope
from voiceclone_worker.engines.kokoro.envelope import BANDS, Conversion, Doubles
from voiceclone_worker.engines.kokoro.model import RATE, Floats


def speech(seconds: float, seed: int, darkness: int = 1) -> Floats:
    """Return noise whose colour changes every 80 ms, as vowels do; ``darkness`` is the length of an average over it."""
    random = np.random.default_rng(seed)
    parts = []
    for _ in range(round(seconds / 0.08)):
        part = random.normal(0, 0.1 * random.uniform(0.3, 1.0), round(0.08 * RATE))
        length = int(random.integers(1, 12))
        parts.append(np.convolve(part, np.ones(length) / length**0.5, "same"))
    signal = np.concatenate(parts)
    return np.convolve(signal, np.ones(darkness) / darkness**0.5, "same").astype(np.float32)


REFERENCE, PROBE, LINE = speech(6.0, 1, darkness=8), speech(2.0, 2), speech(1.5, 3)


def fitted() -> Conversion:
    return envelope.fit(envelope.measure(REFERENCE), envelope.measure(PROBE))


def distance(signal: Floats | Doubles) -> float:
    """Return how far the mean envelope is from the reference's, in log power."""
    own = envelope.measure(signal.astype(np.float32)).mean
    return float(np.abs(own - envelope.measure(REFERENCE).mean).mean())


def test_a_line_gets_the_envelopes_of_the_reference() -> None:
    assert distance(envelope.convert(LINE, fitted())) < 0.3 * distance(LINE)


def test_each_step_alone_moves_the_mean_and_strength_says_how_far() -> None:
    whole = fitted()
    none = np.zeros((0, BANDS), np.float16)
    linear = dataclasses.replace(whole, frames=none)
    mean = dataclasses.replace(linear, matrix=np.eye(BANDS, dtype=np.float32))
    for conversion in (linear, mean):
        assert distance(envelope.convert(LINE, conversion)) < 0.6 * distance(LINE)
        weaker = envelope.convert(LINE, dataclasses.replace(conversion, strength=0.5))
        assert distance(envelope.convert(LINE, conversion)) < distance(weaker) < distance(LINE)


def test_a_share_of_the_lookup_is_between_the_linear_map_and_the_nearest_frames() -> None:
    whole = fitted()
    nearest, half, none = (
        envelope.convert(LINE, dataclasses.replace(whole, lookup=share)) for share in (1.0, 0.5, 0.0)
    )
    linear = envelope.convert(LINE, whole.without_frames())
    assert np.array_equal(nearest, envelope.convert(LINE, whole))
    assert np.array_equal(none, linear)
    assert np.abs(nearest - linear).max() > 0
    for end in (nearest, linear):
        assert 0.3 < np.linalg.norm(half - end) / np.linalg.norm(nearest - linear) < 0.7


def test_a_voice_is_hardly_changed_by_its_own_envelopes() -> None:
    own = envelope.measure(LINE)
    with_itself = dataclasses.replace(
        envelope.fit(own, own),
        matrix=np.eye(BANDS, dtype=np.float32),
        frames=np.zeros((0, BANDS), np.float16),
    )
    assert np.abs(envelope.convert(LINE, with_itself) - LINE).max() < 1e-3


@pytest.mark.parametrize("samples", [1, 191, 192, 769, 24_001])
def test_the_length_stays(samples: int) -> None:
    converted = envelope.convert(LINE[:samples], fitted())
    assert len(converted) == samples
    assert np.isfinite(converted).all()


def test_a_quiet_sound_stays_quiet() -> None:
    """A hiss 20 dB under the speech is all above 2 kHz, where an equaliser for this reference would change it most."""
    hiss = np.diff(np.random.default_rng(4).normal(0, 0.01, 4801)).astype(np.float32)
    line = np.concatenate([speech(0.5, 5), hiss, speech(0.5, 6)])
    inside = slice(round(0.55 * RATE), round(0.65 * RATE))

    def level(signal: Floats | Doubles) -> float:
        return float(np.sqrt(np.mean(signal[inside] ** 2)))

    assert level(envelope.convert(line, fitted())) == pytest.approx(level(line), rel=0.15)


def test_silence_stays_silence() -> None:
    assert not envelope.convert(np.zeros(RATE // 4, np.float32), fitted()).any()


def test_nothing_above_8_6_khz_is_shaped() -> None:
    """Only the energy of the whole frame changes there, so the spectrum keeps its form."""
    low = speech(1.0, 7, darkness=12)
    time = np.arange(len(low)) / RATE
    high = (0.02 * (np.sin(2 * np.pi * 9500 * time) + np.sin(2 * np.pi * 10_500 * time))).astype(np.float32)
    spectrum = np.abs(np.fft.rfft(envelope.convert(high + low, fitted())))
    at = [round(hertz * len(low) / RATE) for hertz in (9500, 10_500)]
    assert spectrum[at[0]] == pytest.approx(spectrum[at[1]], rel=0.1)


def test_references_of_any_length_are_kept_up_to_a_limit() -> None:
    long = envelope.measure(np.concatenate([REFERENCE] * 5))
    kept = envelope.fit(long, envelope.measure(PROBE))
    assert len(kept.frames) == len(kept.keys) == envelope.MAX_FRAMES < len(long.bands)
