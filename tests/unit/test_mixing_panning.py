"""Panning of speakers, measured in the recording."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from media_samples import Signal, syllables
from voiceclone_cli.audio.formats import Layout
from voiceclone_cli.mixing.panning import solo_passages, speaker_gains
from voiceclone_cli.types import Turn

RATE = 16_000
STEREO = Layout(("FL", "FR"))
SURROUND = Layout(("FL", "FR", "FC", "LFE", "BL", "BR"))


def recorded(parts: Mapping[float, tuple[float, ...]], seconds: float, channels: int) -> Signal:
    """Speech of two seconds from each key on, with these amplitudes in the channels."""
    samples = np.zeros((round(seconds * RATE), channels), np.float32)
    for start, amplitudes in parts.items():
        speech = syllables(2.0, RATE, seed=round(start))
        samples[round(start * RATE) :][: len(speech)] += speech[:, None] * np.array(amplitudes, np.float32)
    return samples


def measured(
    samples: Signal, layout: Layout, turns: list[Turn], speakers: str = "AB"
) -> dict[str, list[float]]:
    blocks = np.array_split(samples, 7)
    return {
        speaker: [round(float(gain), 2) for gain in found]
        for speaker, found in speaker_gains(blocks, RATE, layout, turns, speakers).items()
    }


TURNS = [Turn(1, 3, "A"), Turn(5, 7, "B")]


def test_each_speaker_is_panned_as_in_the_original() -> None:
    samples = recorded({1: (0.75, 0.25), 5: (0.0, 1.0)}, 8, 2)
    assert measured(samples, STEREO, TURNS) == {"A": [1.5, 0.5], "B": [0.0, 2.0]}


def test_dialogue_in_the_centre_stays_there_at_its_level() -> None:
    samples = recorded({1: (0, 0, 1, 0, 0, 0)}, 8, 6)
    assert measured(samples, SURROUND, TURNS, "A") == {"A": [0, 0, 6, 0, 0, 0]}


def test_music_on_the_sides_moves_no_speaker() -> None:
    samples = recorded({1: (0, 0, 1, 0, 0, 0)}, 8, 6)
    music = np.random.default_rng(3).standard_normal((len(samples), 2)).astype(np.float32) * 0.05
    samples[:, :2] += music
    found = measured(samples, SURROUND, TURNS, "A")["A"]
    assert found[2] > 5.5 and found[3] == 0


def test_the_mean_of_the_channels_is_the_stem() -> None:
    found = measured(recorded({1: (0.3, 0.2, 1, 0.5, 0.1, 0.0)}, 8, 6), SURROUND, TURNS)
    for amplitudes in found.values():
        assert sum(amplitudes) / 6 == pytest.approx(1, abs=0.01)
        assert amplitudes[3] == 0


def test_silence_gives_equal_gains_in_all_but_the_bass() -> None:
    silence = np.zeros((8 * RATE, 6), np.float32)
    assert measured(silence, SURROUND, [], "A") == {"A": [1.2, 1.2, 1.2, 0, 1.2, 1.2]}


def test_a_speaker_who_never_speaks_alone_gets_the_mean_of_all() -> None:
    samples = recorded({1: (0.75, 0.25), 5: (0.75, 0.25)}, 8, 2)
    assert measured(samples, STEREO, [*TURNS, Turn(5.5, 6, "C")], "C") == {"C": [1.5, 0.5]}


def test_overlapped_speech_counts_for_neither_speaker() -> None:
    samples = recorded({1: (1, 0), 5: (0, 1)}, 8, 2)
    samples[3 * RATE : 4 * RATE] = 0.9
    turns = [Turn(1, 4, "A"), Turn(3, 4, "B"), Turn(5, 7, "B")]
    assert measured(samples, STEREO, turns) == {"A": [2, 0], "B": [0, 2]}


def test_solo_passages_have_at_most_one_speaker() -> None:
    turns = [Turn(1, 4, "A"), Turn(2, 3, "A"), Turn(3, 5, "B")]
    assert solo_passages(turns) == [
        Turn(0, 1, ""),
        Turn(1, 2, "A"),
        Turn(2, 3, "A"),
        Turn(4, 5, "B"),
        Turn(5, float("inf"), ""),
    ]
