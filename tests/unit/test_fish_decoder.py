"""Length bounds and seeds of lines, and the number of threads of a step."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from voiceclone_worker.engines.fish import decoder
from voiceclone_worker.engines.fish.decoder import TRIAL_ROUNDS, Threads, length_bounds, reroll_seed

FRAMES_PER_SECOND = 44100 / 2048
LINE = "The quick brown fox jumps over the lazy dog."


def seconds(text: str, slot: float | None, limit: int = 10_000) -> tuple[float, float]:
    least, most = length_bounds(text, slot, FRAMES_PER_SECOND, limit)
    return least / FRAMES_PER_SECOND, most / FRAMES_PER_SECOND


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
    least, most = length_bounds(LINE * 50, None, FRAMES_PER_SECOND, 100)
    assert most == 100
    assert least <= 100


def test_signs_that_stand_for_syllables_take_the_time_of_letters() -> None:
    assert seconds("你好世界" * 5, None)[1] > 2 * seconds("abcd" * 5, None)[1] - 3


def test_a_text_without_a_letter_has_bounds_too() -> None:
    least, most = length_bounds("...", 1.0, FRAMES_PER_SECOND, 1024)
    assert 1 <= least < most


def test_the_first_attempt_takes_the_lines_own_seed_and_the_others_their_own() -> None:
    seeds = [reroll_seed(7, attempt) for attempt in (1, 2, 3)]
    assert seeds[0] == 7
    assert len(set(seeds)) == 3
    assert seeds == [reroll_seed(7, attempt) for attempt in (1, 2, 3)]
    assert all(0 <= seed < 2**31 for seed in seeds)


@pytest.fixture(autouse=True)
def threads_are_put_back() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def tried(
    chooser: Threads, steps: int, seconds: dict[int, float], monkeypatch: pytest.MonkeyPatch
) -> list[int]:
    """The threads of so many steps, each taking the time that goes with its threads."""
    clock = [0.0]
    monkeypatch.setattr(decoder.time, "perf_counter", lambda: clock[0])
    given = []
    for _ in range(steps):
        with chooser.step():
            given.append(torch.get_num_threads())
            clock[0] += seconds[given[-1]]
    return given


@pytest.mark.parametrize(("seconds", "fastest"), [({1: 1.0, 2: 2.0}, 1), ({1: 2.0, 2: 1.0}, 2)])
def test_the_number_that_was_fastest_is_kept(
    monkeypatch: pytest.MonkeyPatch, seconds: dict[int, float], fastest: int
) -> None:
    chooser = Threads(2)
    given = tried(chooser, 2 * TRIAL_ROUNDS, seconds, monkeypatch)
    assert given == [1, 2] * TRIAL_ROUNDS
    assert chooser.chosen == fastest
    assert tried(chooser, 3, seconds, monkeypatch) == [fastest] * 3


def test_between_steps_all_threads_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    chooser = Threads(2)
    tried(chooser, 2 * TRIAL_ROUNDS, {1: 1.0, 2: 2.0}, monkeypatch)
    assert torch.get_num_threads() == 2


def test_with_one_thread_there_is_nothing_to_try(monkeypatch: pytest.MonkeyPatch) -> None:
    chooser = Threads(1)
    assert tried(chooser, TRIAL_ROUNDS + 1, {1: 1.0}, monkeypatch) == [1] * (TRIAL_ROUNDS + 1)
    assert chooser.chosen == 1


def test_a_step_that_fails_is_no_measurement() -> None:
    chooser = Threads(2)
    for _ in range(10 * TRIAL_ROUNDS):
        with pytest.raises(MemoryError), chooser.step():
            raise MemoryError
    assert chooser.chosen is None
