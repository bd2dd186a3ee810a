from __future__ import annotations

from voiceclone_cli.workers.faults.restarts import LIMITS, Restarts


def test_each_death_in_a_row_doubles_the_pause_up_to_eight_seconds() -> None:
    restarts = Restarts()
    pauses = []
    for _ in range(8):
        restarts.death(100.0, began=True)
        pauses.append(restarts.not_before - 100.0)
    assert pauses == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0]


def test_a_finished_row_ends_the_pause_and_the_count() -> None:
    restarts = Restarts()
    restarts.death(100.0, began=False)
    restarts.death(100.0, began=False)
    restarts.fruit()
    assert restarts.not_before == 0.0
    assert restarts.death(100.0, began=False) == 0
    assert restarts.not_before == 100.25


def test_workers_that_never_begin_are_tried_three_times() -> None:
    restarts = Restarts()
    assert [restarts.death(0.0, began=False) for _ in range(LIMITS.barren)] == [0, 0, 3]


def test_a_row_that_was_begun_ends_the_barren_count_but_not_the_fruitless_one() -> None:
    restarts = Restarts()
    deaths = [restarts.death(0.0, began=number % 2 == 0) for number in range(LIMITS.fruitless)]
    assert deaths == [0] * (LIMITS.fruitless - 1) + [LIMITS.fruitless]
