"""Leases work to workers until every row has an outcome.

A worker holds one lease at a time and gets the next as soon as it has answered. Rows are believed
as soon as their event arrives, so that a worker that dies loses only what it had not finished; its
lease goes back to the queue without the finished rows.
"""

from __future__ import annotations

import collections
import queue
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from voiceclone_cli.clock import add_seconds, peak_memory_mb
from voiceclone_cli.errors import PreflightError, Stopped
from voiceclone_cli.stopping import listening_for_stop
from voiceclone_cli.workers import answers
from voiceclone_cli.workers.crew import LOOK_SECONDS, Crew, Member
from voiceclone_cli.workers.environment import WorkerCommand
from voiceclone_cli.workers.held import Held, RowName
from voiceclone_cli.workers.leases import Lease
from voiceclone_cli.workers.outcome import Outcome, SegmentKey
from voiceclone_cli.workers.process import (
    EventMessage,
    GoneMessage,
    LogMessage,
    Message,
    ResultMessage,
    WakeMessage,
)
from voiceclone_cli.workers.recovery import Remains, Strikes
from voiceclone_cli.workers.restarts import Restarts
from voiceclone_cli.workers.task_files import TaskFiles
from voiceclone_worker.contract import ContractError, Failure, ReferenceRow, Result, SegmentRow

__all__ = ["Outcome", "Pool", "SegmentKey"]

STOPPING_SECONDS = 5.0
"""How long the rows that are being spoken when a stop is asked for may take."""


@dataclass(slots=True)
class _Work:
    """One call of ``run``."""

    waiting: collections.deque[Lease]
    on_segment: Callable[[SegmentRow], None]
    outcome: Outcome = field(default_factory=Outcome)


