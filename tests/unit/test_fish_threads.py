"""How many threads a step gets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from voiceclone_worker.engines.fish.generation import threads
from voiceclone_worker.engines.fish.generation.threads import ROUNDS, Threads


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
    monkeypatch.setattr(threads.time, "perf_counter", lambda: clock[0])
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
    given = tried(chooser, 2 * ROUNDS, seconds, monkeypatch)
    assert given == [1, 2] * ROUNDS
    assert chooser.chosen == fastest
    assert tried(chooser, 3, seconds, monkeypatch) == [fastest] * 3


def test_between_steps_all_threads_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    chooser = Threads(2)
    tried(chooser, 2 * ROUNDS, {1: 1.0, 2: 2.0}, monkeypatch)
    assert torch.get_num_threads() == 2


def test_with_one_thread_there_is_nothing_to_try(monkeypatch: pytest.MonkeyPatch) -> None:
    chooser = Threads(1)
    assert tried(chooser, ROUNDS + 1, {1: 1.0}, monkeypatch) == [1] * (ROUNDS + 1)
    assert chooser.chosen == 1


def test_a_step_that_fails_is_no_measurement() -> None:
    chooser = Threads(2)
    for _ in range(10 * ROUNDS):
        with pytest.raises(MemoryError), chooser.step():
            raise MemoryError
    assert chooser.chosen is None
