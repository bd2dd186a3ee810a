"""What moves through the model: leases, files, and leases in the hands of slots."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from scale.work import Shape

ENCODING = -2
"""In the place of a speaker: a lease of references."""


class Lease(NamedTuple):
    file: int
    rows: int
    speech: float
    """Seconds of it."""
    speaker: int
    seconds: float
    """In the hands of a usual slot; the engine's loading is none of it."""


@dataclass(slots=True, eq=False)
class Held:
    """A lease in the hands of a slot."""

    lease: Lease
    begins: float
    load: float
    """Seconds of it in which the slot is started and its engine loaded."""
    seconds: float
    """That this slot needs for it then."""
    ends: float
    dies: bool = False
    """It ends with its worker, not with an answer."""

    def remains(self, now: float) -> Lease:
        """What is unfinished of it; only whole lines are finished."""
        lease = self.lease
        if not lease.rows:
            return lease
        share = max(0.0, now - self.begins - self.load) / self.seconds
        left = max(1, lease.rows - int(share * lease.rows))
        kept = left / lease.rows
        return lease._replace(rows=left, speech=lease.speech * kept, seconds=lease.seconds * kept)


@dataclass(slots=True)
class File:
    """A recording in work."""

    shape: Shape
    leases: int = 0
    """Into which it is cut."""
    left: int = 0
    """Of them without an answer."""
    sent: set[tuple[int, int]] = field(default_factory=set)
    """(node, speaker) that have what they need of it."""
    marked: float = 0.0
    """When the last line that has come is marked."""
