"""When another worker may be started after some have died, and when no more are."""

from __future__ import annotations

from dataclasses import dataclass

MOST_BARREN = 3
"""Workers that may die one after the other without beginning a row before the pool gives up."""

MOST_FRUITLESS = 20
"""The same for workers that began rows and finished none: each row is tried twice, then given up, so
only where every row kills do so many die in a row."""

FIRST_PAUSE, LONGEST_PAUSE = 0.25, 8.0


@dataclass(slots=True)
class Restarts:
    """Counts deaths in a row. ``not_before`` is the monotonic time when another worker may be started."""

    not_before: float = 0.0
    _fruitless: int = 0
    _barren: int = 0

    def fruit(self) -> None:
        """A worker finished a row: workers do live here."""
        self._fruitless = self._barren = 0
        self.not_before = 0.0

    def death(self, now: float, *, began: bool) -> int:
        """A worker died, having begun rows or not. How many ended so when no more are to be started, else 0."""
        self._fruitless += 1
        self._barren = 0 if began else self._barren + 1
        self.not_before = now + min(FIRST_PAUSE * 2.0 ** (self._fruitless - 1), LONGEST_PAUSE)
        if self._barren >= MOST_BARREN:
            return self._barren
        return self._fruitless if self._fruitless >= MOST_FRUITLESS else 0
