"""The fish engine's decoding, on a generated checkpoint, in the fish interpreter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fish_interpreter import in_fish

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def rolling(fish_python: Path, tiny_checkpoint: Path) -> dict[str, Any]:
    return in_fish(fish_python, "rolling_batch.py", tiny_checkpoint)


@pytest.mark.parametrize("most_frames", [300, 40], ids=["lines end by themselves", "lines are cut off"])
def test_the_tokens_are_those_of_upstream_at_every_batch_size(
    fish_python: Path, tiny_checkpoint: Path, most_frames: int
) -> None:
    answer = in_fish(fish_python, "upstream_equality.py", tiny_checkpoint, most_frames)
    assert answer["equal"] == {size: [True] * 8 for size in ("1", "2", "4", "8", "3")}
    assert len(set(answer["frames"])) > 1, "all lines are equally long: mixed lengths were not tried"
    assert min(answer["frames"]) > 4


def test_a_line_that_ended_leaves_its_slot_to_the_next_at_once(rolling: dict[str, Any]) -> None:
    rows, frames = rolling["rows"], rolling["frames"]
    # Each line is a row for as many steps as it has frames, and one more in which it ends.
    assert sum(rows) == sum(frames) + len(frames)
    until_last_waits = next(step for step, count in enumerate(rows) if count < 3)
    assert all(count == 3 for count in rows[:until_last_waits])
    # The long line did not hold up the others: eleven lines went through two slots beside it.
    assert frames[0] > 2 * max(frames[1:])
    assert len(rows) <= max(frames[0], sum(frames) / 3 + max(frames[1:])) + len(frames)


@pytest.mark.parametrize("precision", ["float32", "bf16", "int8"])
def test_a_line_is_the_same_whoever_is_in_the_batch(rolling: dict[str, Any], precision: str) -> None:
    assert rolling[precision] == [True, True]


def test_a_line_is_the_same_on_one_thread_and_on_two(rolling: dict[str, Any]) -> None:
    assert rolling["two threads"]


def test_out_of_memory_halves_the_batch_and_loses_nothing(rolling: dict[str, Any]) -> None:
    assert rolling["tried"] == [8, 4]
    assert rolling["after halving"]
