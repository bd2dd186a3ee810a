"""What becomes of a lease that was not answered as it should have been."""

from __future__ import annotations

import collections
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field

from voiceclone_cli.workers.held import Held, RowName
from voiceclone_cli.workers.leases import Lease, part

MAX_STRIKES = 2
"""A row that went wrong with two workers gets no third."""

MAX_LOSSES = 5
"""A row whose machine went away so many times is given up: perhaps it is not by chance."""


@dataclass(slots=True)
class Remains:
    """What is left of a lease: to be done next, to be done when there is nothing else, not to be done."""

    first: list[Lease] = field(default_factory=list)
    last: list[Lease] = field(default_factory=list)
    given_up: list[RowName] = field(default_factory=list)


class Strikes:
    """Counts, for each row, the workers it went wrong with."""

    def __init__(self) -> None:
        self._counted: collections.Counter[Hashable] = collections.Counter()
        self._lost: collections.Counter[Hashable] = collections.Counter()

    def of_dead(self, held: Held) -> Remains:
        """The worker is gone. Any row it was speaking may be what killed it: each of these goes alone to
        another worker, so that the guilty one takes no other with it; what it had not begun goes first."""
        remains = Remains()
        for name in sorted(held.in_flight):
            if self._again(held, name):
                remains.last += part(held.lease, {name})
            else:
                remains.given_up.append(name)
        rest = {name for name in held.unfinished if name not in held.in_flight}
        if held.unencoded:
            rest |= held.references.keys()  # fitted together, so they are made again together
        remains.first += part(held.lease, rest)
        return remains

    def of_lost(self, held: Held) -> Remains:
        """The machine of the worker is gone, which is no row's fault."""
        remains = Remains()
        rest: set[RowName] = set()
        for name in (*held.unfinished, *held.unencoded):
            key = _key(held, name)
            self._lost[key] += 1
            if self._lost[key] < MAX_LOSSES:
                rest |= held.references.keys() if name in held.references else {name}
            else:
                remains.given_up.append(name)
        remains.first += part(held.lease, rest)
        return remains

    def of_answered(self, held: Held, faults: Iterable[RowName]) -> Remains:
        """The worker answered, but not for these rows, or not as could be believed: another may try."""
        remains = Remains()
        again: set[RowName] = set()
        for name in faults:
            if not self._again(held, name):
                remains.given_up.append(name)
            elif name in held.references:
                again |= {other for other in held.references if other[0] == name[0]}
            else:
                again.add(name)
        remains.first += part(held.lease, again)
        return remains

    def _again(self, held: Held, name: RowName) -> bool:
        """One more strike; whether the row may be tried again."""
        key = _key(held, name)
        self._counted[key] += 1
        return self._counted[key] < MAX_STRIKES


def _key(held: Held, name: RowName) -> Hashable:
    return held.segments.get(name, ("a reference", held.references.get(name)))
