"""What does one thing after the other: the controller's loop, its network, the threads beside it."""

from __future__ import annotations

import heapq


class Server:
    """First come, first served. Calls must come in the order of their times; all are in seconds."""

    def __init__(self) -> None:
        self.free_at = 0.0
        self.busy = 0.0

    def serve(self, now: float, work: float) -> float:
        """When work that arrives ``now`` is done."""
        self.busy += work
        self.free_at = (now if now > self.free_at else self.free_at) + work
        return self.free_at


class Servers:
    """Several that share one line."""

    def __init__(self, count: int) -> None:
        self._free_at = [0.0] * count
        self.busy = 0.0

    def serve(self, now: float, work: float) -> float:
        """When work that arrives ``now`` is done by whoever is free first."""
        self.busy += work
        done = max(now, self._free_at[0]) + work
        heapq.heapreplace(self._free_at, done)
        return done
