"""The slots that are alive: who is free, when another may be started, who takes too long."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass

from voiceclone_cli.workers.faults.deadlines import Deadlines, Watch
from voiceclone_cli.workers.held import Held
from voiceclone_cli.workers.outcome import Usage
from voiceclone_cli.workers.slot import Inbox, Launcher, Slot

LOOK_SECONDS = 0.25
"""Between two looks at the clocks."""

LONGEST_LOOK = 2.0
"""More than this between two looks is time in which nobody looked: this process was suspended, or held up
by whoever it tells of rows. No worker is to blame for that."""

ENDING_SECONDS = 5.0
"""How long workers without work may take to end by themselves."""


@dataclass(slots=True)
class Member:
    """A living slot. ``held`` is the lease in its hands."""

    slot: Slot
    number: int
    """Its place among the slots, from 1: who replaces a dead one takes it over (and so its GPU)."""
    watch: Watch
    held: Held | None = None
    since: float = 0.0
    """When it was given that, in monotonic seconds."""
    trusted: bool = True
    """False when it is being ended: it gets no more work."""


class Crew:
    """Starts slots when they are needed and watches over them; the pool says what they do."""

    def __init__(self, launcher: Launcher, inbox: Inbox, patience: float) -> None:
        self._launcher = launcher
        self._inbox = inbox
        self._deadlines = Deadlines(patience)
        self._names = (f"worker {number}" for number in itertools.count(1))
        self._members: dict[Slot, Member] = {}
        self._idle: dict[Slot, Member] = {}
        """Trusted, and without a lease; perhaps not ready yet."""
        self._looked = time.monotonic()
        self._most = 0
        self._busy_seconds = 0.0
        self._began: float | None = None
        self._ended = 0.0

    @property
    def busy(self) -> list[tuple[Member, Held]]:
        """Who holds a lease, and which."""
        return [(member, member.held) for member in self._members.values() if member.held is not None]

    @property
    def size(self) -> int:
        """Slots that are alive."""
        return len(self._members)

    @property
    def usage(self) -> Usage:
        """How busy they were so far."""
        span = self._ended - self._began if self._began is not None else 0.0
        return Usage(self._most, self._busy_seconds, span)

    def member(self, slot: Slot) -> Member | None:
        """Who this slot is; None when it is gone."""
        return self._members.get(slot)

    def free(self, leases: int) -> Member | None:
        """A slot without a lease. If there is none, some are started for the ``leases`` that wait, as far as
        there is room.

        Raises PreflightError when none can be started.
        """
        starting = 0
        for member in self._idle.values():
            if member.slot.ready:
                return member
            starting += 1
        if starting >= leases:
            return None
        room = self._launcher.room()
        while starting < leases and len(self._members) < room:
            member = self._start()
            if member.slot.ready:
                return member
            starting += 1
        return None

    def take(self, member: Member, held: Held) -> None:
        """The slot holds a lease from now on."""
        del self._idle[member.slot]
        member.held = held
        member.since = time.monotonic()
        self._began = self._began or member.since
        member.watch.begin_lease(member.since)

    def release(self, member: Member) -> None:
        """Take back the lease of a slot that has answered."""
        member.held = None
        member.watch.end_lease()
        member.slot.answered()
        if member.trusted:
            self._idle[member.slot] = member
        self._count(member)

    def remove(self, slot: Slot) -> Held | None:
        """The slot has ended; what it held."""
        self._idle.pop(slot, None)
        member = self._members.pop(slot, None)
        if member is None or member.held is None:
            return None
        slot.answered()
        self._count(member)
        return member.held

    def end_overdue(self) -> None:
        """End every slot that has taken too long. Cheap: looks at the clocks a few times a second."""
        now = time.monotonic()
        since = now - self._looked
        if since < LOOK_SECONDS:
            return
        self._looked = now
        for member, held in self.busy:
            if since > LONGEST_LOOK:
                member.watch.forgive(since - LONGEST_LOOK)
            fault = member.watch.overdue(held, member.slot.last_event, now)
            if fault is not None:
                self.dismiss(member, fault)

    def dismiss(self, member: Member, fault: str) -> None:
        """End a slot at once; its GoneMessage tells of it."""
        member.trusted = False
        self._idle.pop(member.slot, None)
        member.slot.kill(fault)

    def disband(self, *, gracefully: bool, hurried: Callable[[], bool]) -> None:
        """End every slot. With ``gracefully`` each may end by itself, within
        ENDING_SECONDS and until ``hurried`` says that there is no time for it."""
        for member in self._members.values():
            if gracefully:
                member.slot.finish()
            else:
                member.slot.kill("the run was stopped")
        deadline = time.monotonic() + ENDING_SECONDS
        for member in self._members.values():
            while not member.slot.wait(0.1):
                if time.monotonic() >= deadline or hurried():
                    member.slot.kill("it did not end")
                    member.slot.wait(ENDING_SECONDS)
                    break
        for member, _ in self.busy:
            member.slot.answered()
        self._members.clear()
        self._idle.clear()
        self._launcher.close()

    def _start(self) -> Member:
        taken = {member.number for member in self._members.values()}
        number = next(n for n in itertools.count(1) if n not in taken)
        slot = self._launcher.start(next(self._names), number, self._inbox)
        member = Member(slot, number, Watch(self._deadlines, time.monotonic()))
        self._members[slot] = self._idle[slot] = member
        self._most = max(self._most, len(self._members))
        return member

    def _count(self, member: Member) -> None:
        """Add the seconds for which it held its lease, which is over now."""
        self._ended = time.monotonic()
        self._busy_seconds += self._ended - member.since
