"""Servers with a queue: the coordinator's loop, its network, its threads."""

from __future__ import annotations

import heapq


class Server:
    """First come, first served. Calls must come in the order of their times; all are in seconds."""

    def __init__(self) -> None:
        self.free_at = 0.0
        self.busy = 0.0

    def serve(self, now: float, work: float) -> float:
        """Return when work that arrives ``now`` is done."""
        self.busy += work
        self.free_at = (now if now > self.free_at else self.free_at) + work
        return self.free_at


class Servers:
    """Several servers with one queue."""

    def __init__(self, count: int) -> None:
        self._free_at = [0.0] * count
        self.busy = 0.0

    def serve(self, now: float, work: float) -> float:
        """Return when work that arrives ``now`` is done by the first free server."""
        self.busy += work
        done = max(now, self._free_at[0]) + work
        heapq.heapreplace(self._free_at, done)
        return done
