"""The time line of a film: where the decoded sound lies on it."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from random import Random

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceclone_cli.audio.film import MAX_HOLE_SECONDS, FilmClock, ShownPictures

RATE = 48_000
FRAME = 1024
SECOND = RATE // FRAME + 1
"""Frames of more than a second."""


def frames(times: Sequence[float | None]) -> list[av.AudioFrame]:
    made = []
    for time in times:
        frame = av.AudioFrame("u8", "mono", FRAME)
        frame.sample_rate, frame.time_base = RATE, Fraction(1, RATE)
        frame.pts = None if time is None else round(time * RATE)
        made.append(frame)
    return made


def steady(start: float, count: int) -> list[float]:
    """Times of frames that follow each other."""
    return [start + index * FRAME / RATE for index in range(count)]


def arranged(clock: FilmClock, times: Sequence[float | None]) -> list[tuple[int, int]]:
    """Return the silence before each frame, and the samples cut from it."""
    return [(silence, cut) for silence, _, cut in clock.arrange(frames(times))]


def clock(longest: float = 3600.0, zero: float = 0.0, shown: float = 0.0) -> FilmClock:
    pictures = ShownPictures(Fraction(zero))
    pictures.end = shown
    return FilmClock(pictures, RATE, longest)


def test_sound_that_starts_with_the_film_is_as_decoded() -> None:
    film = clock()
    assert set(arranged(film, steady(0.0, 200))) == {(0, 0)}
    assert (film.moved, film.notes) == (0, ())


def test_sound_that_starts_later_is_preceded_by_silence() -> None:
    film = clock()
    assert arranged(film, steady(3.0, 3)) == [(3 * RATE, 0), (0, 0), (0, 0)]
    assert film.moved == 3 * RATE
    assert film.notes == (
        "the sound of the film starts 3.00 s late: times count from the film's start, with silence before the sound",
    )


def test_times_count_from_the_start_of_the_film() -> None:
    assert arranged(clock(zero=1.5), steady(2.0, 2)) == [(RATE // 2, 0), (0, 0)]


def test_sound_before_the_film_is_cut_to_the_sample() -> None:
    film = clock()
    assert arranged(film, steady(-1500 / RATE, 3)) == [(0, 1024), (0, 476), (0, 0)]
    assert film.moved == 1500


def test_an_early_start_that_can_be_noticed_is_a_note() -> None:
    film = clock()
    arranged(film, steady(-0.5, 50))
    assert film.notes == ("the first 0.50 s of the sound are before the film's start and are not used",)


def test_a_hole_becomes_silence() -> None:
    film = clock()
    found = arranged(film, [*steady(0.0, 75), *steady(6.6, SECOND)])
    assert found[75] == (5 * RATE, 0) and film.moved == 5 * RATE
    assert film.notes == ("a hole of 5.00 s in the sound at 1.60 s is taken as silence",)


def test_times_that_are_rounded_to_milliseconds_move_nothing() -> None:
    rounded = [round(time, 3) for time in steady(0.0, 500)]
    assert set(arranged(clock(), rounded)) == {(0, 0)}


def test_a_slow_sound_clock_does_not_drift_from_the_pictures() -> None:
    # Each frame lasts 0.5 % longer than its samples: 1.5 s in five minutes.
    times = [index * FRAME * 1.005 / RATE for index in range(5 * 60 * RATE // FRAME)]
    film = clock()
    position = worst = 0.0
    for time, (silence, cut) in zip(times, arranged(film, times), strict=True):
        position += silence / RATE
        worst = max(worst, abs(time - position))
        position += (FRAME - cut) / RATE
    assert worst <= 0.031
    assert film.moved == pytest.approx(1.5 * RATE, abs=0.04 * RATE)


def test_a_fast_sound_clock_does_not_drift_either() -> None:
    times = [index * FRAME * 0.999 / RATE for index in range(5 * 60 * RATE // FRAME)]
    film = clock()
    cut = sum(cut for _, cut in arranged(film, times))
    assert cut == film.moved == pytest.approx(0.3 * RATE, abs=0.04 * RATE)
    assert "have the times of earlier sound and are not used" in film.notes[0]


def test_a_frame_without_a_time_follows_the_one_before() -> None:
    assert arranged(clock(), [1.0, None, None]) == [(RATE, 0), (0, 0), (0, 0)]


@pytest.mark.parametrize("wrong", [900.0, -900.0, 2.5, 1e6])
def test_a_few_wrong_time_stamps_are_not_followed(wrong: float) -> None:
    times = steady(0.0, 300)
    # A packet of a broadcast has one time stamp for several frames.
    times[100:110] = [time + wrong for time in times[100:110]]
    film = clock()
    assert set(arranged(film, times)) == {(0, 0)}
    assert film.notes == ()


@pytest.mark.parametrize("jump", [MAX_HOLE_SECONDS + 60, -20.0, 1e9])
def test_a_clock_that_is_set_anew_is_not_followed_and_said(jump: float) -> None:
    film = clock(longest=12 * 3600)
    first = steady(100.0, 1) + steady(100.0 + FRAME / RATE, 100)
    found = arranged(film, [*first, *steady(102.2 + jump, 200)])
    assert sum(silence + cut for silence, cut in found[1:]) == 0
    assert "which is not followed: the sound continues there" in film.notes[1]


def test_no_hole_leads_out_of_the_film() -> None:
    film = clock(longest=30.0)
    found = arranged(film, [*steady(0.0, 75), *steady(60.0, 75)])
    assert set(found) == {(0, 0)}
    assert "jump by +58.4 s at 1.60 s" in film.notes[0]


def test_the_very_last_frame_is_not_believed_alone() -> None:
    assert set(arranged(clock(), [*steady(0.0, 75), 100.0])) == {(0, 0)}


def test_many_holes_are_counted_and_the_first_are_listed() -> None:
    times: list[float] = []
    for number in range(12):
        times += steady(number * 3.0, SECOND)
    film = clock()
    arranged(film, times)
    assert len(film.notes) == 6
    assert film.notes[5].startswith("6 more holes in the sound")


def test_pictures_that_last_longer_give_silence_at_the_end() -> None:
    film, long = clock(shown=1.9), clock(shown=11.6)
    for each in (film, long):
        arranged(each, steady(0.0, 75))
    assert (film.tail(), long.tail()) == (0, 10 * RATE)
    assert long.notes == ("the pictures last 10.00 s longer than the sound: the rest is taken as silence",)
    assert clock(longest=5.0, shown=1e6).tail() == 5 * RATE


def test_sound_may_start_as_late_as_there_are_pictures() -> None:
    late = 2 * MAX_HOLE_SECONDS
    assert arranged(clock(2 * late, shown=late), steady(late, 2))[0] == (round(late * RATE), 0)
    assert arranged(clock(2 * late), steady(late, 2))[0] == (0, 0)


@settings(max_examples=50)
@given(st.lists(st.tuples(st.floats(0.05, 3), st.integers(SECOND, 3 * SECOND)), min_size=1, max_size=8))
def test_no_sample_is_lost_and_every_frame_is_at_its_time(parts: list[tuple[float, int]]) -> None:
    times: list[float] = []
    now = 0.0
    for pause, count in parts:
        times += steady(now + pause, count)
        now = times[-1] + FRAME / RATE
    position = 0
    for time, (silence, cut) in zip(times, arranged(clock(), times), strict=True):
        assert cut == 0
        position += silence
        assert abs(position - time * RATE) <= 1 + len(parts)
        position += FRAME


@settings(max_examples=20)
@given(st.randoms(use_true_random=False))
def test_time_stamps_of_any_kind_make_no_more_silence_than_the_film_is_long(random: Random) -> None:
    times = [random.choice([random.uniform(-1e5, 1e5), index / 40]) for index in range(300)]
    film = clock(longest=60.0)
    total = sum(silence + FRAME - cut for silence, cut in arranged(film, times))
    assert 0 <= total <= 60.0 * RATE + 300 * FRAME
    assert all(note.isprintable() for note in film.notes)
