"""Backgrounds: activity, ducking, removal of voices, spectra."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_samples import Signal, syllables, tone, write_wav
from voiceclone_cli.audio.formats import MONO, Layout
from voiceclone_cli.audio.reader import read_recording
from voiceclone_cli.mixing.background import (
    DEPTH_DB,
    DUCK,
    activity,
    ducking_gains,
    merge_spans,
    open_background,
    remove_voices,
)
from voiceclone_cli.mixing.separation import BANDS, BINS, DEEPFILTER_RATE, analyse, band_edges, synthesise

# Activity.


def test_short_pauses_belong_to_what_is_around_them() -> None:
    assert merge_spans([(5, 6), (1, 2), (2.3, 3), (1.5, 1.6), (9, 9)], 0.5) == [(1, 3), (5, 6)]


def test_the_envelope_is_up_in_a_span_and_ramps_outside_of_it() -> None:
    found = activity([(1, 2)], 0, 4000, 1000, rise=0.5, fall=1.0)
    assert (found[:500] == 0).all() and (found[1000:2001] == 1).all() and (found[3000:] == 0).all()
    assert found[750] == pytest.approx(0.5) and found[2500] == pytest.approx(0.5)


spans = st.lists(st.tuples(st.floats(0, 20), st.floats(0, 20)).map(lambda s: (min(s), max(s))), max_size=8)


@given(spans, st.integers(1, 1999))
def test_ducking_does_not_depend_on_the_blocks(active: list[tuple[float, float]], cut: int) -> None:
    whole = ducking_gains(active, 0, 2000, 100)
    parts = [ducking_gains(active, 0, cut, 100), ducking_gains(active, cut, 2000, 100)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


@given(spans, st.integers(1, 1999))
def test_ducking_does_not_depend_on_much_later_speech(active: list[tuple[float, float]], cut: int) -> None:
    known = [span for span in active if span[0] <= cut / 100 + 0.8]
    np.testing.assert_array_equal(
        ducking_gains(known, 0, cut, 100), ducking_gains(active, 0, 2000, 100)[:cut]
    )


def test_the_original_is_lowered_during_speech_only() -> None:
    gains_db = 20 * np.log10(ducking_gains([(2, 3), (3.5, 4)], 0, 600, 100))
    np.testing.assert_allclose(gains_db[200:401], -DEPTH_DB, atol=1e-4)
    np.testing.assert_allclose(gains_db[[0, 180, 460, 599]], 0, atol=1e-4)


# Removal of voices.

LOW = 8000
"""Hz: a rate at which tests are quick."""


def removed(
    samples: Signal, turns: list[tuple[float, float]], block: int = LOW, rate: int = LOW
) -> tuple[Signal, list[int]]:
    """Remove the first channel as voice; return the rest and the lengths of the chunks."""
    given: list[int] = []

    def voices(samples: Signal) -> Signal:
        given.append(len(samples))
        return samples * np.array([1, 0], np.float32)

    blocks = (samples[start : start + block] for start in range(0, len(samples), block))
    return np.concatenate(list(remove_voices(blocks, rate, turns, voices))), given


def test_voices_are_removed_in_turns_and_the_rest_stays_to_the_bit() -> None:
    samples = np.stack([syllables(20, LOW), tone(20, LOW)], axis=1)
    found, _ = removed(samples, [(5, 7), (12, 13)])
    assert found.shape == samples.shape
    assert not found[5 * LOW : 7 * LOW, 0].any() and not found[12 * LOW : 13 * LOW, 0].any()
    np.testing.assert_array_equal(found[:, 1], samples[:, 1])
    for start, end in ((0, 4.7), (7.3, 11.7), (13.3, 20)):
        part = slice(round(start * LOW), round(end * LOW))
        np.testing.assert_array_equal(found[part], samples[part])


@pytest.mark.parametrize("block", [100, 4711, 10**6])
def test_removal_does_not_depend_on_the_blocks(block: int) -> None:
    samples = np.stack([syllables(50, LOW), tone(50, LOW)], axis=1)
    expected, _ = removed(samples, [(2, 40)])
    found, _ = removed(samples, [(2, 40)], block)
    np.testing.assert_array_equal(found, expected)


def test_a_long_turn_is_processed_in_chunks() -> None:
    samples = np.ones((200 * LOW, 2), np.float32)
    found, given = removed(samples, [(1, 199)])
    assert max(given) <= 18 * LOW
    assert not found[LOW : 199 * LOW, 0].any()


@pytest.mark.parametrize("turns", [[(0.0, 3.0)], [(2.9, 10.0)], [(5.0, 6.0)], []])
def test_turns_at_the_edges_and_beyond_lose_no_sample(turns: list[tuple[float, float]]) -> None:
    samples = np.stack([tone(3, LOW), tone(3, LOW)], axis=1)
    found, _ = removed(samples, turns)
    np.testing.assert_array_equal(found[:, 1], samples[:, 1])


# Background.


@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_the_original_is_read_at_the_rate_of_the_mix_in_any_blocks(tmp_path: Path, rate: int) -> None:
    stereo = np.stack([tone(3, 16_000), tone(3, 16_000, 880)], axis=1)
    path = write_wav(tmp_path / "in.wav", stereo, 16_000, "FLOAT")
    layout = Layout(("FL", "FR"))
    with open_background(
        read_recording(path), layout, rate, kind=DUCK, turns=[], models={}, threads=1
    ) as background_track:
        found = np.concatenate([background_track.read(frames) for frames in (1, 999, 2 * rate, rate)])
    expected = np.stack([tone(3, rate), tone(3, rate, 880)], axis=1)
    inside = slice(rate // 10, -rate // 10 - 1000)
    np.testing.assert_allclose(found[: 3 * rate][inside], expected[inside], atol=1e-3)
    assert not found[3 * rate + 100 :].any()


def test_more_channels_than_a_mix_has_become_their_mean(tmp_path: Path) -> None:
    samples = np.zeros((2000, 10), np.float32)
    samples[:, 3] = 0.5
    path = write_wav(tmp_path / "in.wav", samples, 16_000, "FLOAT")
    with open_background(
        read_recording(path), MONO, 16_000, kind=DUCK, turns=[], models={}, threads=1
    ) as background_track:
        np.testing.assert_allclose(background_track.read(1000), 0.05, atol=1e-6)


# Spectra.


@pytest.mark.parametrize("length", [1, 479, 480, 481, 48_123])
def test_spectra_give_the_signal_back(length: int) -> None:
    signal = np.random.default_rng(0).standard_normal(length).astype(np.float32)
    np.testing.assert_allclose(synthesise(analyse(signal), length), signal, atol=1e-5)


def test_bands_are_those_of_the_published_network() -> None:
    narrow, wide = [2] * 13, [5, 5, 7, 7, 8, 10, 12, 13, 15, 18, 20, 24, 28, 31, 37, 42, 50, 56, 67]
    assert np.diff(band_edges()).tolist() == narrow + wide
    assert (len(band_edges()), band_edges()[-1], DEEPFILTER_RATE) == (BANDS + 1, BINS, 48_000)
