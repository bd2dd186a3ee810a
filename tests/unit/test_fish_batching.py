"""Which way of decoding a device settles on. The two ways stand for a GPU's."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import pytest
import torch

from voiceclone_worker.engines.base import SegmentError
from voiceclone_worker.engines.fish.codec.batching import TRIALS, Batching

Decoded = list[bytes | SegmentError]
ROWS = [torch.tensor([[1, 2]]), torch.tensor([[3]])]


def test_rows_go_together_where_that_is_faster_and_changes_nothing() -> None:
    alone, together = Way(seconds=0.02), Way(seconds=0.001)
    notes = decode_often(alone, together)
    assert (alone.calls, together.calls) == (TRIALS, TRIALS + 2)
    assert len(notes) == 1 and "together, with the same samples" in notes[0]


def test_rows_go_alone_where_that_is_faster() -> None:
    alone, together = Way(seconds=0.001), Way(seconds=0.02)
    notes = decode_often(alone, together)
    assert (alone.calls, together.calls) == (TRIALS + 2, TRIALS)
    assert len(notes) == 1 and "one by one (" in notes[0]


def test_the_first_trial_is_not_timed() -> None:
    together = Way(seconds=0.001, first=0.2)
    assert "together, with" in decode_often(Way(seconds=0.02), together)[0]


def test_one_changed_sample_settles_it_at_once() -> None:
    alone, together = Way(seconds=0.01), Way(seconds=0.001, adds=b"!")
    notes = decode_often(alone, together)
    assert (alone.calls, together.calls) == (TRIALS + 2, 1)
    assert "changed samples" in notes[0]


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory."), RuntimeError("MPS backend out of memory")]
)
def test_a_batch_without_memory_is_decoded_alone(error: RuntimeError) -> None:
    alone, together = Way(), Way(raises=error)
    notes = decode_often(alone, together)
    assert together.calls == 1
    assert "no memory" in notes[0]


def test_memory_that_runs_out_later_is_no_failure_either() -> None:
    alone, together = Way(seconds=0.02), Way(seconds=0.001)
    notes: list[str] = []
    decode = Batching(alone, together, notes.append)
    for _ in range(TRIALS):
        decode(ROWS)
    together.raises = torch.OutOfMemoryError("CUDA out of memory.")
    assert decode(ROWS) == said(ROWS)
    assert len(notes) == 2 and "no memory" in notes[1]


def test_any_other_error_is_raised() -> None:
    with pytest.raises(RuntimeError, match="device-side assert"):
        Batching(Way(), Way(raises=RuntimeError("device-side assert")), print)(ROWS)


def test_a_row_by_itself_is_no_trial() -> None:
    together = Way()
    assert Batching(Way(), together, print)(ROWS[:1]) == said(ROWS[:1])
    assert together.calls == 0


class Way:
    """Decodes rows in the given time, and counts how often it was asked."""

    def __init__(
        self, seconds: float = 0.0, first: float = 0.0, adds: bytes = b"", raises: RuntimeError | None = None
    ) -> None:
        self.seconds, self.first, self.adds, self.raises = seconds, first, adds, raises
        self.calls = 0

    def __call__(self, rows: Sequence[torch.Tensor]) -> Decoded:
        self.calls += 1
        if self.raises is not None:
            raise self.raises
        time.sleep(self.first if self.first and self.calls == 1 else self.seconds)
        return [line + self.adds for line in said(rows) if isinstance(line, bytes)]


def said(rows: Sequence[torch.Tensor]) -> Decoded:
    return [bytes(row[0].tolist()) for row in rows]


def decode_often(
    alone: Callable[[Sequence[torch.Tensor]], Decoded], together: Callable[[Sequence[torch.Tensor]], Decoded]
) -> list[str]:
    notes: list[str] = []
    decode = Batching(alone, together, notes.append)
    for _ in range(TRIALS + 2):
        assert decode(ROWS) == said(ROWS)
    return notes
