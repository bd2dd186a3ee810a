"""Leases work to slots until every row has an outcome.

A slot holds one lease at a time and gets the next as soon as it has answered. Rows are believed as soon as
their event arrives, so that a worker that dies loses only what it had not finished; its lease goes back to
the queue without the finished rows. Where slots are, and what starts them, is the launcher's to know.

The pool works in one thread, for itself (``run``) or for callers in other threads (``serve``, ``Client``):
then it leases the work of all of them side by side.
"""

from __future__ import annotations

import collections
import itertools
import queue
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import TracebackType

from voiceclone_cli.errors import PreflightError, Stopped
from voiceclone_cli.system import listening_for_stop
from voiceclone_cli.workers import recovery
from voiceclone_cli.workers.protocol import (
    EventMessage,
    Inbox,
    Launcher,
    Lease,
    LogMessage,
    Message,
    PoolResult,
    ResultMessage,
    Usage,
    WakeMessage,
    Worker,
    WorkerExited,
)
from voiceclone_cli.workers.queue import Client, Job, JobQueue, OnEvent, OnLog, OnSegment, nobody_listens
from voiceclone_cli.workers.recovery import Assignment, Deadlines, DeadlineWatch
from voiceclone_worker.protocol import Failure, ReferenceRow, Result, SegmentRow
from voiceclone_worker.validation import ContractError

# The slots that are alive: who is free, when another may be started, who takes too long.


LOOK_SECONDS = 0.25
"""Between two looks at the clocks."""

LONGEST_LOOK = 2.0
"""More than this between two looks is time in which nobody looked: this process was suspended, or held up
by whoever it tells of rows. No worker is to blame for that."""

ENDING_SECONDS = 5.0
"""How long workers without work may take to end by themselves."""


@dataclass(slots=True)
class WorkerState:
    """A living slot. ``held`` is the lease in its hands."""

    slot: Worker
    number: int
    """Its place among the slots, from 1: who replaces a dead one takes it over (and so its GPU)."""
    watch: DeadlineWatch
    held: Assignment | None = None
    since: float = 0.0
    """When it was given that, in monotonic seconds."""
    trusted: bool = True
    """False when it is being ended: it gets no more work."""


class WorkerSet:
    """Starts slots when they are needed and watches over them; the pool says what they do."""

    def __init__(self, launcher: Launcher, inbox: Inbox, patience: float) -> None:
        self._launcher = launcher
        self._inbox = inbox
        self._deadlines = Deadlines(patience)
        self._names = (f"worker {number}" for number in itertools.count(1))
        self._members: dict[Worker, WorkerState] = {}
        self._idle: dict[Worker, WorkerState] = {}
        """Trusted, and without a lease; perhaps not ready yet."""
        self._looked = time.monotonic()
        self._most = 0
        self._busy_seconds = 0.0
        self._began: float | None = None
        self._ended = 0.0

    @property
    def busy(self) -> list[tuple[WorkerState, Assignment]]:
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

    def member(self, slot: Worker) -> WorkerState | None:
        """Who this slot is; None when it is gone."""
        return self._members.get(slot)

    def free(self, leases: int) -> WorkerState | None:
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

    def take(self, member: WorkerState, held: Assignment) -> None:
        """The slot holds a lease from now on."""
        del self._idle[member.slot]
        member.held = held
        member.since = time.monotonic()
        self._began = self._began or member.since
        member.watch.begin_lease(member.since)

    def release(self, member: WorkerState) -> None:
        """Take back the lease of a slot that has answered."""
        member.held = None
        member.watch.end_lease()
        member.slot.answered()
        if member.trusted:
            self._idle[member.slot] = member
        self._count(member)

    def remove(self, slot: Worker) -> Assignment | None:
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

    def dismiss(self, member: WorkerState, fault: str) -> None:
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

    def _start(self) -> WorkerState:
        taken = {member.number for member in self._members.values()}
        number = next(n for n in itertools.count(1) if n not in taken)
        slot = self._launcher.start(next(self._names), number, self._inbox)
        member = WorkerState(slot, number, DeadlineWatch(self._deadlines, time.monotonic()))
        self._members[slot] = self._idle[slot] = member
        self._most = max(self._most, len(self._members))
        return member

    def _count(self, member: WorkerState) -> None:
        """Add the seconds for which it held its lease, which is over now."""
        self._ended = time.monotonic()
        self._busy_seconds += self._ended - member.since


STOPPING_SECONDS = 5.0
"""How long the rows that are being spoken when a stop is asked for may take."""


