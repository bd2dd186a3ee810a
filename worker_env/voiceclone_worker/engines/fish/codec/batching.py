"""Whether a device decodes rows together: tried on the first batches, not assumed.

Together saves starting kernels and pays for padding; and kernels are chosen by the shape of a batch, so
sums may come out in another order and samples one step higher or lower. Rows go together only where
that was faster and left every byte as it was.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import torch

from voiceclone_worker.engines.base import SegmentError
from voiceclone_worker.engines.fish.device import is_out_of_memory

TRIALS = 3
"""Batches that are decoded both ways. The first only warms up: kernels are loaded and chosen in it."""

Decode = Callable[[Sequence[torch.Tensor]], list[bytes | SegmentError]]


class Batching:
    """``alone`` and ``together`` decode the same rows; a call takes the better way for the device.

    ``note`` hears in a sentence what was decided. Where ``together`` runs out of memory, ``alone``
    takes over for good.
    """

    def __init__(self, alone: Decode, together: Decode, note: Callable[[str], None]) -> None:
        self._alone = alone
        self._together = together
        self._note = note
        self._chosen: Decode | None = None
        self._trials: list[tuple[float, float]] = []

    def __call__(self, rows: Sequence[torch.Tensor]) -> list[bytes | SegmentError]:
        if len(rows) < 2 or self._chosen is self._alone:
            return self._alone(rows)
        try:
            return self._trial(rows) if self._chosen is None else self._chosen(rows)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        # Here, not above: while the error is at hand it holds on to the batch's tensors.
        self._settle(self._alone, "one by one: there was no memory to decode them together")
        return self._alone(rows)

    def _trial(self, rows: Sequence[torch.Tensor]) -> list[bytes | SegmentError]:
        started = time.perf_counter()
        made = self._alone(rows)
        between = time.perf_counter()
        if self._together(rows) != made:
            self._settle(self._alone, "one by one: decoding them together changed samples")
            return made
        self._trials.append((between - started, time.perf_counter() - between))
        if len(self._trials) == TRIALS:
            self._decide()
        return made

    def _decide(self) -> None:
        alone, together = (sum(times) for times in zip(*self._trials[1:], strict=True))
        measured = f"{together:.2f} s together, {alone:.2f} s one by one"
        if together < alone:
            self._settle(self._together, f"together, with the same samples ({measured})")
        else:
            self._settle(self._alone, f"one by one ({measured})")

    def _settle(self, chosen: Decode, how: str) -> None:
        self._chosen = chosen
        self._note(f"the codec decodes lines {how}")
