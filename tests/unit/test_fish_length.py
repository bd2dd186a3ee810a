"""Bounds of a line's length, and the seeds of further attempts."""

from __future__ import annotations

from voiceclone_worker.engines.fish.generation.length import bounds, reroll_seed

FRAMES_PER_SECOND = 44100 / 2048
LINE = "The quick brown fox jumps over the lazy dog."


def seconds(text: str, slot: float | None, limit: int = 10_000) -> tuple[float, float]:
    found = bounds(text, slot, FRAMES_PER_SECOND, limit)
    return found.least / FRAMES_PER_SECOND, found.most / FRAMES_PER_SECOND


def test_ordinary_speech_lies_well_within_the_bounds() -> None:
    least, most = seconds(LINE, None)
    usual = len(LINE) / 15
    assert least < usual / 2
    assert most > usual * 2


def test_a_short_slot_lowers_the_cap_but_leaves_room_for_the_words() -> None:
    free, tight = seconds(LINE, None)[1], seconds(LINE, 0.5)[1]
    assert tight < free
    assert tight > 1.5 * len(LINE) / 15


def test_a_long_slot_raises_the_cap_no_further_than_slow_speech() -> None:
    assert seconds(LINE, 60.0) == seconds(LINE, None)


def test_the_runs_own_limit_is_never_exceeded() -> None:
    found = bounds(LINE * 50, None, FRAMES_PER_SECOND, 100)
    assert found.most == 100
    assert found.least <= 100


def test_signs_that_stand_for_syllables_take_the_time_of_letters() -> None:
    assert seconds("你好世界" * 5, None)[1] > 2 * seconds("abcd" * 5, None)[1] - 3


def test_a_text_without_a_letter_has_bounds_too() -> None:
    found = bounds("...", 1.0, FRAMES_PER_SECOND, 1024)
    assert 1 <= found.least < found.most


def test_the_first_attempt_takes_the_lines_own_seed_and_the_others_their_own() -> None:
    seeds = [reroll_seed(7, attempt) for attempt in (1, 2, 3)]
    assert seeds[0] == 7
    assert len(set(seeds)) == 3
    assert seeds == [reroll_seed(7, attempt) for attempt in (1, 2, 3)]
    assert all(0 <= seed < 2**31 for seed in seeds)
