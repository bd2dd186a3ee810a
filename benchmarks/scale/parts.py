"""Objects of the model: files, leases, and leases that workers process."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from scale.work import Shape

ENCODING = -2
"""Pseudo speaker of a lease of references."""


class Lease(NamedTuple):
    """Lines of a file for one worker."""

    file: int
    rows: int
    speech: float
    """Seconds of it."""
    speaker: int
    seconds: float
    """Time of an average worker, without loading the engine."""


@dataclass(slots=True, eq=False)
class Assignment:
    """A lease that a worker processes."""

    lease: Lease
    begins: float
    load: float
    """Seconds to start the worker and load its engine."""
    seconds: float
    """Seconds that this worker needs after that."""
    ends: float
    dies: bool = False
    """Whether it ends with the death of its worker."""

    def unfinished(self, now: float) -> Lease:
        """Return the unfinished lines."""
        lease = self.lease
        if not lease.rows:
            return lease
        share = max(0.0, now - self.begins - self.load) / self.seconds
        left = max(1, lease.rows - int(share * lease.rows))
        kept = left / lease.rows
        return lease._replace(rows=left, speech=lease.speech * kept, seconds=lease.seconds * kept)


@dataclass(slots=True)
class File:
    """A recording in progress."""

    shape: Shape
    leases: int = 0
    """Number of its leases."""
    left: int = 0
    """Number of unfinished ones."""
    sent: set[tuple[int, int]] = field(default_factory=set)
    """(node, speaker) that have the reference."""
    marked: float = 0.0
    """Time at which the last received line is marked."""
