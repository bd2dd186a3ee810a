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


class Crowd:
    """Threads of one process that share it evenly. When there are several they get in each other's way, and all
    together do only the share ``crowded`` of what one alone would do."""

    def __init__(self, crowded: float) -> None:
        self._crowded = crowded
        self._jobs: list[tuple[float, int, int]] = []
        """(seconds that each job will have been given when this one is done, order, who)"""
        self._given = self._now = 0.0
        self._order = 0
        self.busy = 0.0

    def add(self, now: float, work: float, who: int) -> None:
        self._advance(now)
        self._order += 1
        heapq.heappush(self._jobs, (self._given + work, self._order, who))

    @property
    def next_end(self) -> float | None:
        """When the next one is done if nobody else comes."""
        return self._now + max(0.0, self._jobs[0][0] - self._given) / self._pace() if self._jobs else None

    def take(self, now: float) -> int:
        """Who is done now."""
        self._advance(now)
        return heapq.heappop(self._jobs)[2]

    def _advance(self, now: float) -> None:
        if self._jobs and now > self._now:
            self._given += (now - self._now) * self._pace()
            self.busy += now - self._now
        self._now = max(now, self._now)

    def _pace(self) -> float:
        count = len(self._jobs)
        return 1.0 if count <= 1 else self._crowded / count
