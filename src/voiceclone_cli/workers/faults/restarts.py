"""When another worker may be started after some have died, and when no more are."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """How many workers may die in a row before no more are started."""

    barren: int = 3
    """Without beginning a row."""
    fruitless: int = 20
    """Having begun rows and finished none: each row is tried twice, then given up, so only where every row
    kills do so many die in a row."""


LIMITS = Limits()
"""Of one caller's leases."""

PATIENT = Limits(barren=9, fruitless=60)
"""Of all callers' together: more than one of them must have met it."""

FIRST_PAUSE, LONGEST_PAUSE = 0.25, 8.0


@dataclass(slots=True)
class Restarts:
    """Counts deaths in a row. ``not_before`` is the monotonic time from which on another lease
    may be tried."""

    limits: Limits = LIMITS
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
        if self._barren >= self.limits.barren:
            return self._barren
        return self._fruitless if self._fruitless >= self.limits.fruitless else 0