class Pool:
    """Persistent workers. Use as a context manager: leaving it ends every worker.

    ``on_event`` and ``on_log`` hear of a worker's events and of the lines it logs, by its name.
    ``patience`` multiplies every deadline. A request to stop (see ``stopping``) ends ``run`` and ``serve``
    with Stopped, within STOPPING_SECONDS.
    """

    def __init__(
        self,
        launcher: Launcher,
        *,
        on_event: OnEvent = nobody_listens,
        on_log: OnLog = nobody_listens,
        patience: float = 1.0,
    ) -> None:
        self._inbox: queue.SimpleQueue[Message | Job] = queue.SimpleQueue()
        self._crew = WorkerSet(launcher, self._inbox, patience)
        self._works = JobQueue()
        self._holders: dict[Assignment, Job] = {}
        """Whose leases are in slots' hands."""
        self._own = Client(on_event, on_log)
        self.peak_mb = 0
        """The largest worker's peak resident memory so far; 0 where the system does not tell."""
        self._listening = listening_for_stop(self._hear_stop)
        self._stop: Stopped | None = None
        self._stop_raised = False

    def __enter__(self) -> Pool:
        self._listening.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            gracefully = kind is None and self._stop is None
            self._crew.disband(gracefully=gracefully, hurried=lambda: self._stop is not None)
        finally:
            self._listening.__exit__(None, None, None)
        if self._stop is not None and not self._stop_raised:
            raise self._stop from error

    def run(self, leases: Iterable[Lease], on_segment: OnSegment = lambda row: None) -> PoolResult:
        """Do all leases; returns when every row of theirs has an outcome. ``on_segment`` hears of
        each segment's, once, as soon as it is known. A pool that has given up its workers does not try
        again with later leases.

        Raises PreflightError when the interpreter cannot be started, Stopped when a stop was asked for.
        """
        work = Job(self._own, collections.deque(leases), on_segment)
        self._admit(work)
        self._turn_until(lambda: work.over)
        return work.result()

    def submit(self, work: Job) -> None:
        """From any thread: to be done while ``serve`` goes on."""
        self._inbox.put(work)

    def serve(self, ended: Callable[[], bool]) -> None:
        """Do what clients ask for, until ``ended`` (asked a few times a second). Raises Stopped when a stop was
        asked for; then each client's ``run`` has raised it, too."""
        self._turn_until(ended)

    @property
    def usage(self) -> Usage:
        """How busy the slots were, from the first lease to the last answer."""
        return self._crew.usage

    @property
    def stopped(self) -> Stopped | None:
        """The request to stop that was heard."""
        return self._stop

    def _turn_until(self, over: Callable[[], bool]) -> None:
        while self._stop is None and not over():
            self._hand_out()
            self._take_message()
        if self._stop is not None:
            self._finish_flight()
            self._stop_raised = True
            self._works.end_all(self._stop)
            raise self._stop

    # ------------------------------------------------------------------------- stopping

    def _hear_stop(self, stop: Stopped) -> None:
        """Called inside a signal handler."""
        self._stop = stop
        self._inbox.put(WakeMessage())

    def _finish_flight(self) -> None:
        """Hear on until the rows that are being spoken now are finished, or take too long."""
        flight = [(held, set(held.in_flight)) for _, held in self._crew.busy]
        deadline = time.monotonic() + STOPPING_SECONDS
        while time.monotonic() < deadline:
            there = [held for _, held in self._crew.busy]
            if not any(held in there and names & held.in_flight.keys() for held, names in flight):
                return
            self._take_message()

    # ------------------------------------------------------------------------- leasing

    def _admit(self, work: Job) -> None:
        if self._stop is not None:
            work.end(self._stop)
        self._works.admit(work)

    def _hand_out(self) -> None:
        while (work := self._works.next(self._crew.size)) is not None:
            try:
                member = self._crew.free(self._works.leases)
            except PreflightError as error:
                self._works.cannot_start(error, ever_could=self._crew.usage.slots > 0)
                return
            if member is None:
                return
            self._lease(member, work, work.waiting.popleft())
            self._works.conclude(work)

    def _lease(self, member: WorkerState, work: Job, lease: Lease) -> None:
        """Hand a lease to a free slot. One that cannot be written is refused."""
        held = Assignment(lease, member.slot.name)
        try:
            held.number = member.slot.give(lease)
        except OSError as error:
            work.refuse(held, error)
            return
        self._crew.take(member, held)
        self._holders[held] = work
        work.out.append(held)

    # ------------------------------------------------------------------------- hearing

    def _take_message(self) -> None:
        """Wait for the next thing that is said, but no longer than until the next look at the clocks."""
        try:
            message = self._inbox.get(timeout=LOOK_SECONDS)
        except queue.Empty:
            message = WakeMessage()
        match message:
            case Job():
                self._admit(message)
            case EventMessage(slot):
                slot.taken(message)
                if member := self._crew.member(slot):
                    self._hear(member, message)
            case LogMessage(slot, line):
                slot.taken(message)
                self._account_of(slot).on_log(slot.name, line)
            case ResultMessage(slot, result):
                if (member := self._crew.member(slot)) and member.held is not None and member.trusted:
                    self._settle(member, member.held, result)
            case WorkerExited(slot):
                held = self._crew.remove(slot)
                if held is not None:
                    self._recover(held, message)
        self._crew.end_overdue()

    def _account_of(self, slot: Worker) -> Client:
        """Whose lease it holds; the pool's own while it holds none."""
        member = self._crew.member(slot)
        return self._own if member is None or member.held is None else self._holders[member.held].account

    def _hear(self, member: WorkerState, message: EventMessage) -> None:
        held, event = member.held, message.event
        # Events and results come through two pipes: an event may arrive after its lease's result.
        of_lease = held is not None and event.get("lease") == held.number
        member.watch.hear(event, time.monotonic(), of_lease=of_lease)
        try:
            news = recovery.new_rows(event)
        except (ContractError, KeyError):
            return  # a damaged event loses nothing: the result says it again
        if held is None or not of_lease:
            if not isinstance(news, SegmentRow):
                self._own.on_event(member.slot.name, event)
            return
        work, believed = self._holders[held], False
        match news:
            case SegmentRow():
                believed = work.hear_segment(held, news, message.payload)
            case ReferenceRow():
                believed = work.hear_reference(held, news, message.payload)
            case (_, _):
                held.begin(news)
        if not isinstance(news, SegmentRow):
            work.tell(member.slot.name, event)
        elif believed and news.status == "done":
            self._works.fruit()
        self._works.conclude(work)

    def _settle(self, member: WorkerState, held: Assignment, result: Result) -> None:
        """A slot has answered."""
        if result.lease not in (0, held.number):
            self._crew.dismiss(member, f"it answered lease {result.lease} while it held {held.number}")
            return
        peak = member.slot.peak_mb() or 0
        self.peak_mb = max(self.peak_mb, peak)
        self._crew.release(member)
        work = self._let_go(held)
        if work.error is not None:
            return
        work.outcome.peak_mb = max(work.outcome.peak_mb, peak)
        faults = work.take_result(held, result)
        if result.error is not None:
            self._works.count_refusal(result.error)
        elif faults:
            failure = work.doubt(held, faults)
            self._crew.dismiss(member, failure.message)
            self._works.count_death(failure, work, began=True)
        else:
            self._works.fruit()
        self._works.conclude(work)

    # ------------------------------------------------------------------------ recovering

    def _let_go(self, held: Assignment) -> Job:
        work = self._holders.pop(held)
        work.out.remove(held)
        return work

    def _recover(self, held: Assignment, message: WorkerExited) -> None:
        """A slot is gone; what it had not finished goes back to the queue."""
        work = self._let_go(held)
        if work.error is None and message.node_lost:
            work.recover_lost(held, message.reason)
        elif work.error is None:
            began = bool(held.in_flight)
            work.recover_dead(held, message.reason)
            self._works.count_death(Failure("worker_died", message.reason), work, began=began)
        self._works.conclude(work)


# How callers in other threads reach the pool.


class PoolClient:
    """A caller in another thread, while ``Pool.serve`` goes on; what goes wrong with its leases is its own trouble."""

    def __init__(
        self, pool: Pool, on_event: OnEvent = nobody_listens, on_log: OnLog = nobody_listens
    ) -> None:
        self._pool = pool
        self._account = Client(on_event, on_log)

    def run(self, leases: Iterable[Lease], on_segment: OnSegment = lambda row: None) -> PoolResult:
        """As ``Pool.run``, whose thread does the work; ``on_segment`` is called there."""
        work = Job(self._account, collections.deque(leases), on_segment)
        self._pool.submit(work)
        while not work.done.wait(LOOK_SECONDS):
            if self._pool.stopped is not None:  # nobody may be there any more who takes it
                raise self._pool.stopped
        return work.result()
