"""Which lease is given to a second slot because its own is slow.

As in MapReduce's backup tasks (Dean and Ghemawat, 2004): near the end of the work, whoever is idle does again
what a slow machine has not finished, and the first answer counts.
"""

from __future__ import annotations

import collections
import statistics
from collections.abc import Iterable

from voiceclone_cli.workers.crew import Member
from voiceclone_cli.workers.held import Held
from voiceclone_cli.workers.leases import Lease, part

SLOW = 2.0
"""So many times what a lease of its cost usually takes."""

LEAST_SECONDS = 1.0
"""What is over sooner is not worth a second slot."""

LEAST_KNOWN = 3
"""Leases that must have been answered before anybody can be called slow."""


class Pace:
    """How long leases take, in seconds per unit of cost, over the last hundred."""

    def __init__(self) -> None:
        self._known: collections.deque[float] = collections.deque(maxlen=100)

    def note(self, lease: Lease, seconds: float) -> None:
        """A lease was answered."""
        if lease.cost > 0:
            self._known.append(seconds / lease.cost)

    def slowest(self, busy: Iterable[tuple[Member, Held]], now: float) -> Held | None:
        """The lease that has been out longest of those that take too long and can be done twice."""
        if len(self._known) < LEAST_KNOWN:
            return None
        usual = statistics.median(self._known)
        late = [
            (now - member.since, held)
            for member, held in busy
            if member.slot.isolated
            and held.copy is None
            and held.unfinished
            and now - member.since > max(LEAST_SECONDS, SLOW * usual * held.lease.cost)
        ]
        return max(late, key=lambda found: found[0])[1] if late else None


def stolen(held: Held) -> Lease:
    """What is unfinished of it, as a lease for another slot."""
    (lease,) = part(held.lease, set(held.unfinished))
    return lease
