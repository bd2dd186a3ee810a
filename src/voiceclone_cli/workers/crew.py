"""The workers that are alive: who is free, when another may be started, who takes too long."""

from __future__ import annotations

import itertools
import queue
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from voiceclone_cli.workers.deadlines import Deadlines, Watch
from voiceclone_cli.workers.environment import WorkerCommand
from voiceclone_cli.workers.held import Held
from voiceclone_cli.workers.process import Message, WorkerProcess

LOOK_SECONDS = 0.25
"""Between two looks at the clocks."""

LONGEST_LOOK = 2.0
"""More than this between two looks is time in which nobody looked: this process was suspended, or held up
by whoever it tells of rows. No worker is to blame for that."""

ENDING_SECONDS = 5.0
"""How long workers without work may take to end by themselves."""


@dataclass(slots=True)
class Member:
    """A living worker. ``held`` is the lease in its hands."""

    worker: WorkerProcess
    number: int
    """Its place among the workers, from 1: who replaces a dead one takes it over (and so its GPU)."""
    watch: Watch
    held: Held | None = None
    trusted: bool = True
    """False when it is being ended: it gets no more work."""


class Crew:
    """Starts workers when they are needed and watches over them; the pool says what they do."""

    def __init__(
        self,
        command: WorkerCommand,
        size: int,
        inbox: queue.SimpleQueue[Message],
        log_dir: Path | None,
        patience: float,
    ) -> None:
        self._command = command
        self._size = size
        self._inbox = inbox
        self._log_dir = log_dir
        self._deadlines = Deadlines(patience)
        self._names = (f"worker {number}" for number in itertools.count(1))
        self._members: dict[WorkerProcess, Member] = {}
        self._looked = time.monotonic()
        self.has_started = False
        """Whether any worker ever could be started."""

    @property
    def busy(self) -> list[tuple[Member, Held]]:
        """Who holds a lease, and which."""
        return [(member, member.held) for member in self._members.values() if member.held is not None]

    def member(self, worker: WorkerProcess) -> Member | None:
        """Who this worker is; None when it is gone."""
        return self._members.get(worker)

    def free(self, not_before: float) -> Member | None:
        """A worker without a lease, started if there is none and another may be started: from
        ``not_before`` (monotonic seconds) on, up to the crew's size.

        Raises PreflightError when the interpreter cannot be started.
        """
        for member in self._members.values():
            if member.held is None and member.trusted:
                return member
        if len(self._members) >= self._size or time.monotonic() < not_before:
            return None
        return self._start()

    def remove(self, worker: WorkerProcess) -> Held | None:
        """The worker has ended; what it held."""
        member = self._members.pop(worker, None)
        return None if member is None else member.held

    def end_overdue(self) -> None:
        """End every worker that has taken too long. Cheap: looks at the clocks a few times a second."""
        now = time.monotonic()
        since = now - self._looked
        if since < LOOK_SECONDS:
            return
        self._looked = now
        for member, held in self.busy:
            if since > LONGEST_LOOK:
                member.watch.forgive(since - LONGEST_LOOK)
            fault = member.watch.overdue(held, member.worker.last_event, now)
            if fault is not None:
                self.dismiss(member, fault)

    def dismiss(self, member: Member, fault: str) -> None:
        """End a worker at once; its GoneMessage tells of it."""
        member.trusted = False
        member.worker.kill(fault)

    def disband(self, *, gracefully: bool, hurried: Callable[[], bool]) -> list[Held]:
        """End every worker; what they held. With ``gracefully`` each may end by itself, within
        ENDING_SECONDS and until ``hurried`` says that there is no time for it."""
        for member in self._members.values():
            if gracefully:
                member.worker.finish()
            else:
                member.worker.kill("the run was stopped")
        deadline = time.monotonic() + ENDING_SECONDS
        for member in self._members.values():
            while not member.worker.wait(0.1):
                if time.monotonic() >= deadline or hurried():
                    member.worker.kill("it did not end")
                    member.worker.wait(ENDING_SECONDS)
                    break
        left = [held for _, held in self.busy]
        self._members.clear()
        return left

    def _start(self) -> Member:
        name = next(self._names)
        log = self._log_dir / f"{name.replace(' ', '-')}.log" if self._log_dir else None
        taken = {member.number for member in self._members.values()}
        number = next(n for n in itertools.count(1) if n not in taken)
        worker = WorkerProcess(name, self._command.numbered(number), self._inbox, log)
        self.has_started = True
        member = Member(worker, number, Watch(self._deadlines, time.monotonic()))
        self._members[worker] = member
        return member
