"""Events in time: what happens next."""

from __future__ import annotations

import heapq
from enum import IntEnum, auto

from scale.parts import Held


class Event(IntEnum):
    """Of a recording, then of a slot or a node."""

    BEGIN = auto()
    READ = auto()
    HEARD = auto()
    CAST = auto()
    SPOKEN = auto()
    MIXED = auto()
    DONE = auto()
    """A slot is at the end of its lease."""
    LOST = auto()
    """A node is gone."""
    MISSED = auto()
    """That a slot's lease is lost is noticed."""
    BACK = auto()
    """A slot can be used again."""


class Clock:
    """Gives events in the order of their times, and of being told where those are equal."""

    def __init__(self) -> None:
        self._events: list[tuple[float, int, Event, int, Held | None]] = []
        self._order = 0

    def tell(self, time: float, event: Event, number: int, held: Held | None = None) -> None:
        """``number`` is that of the recording, the slot or the node; ``held`` the lease it is about."""
        self._order += 1
        heapq.heappush(self._events, (time, self._order, event, number, held))

    def next(self) -> tuple[float, Event, int, Held | None]:
        time, _, event, number, held = heapq.heappop(self._events)
        return time, event, number, held