class Pool:
    """Persistent workers. Use as a context manager: leaving it ends every worker.

    ``on_event`` and ``on_log`` hear, within ``run``, of a worker's events and of the lines it logs, by its name.
    ``patience`` multiplies every deadline. A request to stop (see ``stopping``) ends ``run`` with
    Stopped, within STOPPING_SECONDS.
    """

    def __init__(
        self,
        command: WorkerCommand,
        workers: int,
        task_dir: Path,
        *,
        on_event: Callable[[str, dict[str, Any]], None] = lambda worker, event: None,
        on_log: Callable[[str, str], None] = lambda worker, line: None,
        log_dir: Path | None = None,
        keep_tasks: bool = False,
        patience: float = 1.0,
    ) -> None:
        self._on_event = on_event
        self._on_log = on_log
        self._inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._crew = Crew(command, workers, self._inbox, log_dir, patience)
        self._task_files = TaskFiles(task_dir, keep=keep_tasks)
        self._strikes = Strikes()
        self._restarts = Restarts()
        self._deaths: list[str] = []
        self._given_up: Failure | None = None
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
            for held in self._crew.disband(gracefully=gracefully, hurried=lambda: self._stop is not None):
                self._task_files.remove(held.files)
        finally:
            self._listening.__exit__(None, None, None)
        if self._stop is not None and not self._stop_raised:
            raise self._stop from error

    def run(
        self, leases: Iterable[Lease], on_segment: Callable[[SegmentRow], None] = lambda row: None
    ) -> Outcome:
        """Do all leases; returns when every row of theirs has an outcome. ``on_segment`` hears of
        each segment's, once, as soon as it is known. A pool that has given up its workers does not try
        again with later leases.

        Raises PreflightError when the interpreter cannot be started, Stopped when a stop was asked for.
        """
        work = _Work(collections.deque(leases), on_segment)
        while self._stop is None and (work.waiting or self._crew.busy):
            self._hand_out(work)
            self._take_message(work)
        if self._stop is not None:
            self._finish_flight(work)
            self._stop_raised = True
            raise self._stop
        return work.outcome

    # ------------------------------------------------------------------------- stopping

    def _hear_stop(self, stop: Stopped) -> None:
        """Called inside a signal handler."""
        self._stop = stop
        self._inbox.put(WakeMessage())

    def _finish_flight(self, work: _Work) -> None:
        """Hear on until the rows that are being spoken now are finished, or take too long."""
        flight = [(held, set(held.in_flight)) for _, held in self._crew.busy]
        deadline = time.monotonic() + STOPPING_SECONDS
        while time.monotonic() < deadline:
            there = [held for _, held in self._crew.busy]
            if not any(held in there and names & held.in_flight.keys() for held, names in flight):
                return
            self._take_message(work)

    # ------------------------------------------------------------------------- leasing

    def _hand_out(self, work: _Work) -> None:
        if self._given_up is not None and work.waiting:
            self._abandon(self._given_up, work)
        while work.waiting:
            try:
                member = self._crew.free(self._restarts.not_before)
            except PreflightError as error:
                if not self._crew.has_started:
                    raise
                # It could be started before: memory or processes have run out, perhaps for a moment.
                self._count_death(Failure("worker_died", error.message), work, began=False)
                return
            if member is None:
                return
            self._lease(member, work.waiting.popleft(), work)

    def _lease(self, member: Member, lease: Lease, work: _Work) -> None:
        try:
            files = self._task_files.write(lease)
        except OSError as error:
            failure = Failure(
                "output_unwritable",
                f"Cannot write task files to {self._task_files.folder} ({error.strerror or error}): "
                "check its free space and permissions.",
            )
            self._fail_rest(Held(lease), failure, work)
            self._abandon(failure, work)
            return
        member.held = Held(lease, member.worker.name, member.worker.request(files), files)
        member.watch.begin_lease(time.monotonic())

    # ------------------------------------------------------------------------- hearing

    def _take_message(self, work: _Work) -> None:
        """Wait for the next thing a worker says, but no longer than until the next look at the clocks."""
        try:
            message = self._inbox.get(timeout=LOOK_SECONDS)
        except queue.Empty:
            message = WakeMessage()
        match message:
            case EventMessage(worker, event):
                worker.taken(message)
                if member := self._crew.member(worker):
                    self._hear(member, event, work)
            case LogMessage(worker, line):
                worker.taken(message)
                self._on_log(worker.name, line)
            case ResultMessage(worker, result):
                if (member := self._crew.member(worker)) and member.held is not None and member.trusted:
                    self._settle(member, member.held, result, work)
            case GoneMessage(worker, reason):
                held = self._crew.remove(worker)
                if held is not None:
                    self._recover(held, reason, work)
        self._crew.end_overdue()

    def _hear(self, member: Member, event: dict[str, Any], work: _Work) -> None:
        held = member.held
        # Events and results come through two pipes: an event may arrive after its lease's result.
        of_lease = held is not None and event.get("lease") == held.number
        member.watch.hear(event, time.monotonic(), of_lease=of_lease)
        try:
            news = answers.news(event)
        except (ContractError, KeyError):
            return  # a damaged event loses nothing: the result says it again
        if held is not None and of_lease:
            match news:
                case SegmentRow():
                    key = held.segments.get((news.task, news.id))
                    if key is not None and answers.why_not_spoken(news, key) is None:
                        self._restarts.fruit()
                        self._finish(held, news, work)
                case ReferenceRow():
                    codes = held.references.get((news.task, news.speaker))
                    if codes is not None and answers.why_not_encoded(news, codes) is None:
                        self._restarts.fruit()
                        self._keep_reference(held, news, work)
                case (_, _):
                    held.begin(news)
        if not isinstance(news, SegmentRow):
            self._on_event(member.worker.name, event)

    def _finish(self, held: Held, row: SegmentRow, work: _Work) -> None:
        """A segment has its outcome, from a worker or for want of one."""
        key = held.finish((row.task, row.id))
        if key is None:
            return
        work.outcome.segments[key] = row
        work.on_segment(row)
        told = {"task": row.task, "id": row.id, "file": row.file, "seconds": row.seconds}
        self._on_event(held.worker, {"event": f"segment_{row.status}", **told})

    def _keep_reference(self, held: Held, row: ReferenceRow, work: _Work) -> None:
        held.encoded.add((row.task, row.speaker))
        work.outcome.references[row.speaker] = row

    def _settle(self, member: Member, held: Held, result: Result, work: _Work) -> None:
        """A worker has answered."""
        if result.lease not in (0, held.number):
            self._crew.dismiss(member, f"it answered lease {result.lease} while it held {held.number}")
            return
        member.held = None
        member.watch.end_lease()
        self._task_files.remove(held.files)
        found = answers.examine(held, result)
        if found.segments or found.references or not found.faults:
            self._restarts.fruit()
        for row in found.segments:
            self._finish(held, row, work)
        for reference in found.references:
            self._keep_reference(held, reference, work)
        add_seconds(work.outcome.timing, result.timing)
        work.outcome.add_notes([*result.notes, *found.notes])
        work.outcome.peak_mb = max(work.outcome.peak_mb, peak_memory_mb(member.worker.pid) or 0)
        if result.error is not None:
            self._fail_rest(held, result.error, work)
            self._abandon(result.error, work)
        elif found.faults:
            self._doubt(member, held, found.faults, work)

    # ------------------------------------------------------------------------ recovering

    def _doubt(self, member: Member, held: Held, faults: dict[RowName, Failure], work: _Work) -> None:
        """A worker whose answer was wrong is ended, and another one does what is missing."""
        failure = next(iter(faults.values()))
        names = answers.named(name[1] for name in faults)
        work.outcome.add_notes([f"{failure.message} ({names}): that worker was replaced"])
        self._crew.dismiss(member, failure.message)
        remains = self._strikes.of_answered(held, faults)
        self._put_back(held, remains, lambda name: faults[name], work)
        self._count_death(failure, work, began=True)

    def _recover(self, held: Held, reason: str, work: _Work) -> None:
        """A worker is gone; what it had not finished goes back to the queue."""
        self._task_files.remove(held.files)
        work.outcome.add_notes([reason])
        self._deaths.append(reason)
        began = bool(held.in_flight)
        twice = Failure("worker_died", f"it took two workers down and gets no third; the last: {reason}")
        self._put_back(held, self._strikes.of_dead(held), lambda name: twice, work)
        self._count_death(Failure("worker_died", reason), work, began=began)

    def _put_back(self, held: Held, remains: Remains, why: Callable[[RowName], Failure], work: _Work) -> None:
        for name in remains.given_up:
            self._fail(held, name, why(name), work)
        work.waiting.extendleft(remains.first)
        work.waiting.extend(remains.last)

    def _count_death(self, failure: Failure, work: _Work, *, began: bool) -> None:
        deaths = self._restarts.death(time.monotonic(), began=began)
        if deaths:
            message = f"{failure.message}; {deaths} workers ended so: `voiceclone doctor` looks for why"
            work.outcome.drop_notes(self._deaths)  # this sentence stands for them
            self._given_up = Failure(failure.code, message)
            self._abandon(self._given_up, work)

    def _abandon(self, failure: Failure, work: _Work) -> None:
        """What stopped this lease would stop every other."""
        work.outcome.add_error(failure)
        while work.waiting:
            self._fail_rest(Held(work.waiting.popleft()), failure, work)

    def _fail_rest(self, held: Held, failure: Failure, work: _Work) -> None:
        for name in (*held.unencoded, *held.unfinished):
            self._fail(held, name, failure, work)

    def _fail(self, held: Held, name: RowName, failure: Failure, work: _Work) -> None:
        number, which = name
        if name in held.segments:
            self._finish(held, SegmentRow(number, which, "failed", error=failure), work)
        else:
            row = ReferenceRow(number, which, "failed", error=failure)
            work.outcome.references.setdefault(which, row)
            held.encoded.add(name)
