"""Leases work to slots until every row has an outcome.

A slot holds one lease at a time and gets the next as soon as it has answered. Rows are believed as soon as
their event arrives, so that a worker that dies loses only what it had not finished; its lease goes back to
the queue without the finished rows. Where slots are, and what starts them, is the launcher's to know.

The pool works in one thread, for itself (``run``) or for callers in other threads (``serve``, ``Client``):
then it leases the work of all of them side by side.
"""

from __future__ import annotations

import collections
import queue
import time
from collections.abc import Callable, Iterable
from types import TracebackType

from voiceclone_cli.errors import PreflightError, Stopped
from voiceclone_cli.stopping import listening_for_stop
from voiceclone_cli.workers.crew import LOOK_SECONDS, Crew, Member
from voiceclone_cli.workers.faults import answers
from voiceclone_cli.workers.held import Held
from voiceclone_cli.workers.leases import Lease
from voiceclone_cli.workers.outcome import Outcome, Usage
from voiceclone_cli.workers.slot import (
    EventMessage,
    GoneMessage,
    Launcher,
    LogMessage,
    Message,
    ResultMessage,
    Slot,
    WakeMessage,
)
from voiceclone_cli.workers.work import Account, OnEvent, OnLog, OnSegment, Work, nobody_listens
from voiceclone_cli.workers.worklist import WorkList
from voiceclone_worker.contract import ContractError, Failure, ReferenceRow, Result, SegmentRow

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
        self._inbox: queue.SimpleQueue[Message | Work] = queue.SimpleQueue()
        self._crew = Crew(launcher, self._inbox, patience)
        self._works = WorkList()
        self._holders: dict[Held, Work] = {}
        """Whose leases are in slots' hands."""
        self._own = Account(on_event, on_log)
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

    def run(self, leases: Iterable[Lease], on_segment: OnSegment = lambda row: None) -> Outcome:
        """Do all leases; returns when every row of theirs has an outcome. ``on_segment`` hears of
        each segment's, once, as soon as it is known. A pool that has given up its workers does not try
        again with later leases.

        Raises PreflightError when the interpreter cannot be started, Stopped when a stop was asked for.
        """
        work = Work(self._own, collections.deque(leases), on_segment)
        self._admit(work)
        self._turn_until(lambda: work.over)
        return work.result()

    def submit(self, work: Work) -> None:
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

    def _admit(self, work: Work) -> None:
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

    def _lease(self, member: Member, work: Work, lease: Lease) -> None:
        """Hand a lease to a free slot. One that cannot be written is refused."""
        held = Held(lease, member.slot.name)
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
            case Work():
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
            case GoneMessage(slot):
                held = self._crew.remove(slot)
                if held is not None:
                    self._recover(held, message)
        self._crew.end_overdue()

    def _account_of(self, slot: Slot) -> Account:
        """Whose lease it holds; the pool's own while it holds none."""
        member = self._crew.member(slot)
        return self._own if member is None or member.held is None else self._holders[member.held].account

    def _hear(self, member: Member, message: EventMessage) -> None:
        held, event = member.held, message.event
        # Events and results come through two pipes: an event may arrive after its lease's result.
        of_lease = held is not None and event.get("lease") == held.number
        member.watch.hear(event, time.monotonic(), of_lease=of_lease)
        try:
            news = answers.news(event)
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

    def _settle(self, member: Member, held: Held, result: Result) -> None:
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

    def _let_go(self, held: Held) -> Work:
        work = self._holders.pop(held)
        work.out.remove(held)
        return work

    def _recover(self, held: Held, message: GoneMessage) -> None:
        """A slot is gone; what it had not finished goes back to the queue."""
        work = self._let_go(held)
        if work.error is None and message.blameless:
            work.recover_lost(held, message.reason)
        elif work.error is None:
            began = bool(held.in_flight)
            work.recover_dead(held, message.reason)
            self._works.count_death(Failure("worker_died", message.reason), work, began=began)
        self._works.conclude(work)
