"""What came of leases."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from voiceclone_worker.contract import Failure, ReferenceRow, SegmentRow

SegmentKey = tuple[str, str]
"""(output folder, segment id)."""

MOST_NOTES = 100
"""A worker that has more to tell says the same in other words."""


@dataclass(frozen=True, slots=True)
class Usage:
    """How busy slots were."""

    slots: int
    """The most at a time; 0 while none could be started."""
    busy_seconds: float
    """Holding leases, summed over them."""
    span_seconds: float
    """From the first lease to the last answer."""


@dataclass(slots=True)
class Outcome:
    """What came of the leases: a row for every segment and every reference."""

    segments: dict[SegmentKey, SegmentRow] = field(default_factory=dict)
    references: dict[str, ReferenceRow] = field(default_factory=dict)
    timing: dict[str, float] = field(default_factory=dict)
    """Seconds by stage, summed over the workers."""
    errors: list[Failure] = field(default_factory=list)
    """What stopped a lease as a whole."""
    notes: list[str] = field(default_factory=list)
    """What the user should know although nothing failed, each sentence once."""
    peak_mb: int = 0
    """The largest worker's peak resident memory; 0 where the system does not tell."""

    def drop_notes(self, notes: Collection[str]) -> None:
        """Forget notes for which something else stands."""
        self.notes = [note for note in self.notes if note not in notes]

    def add_notes(self, notes: Iterable[str]) -> None:
        for note in notes:
            if len(self.notes) < MOST_NOTES and note not in self.notes:
                self.notes.append(note)

    def add_error(self, error: Failure) -> None:
        if error not in self.errors:  # two workers may stumble over the same
            self.errors.append(error)
