"""How many threads speak fastest: tried on the first steps, not assumed.

A step is hundreds of short products that wait for memory. Two threads that share them must meet after
each, and on a machine whose cores share their memory, or have other work, that costs more than it brings:
one thread was up to 1.6 times as fast as two on a virtual machine of two cores. Elsewhere all threads
are. Either way the numbers are the same, so that the choice is free.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

ROUNDS = 6
"""Steps that each number of threads is tried for, in turn."""


class Threads:
    """Gives each step its threads, of at most ``most``."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._fastest = dict.fromkeys(sorted({1, max(1, most // 2), most}), float("inf"))
        self._steps = 0

    @property
    def chosen(self) -> int | None:
        """What the trial came to; None while it lasts."""
        if self._steps < ROUNDS * len(self._fastest):
            return None
        return min(self._fastest, key=self._fastest.__getitem__)

    @contextmanager
    def step(self) -> Iterator[None]:
        """Around a step: its threads, and ``most`` again when it is over. The fastest step of each
        number counts, since some also read the text of a new line."""
        tried = None if self.chosen else list(self._fastest)[self._steps % len(self._fastest)]
        torch.set_num_threads(tried or self.chosen or self._most)
        started = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - started
            torch.set_num_threads(self._most)
        if tried is not None:
            self._fastest[tried] = min(self._fastest[tried], seconds)
            self._steps += 1
