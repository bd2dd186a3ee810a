"""A line before it is sound: its length at any speed, its speed in a slot, and its F0."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from voiceclone_worker.engines.kokoro.line_plan import (
    FASTEST,
    FRAME_SECONDS,
    LinePlan,
    PitchStatistics,
    fit_speed,
    pitch_statistics,
    with_pitch,
)

PAUSE, TOKENS, LENGTH = 16.0, 40, 2.6
"""Frames of the pauses around a line, its tokens, frames of each at speed 1."""


def line(speed: float, tokens: int = TOKENS) -> LinePlan:
    """A line as the front plans it: silent in its first and its last token."""
    exact = np.float32([PAUSE, *[LENGTH] * tokens, PAUSE])
    frames = np.maximum(1, np.rint(exact / np.float32(speed))).astype(int)
    energy = np.full(2 * frames.sum(), 5.0, np.float32)
    energy[: 2 * frames[0]] = energy[-2 * frames[-1] :] = -8.0
    return LinePlan(
        np.zeros((1, 512, frames.sum()), np.float32), np.full_like(energy, 120), energy, exact, speed
    )


def planner(speeds: list[float], tokens: Sequence[int] = (TOKENS,)) -> Callable[[float], list[LinePlan]]:
    """Return a function that plans a line of one or more parts, and records the speeds."""

    def plan(speed: float) -> list[LinePlan]:
        speeds.append(speed)
        return [line(speed, each) for each in tokens]

    return plan


def seconds(parts: Sequence[LinePlan]) -> float:
    return sum(part.seconds() for part in parts)


def test_a_line_lasts_from_its_first_sound_to_its_last() -> None:
    assert line(1.0).seconds() == pytest.approx(TOKENS * 3 * FRAME_SECONDS)
    silent = line(1.0)
    silent.energy[:] = -1.0
    assert silent.seconds() == silent.seconds(1.5) == 0.0


@pytest.mark.parametrize("speed", [0.8, 1.0, 1.2, 1.37, 1.6])
def test_the_length_at_another_speed_is_that_of_the_plan_at_that_speed(speed: float) -> None:
    assert line(1.0).seconds(speed) == pytest.approx(line(speed).seconds())
    assert line(1.0).token_frames(speed).tolist() == line(speed).token_frames().tolist()


def test_no_token_is_shorter_than_a_frame() -> None:
    short = replace(line(1.0), frames_at_1=np.float32([0.2, 0.6, 2.5, 3.5]))
    assert short.token_frames().tolist() == [1, 1, 2, 4]
    assert short.token_frames(2.0).tolist() == [1, 1, 1, 2]


def test_a_line_that_fits_is_planned_once_at_the_speakers_speed() -> None:
    speeds: list[float] = []
    fit_speed(planner(speeds), 0.9, 5.0)
    fit_speed(planner(speeds), 1.1, None)
    assert speeds == [0.9, 1.1]


@pytest.mark.parametrize("slot", [2.9, 2.6, 2.1])
def test_a_longer_line_is_spoken_as_fast_as_it_must_and_no_faster(slot: float) -> None:
    speeds: list[float] = []
    parts = fit_speed(planner(speeds), 1.0, slot)
    assert seconds(parts) <= slot
    assert {part.speed for part in parts} == {speeds[-1]}
    assert len(speeds) == 2
    assert line(speeds[-1] / 1.006).seconds() > slot


def test_the_parts_of_a_long_line_share_the_slot_and_the_speed() -> None:
    parts = fit_speed(planner([], (TOKENS, 2 * TOKENS)), 1.0, 7.0)
    assert 5.9 < seconds(parts) <= 7.0
    assert parts[0].speed == parts[1].speed


@pytest.mark.parametrize("slot", [1.0, 0.0])
def test_speed_has_a_limit_and_the_rest_is_kept(slot: float) -> None:
    speeds: list[float] = []
    parts = fit_speed(planner(speeds), 1.0, slot)
    assert speeds == [1.0, FASTEST]
    assert seconds(parts) > slot


def test_a_speaker_who_is_faster_than_the_limit_is_not_slowed_down() -> None:
    assert [part.speed for part in fit_speed(planner([]), 1.7, 1.0)] == [1.7]


# ------------------------------------------------------------------------------------------- pitch


def melody(median: float, spread: float, count: int = 400) -> LinePlan:
    """A plan with an F0 (in semitones) that rises and falls in two voiced stretches, and glides around them."""
    time = (np.arange(count) + 0.5) / min(count, 100)
    hertz = 2 ** ((median + np.sqrt(2) * spread * np.sin(2 * np.pi * time)) / 12)
    silence, glide = np.full(20, 6.0), np.array([12.0, 25.0, 45.0, 60.0])
    half = count // 2
    f0 = [silence, glide, hertz[:half], glide[::-1], silence, glide, hertz[half:], glide[::-1], silence]
    return replace(line(1.0), f0=np.concatenate(f0).astype(np.float32))


def statistics(plan: LinePlan) -> PitchStatistics:
    found = plan.pitch()
    assert found is not None
    return found


def test_the_pitch_of_a_line_is_that_of_its_steady_voiced_sound() -> None:
    found = statistics(melody(84.0, 2.0))
    assert (found.median, found.spread) == pytest.approx((84.0, 2.0), abs=0.05)
    assert 390 <= found.count <= 400
    assert replace(melody(84.0, 2.0), f0=np.full(50, 8.0, np.float32)).pitch() is None
    abrupt = replace(line(1.0), f0=np.tile(np.float32([6.0, 6.0, 120.0]), 9))
    assert statistics(abrupt).median == pytest.approx(12 * np.log2(120))


def test_octave_errors_are_no_melody() -> None:
    steady = 2 ** (np.linspace(82.0, 86.0, 200) / 12)
    found = pitch_statistics(np.concatenate([steady, 2 * steady[:20], np.zeros(50)]))
    assert found is not None and found.count == 200
    assert (found.median, found.spread) == pytest.approx((84.0, 4 / np.sqrt(12)), abs=0.05)
    assert pitch_statistics(np.zeros(50)) is None


def test_a_long_line_gets_the_speakers_median_and_spread() -> None:
    line_of_mixture = melody(85.0, 2.5)
    moved = statistics(
        with_pitch(line_of_mixture, PitchStatistics(86.5, 3.2, 900), statistics(line_of_mixture))
    )
    assert (moved.median, moved.spread) == pytest.approx((86.5, 3.2), abs=0.05)


def test_what_is_not_voiced_stays_as_it_is_and_the_melody_keeps_its_shape() -> None:
    before = melody(85.0, 2.5)
    after = with_pitch(before, PitchStatistics(82.0, 2.0, 900), statistics(before))
    unvoiced = before.f0 <= 10
    assert np.array_equal(before.f0[unvoiced], after.f0[unvoiced])
    assert np.array_equal(np.argsort(before.f0[~unvoiced]), np.argsort(after.f0[~unvoiced]))
    assert np.array_equal(before.energy, after.energy) and np.array_equal(before.aligned, after.aligned)
    silent = replace(before, f0=np.full_like(before.f0, 5.0))
    assert np.array_equal(
        with_pitch(silent, PitchStatistics(82.0, 2.0, 900), statistics(before)).f0, silent.f0
    )


def test_a_short_question_stays_higher_than_the_speakers_other_lines() -> None:
    mixture, speaker = PitchStatistics(85.0, 3.0, 300), PitchStatistics(87.0, 3.0, 900)
    question = statistics(with_pitch(melody(88.0, 3.0, count=20), speaker, mixture))
    long_line = statistics(with_pitch(melody(86.0, 3.0, count=400), speaker, mixture))
    assert question.median == pytest.approx(88.5, abs=0.2)
    assert long_line.median == pytest.approx(87.1, abs=0.1)


def test_the_changes_are_bounded() -> None:
    mixture = PitchStatistics(85.0, 2.0, 400)
    for target, spread in ((99.0, 12.0), (70.0, 0.1)):
        moved = statistics(with_pitch(melody(85.0, 2.0), PitchStatistics(target, spread, 900), mixture))
        assert abs(moved.median - 85.0) == pytest.approx(12.0, abs=0.05)
        assert 1.1 < moved.spread < 3.5
