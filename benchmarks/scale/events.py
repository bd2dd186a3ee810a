"""Events in time."""

from __future__ import annotations

import heapq
from enum import IntEnum, auto

from scale.parts import Assignment


class Event(IntEnum):
    """Events of a recording, then of a worker or a node."""

    BEGIN = auto()
    READ = auto()
    ANALYZED = auto()
    PREPARED = auto()
    SYNTHESIZED = auto()
    MIXED = auto()
    DONE = auto()
    """A worker has finished its lease."""
    LOST = auto()
    """A node is lost."""
    MISSED = auto()
    """The loss of a worker's lease is noticed."""
    BACK = auto()
    """A worker is available again."""


class Clock:
    """A queue of events, sorted by time and order of scheduling."""

    def __init__(self) -> None:
        self._events: list[tuple[float, int, Event, int, Assignment | None]] = []
        self._order = 0

    def schedule(self, time: float, event: Event, number: int, assignment: Assignment | None = None) -> None:
        """Schedule an event of recording, worker or node ``number``; ``assignment`` is its lease."""
        self._order += 1
        heapq.heappush(self._events, (time, self._order, event, number, assignment))

    def next(self) -> tuple[float, Event, int, Assignment | None]:
        time, _, event, number, assignment = heapq.heappop(self._events)
        return time, event, number, assignment
