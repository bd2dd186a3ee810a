"""The pool of workers: gives leases to workers until every row has a result.

A worker holds one lease at a time and gets the next as soon as it has finished. Rows count as soon as their
event arrives, so that a worker that dies loses only what it had not finished; the rest of its lease goes back
to the queue. Where workers run, and what starts them, is the launcher's business.

The pool works in one thread, for itself (``run``) or for clients in other threads (``serve``, ``PoolClient``):
then it does the leases of all of them side by side.
"""

from __future__ import annotations

import itertools
import queue
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from types import TracebackType
from typing import NamedTuple

from voiceclone_cli.children import wait_in_steps
from voiceclone_cli.errors import PreflightError
from voiceclone_cli.system import listening_for_stop
from voiceclone_cli.workers import protocol, recovery
from voiceclone_cli.workers.queue import Client, Job, JobQueue, OnEvent, OnLog, OnSegment, copy_error, ignore
from voiceclone_cli.workers.recovery import Assignment, DeadlineWatch
from voiceclone_worker.protocol import Failure, Result, SegmentRow
from voiceclone_worker.validation import ContractError

CHECK_SECONDS = 0.25
"""Between two checks of the deadlines."""

LONGEST_CHECK = 2.0
"""More than this between two checks is time in which this process was suspended, or held up by a callback.
No worker is to blame for that."""

ENDING_SECONDS = 5.0
"""Time for workers without a lease to end by themselves."""

STOPPING_SECONDS = 5.0
"""Time to finish the rows that are being synthesized when a stop is requested."""


class Usage(NamedTuple):
    """How many workers there were at most, their seconds with a lease, and those from first lease to last result."""

    workers: int
    busy_seconds: float
    span_seconds: float


@dataclass(slots=True, eq=False)
class WorkerState:
    """A living worker and the lease that it holds."""

    worker: protocol.Worker
    number: int
    """Its place among the workers, from 1: the replacement of a dead one takes it over (and so its GPU)."""
    watch: DeadlineWatch
    assignment: Assignment | None = None
    since: float = 0.0
    """When it was given that, in monotonic seconds."""
    trusted: bool = True
    """False while it is being ended: it gets no more leases."""


class WorkerSet:
    """The living workers: which are free, when another may be started, which take too long."""

    def __init__(self, launcher: protocol.Launcher, inbox: protocol.Inbox, timeout_scale: float) -> None:
        self._launcher = launcher
        self._inbox = inbox
        self._timeout_scale = timeout_scale
        self._names = (f"worker {number}" for number in itertools.count(1))
        self._states: dict[protocol.Worker, WorkerState] = {}
        self._idle: dict[protocol.Worker, WorkerState] = {}
        """Trusted and without a lease; perhaps not ready yet."""
        self._checked = time.monotonic()
        self._most = 0
        self._busy_seconds = 0.0
        self._began: float | None = None
        self._ended = 0.0

    @property
    def busy(self) -> list[tuple[WorkerState, Assignment]]:
        """The workers with a lease."""
        return [(state, state.assignment) for state in self._states.values() if state.assignment is not None]

    @property
    def size(self) -> int:
        """How many workers are alive."""
        return len(self._states)

    @property
    def usage(self) -> Usage:
        """How busy the workers were so far."""
        span = self._ended - self._began if self._began is not None else 0.0
        return Usage(self._most, self._busy_seconds, span)

    def state(self, worker: protocol.Worker) -> WorkerState | None:
        """Return the state of a worker; None once it has ended."""
        return self._states.get(worker)

    def free(self, leases: int) -> WorkerState | None:
        """Return a worker without a lease.

        Where there is none, some are started for the ``leases`` that wait, as far as there is room.
        Raises PreflightError when none can be started.
        """
        starting = 0
        for state in self._idle.values():
            if state.worker.ready:
                return state
            starting += 1
        if starting >= leases:
            return None
        room = self._launcher.room()
        while starting < leases and len(self._states) < room:
            state = self._start()
            if state.worker.ready:
                return state
            starting += 1
        return None

    def assign(self, state: WorkerState, assignment: Assignment) -> None:
        """Note that a worker holds a lease."""
        del self._idle[state.worker]
        state.assignment = assignment
        state.since = time.monotonic()
        self._began = self._began or state.since
        state.watch.begin_lease(state.since)

    def release(self, state: WorkerState) -> None:
        """Note that a worker has finished its lease."""
        state.assignment = None
        state.watch.end_lease()
        state.worker.release()
        if state.trusted:
            self._idle[state.worker] = state
        self._count(state)

    def remove(self, worker: protocol.Worker) -> Assignment | None:
        """Forget a worker that has ended; return the lease that it held."""
        self._idle.pop(worker, None)
        state = self._states.pop(worker, None)
        if state is None or state.assignment is None:
            return None
        worker.release()
        self._count(state)
        return state.assignment

    def end_overdue(self) -> None:
        """End every worker that has taken too long. Cheap: checks the clocks a few times a second."""
        now = time.monotonic()
        since = now - self._checked
        if since < CHECK_SECONDS:
            return
        self._checked = now
        for state, assignment in self.busy:
            if since > LONGEST_CHECK:
                state.watch.forgive(since - LONGEST_CHECK)
            fault = state.watch.overdue(assignment, state.worker.last_event, now)
            if fault is not None:
                self.dismiss(state, fault)

    def dismiss(self, state: WorkerState, fault: str) -> None:
        """End a worker at once; its WorkerExited message follows."""
        state.trusted = False
        self._idle.pop(state.worker, None)
        state.worker.kill(fault)

    def end_all(self, *, gracefully: bool, hurried: Callable[[], bool]) -> None:
        """End every worker and close the launcher.

        With ``gracefully`` each may end by itself, within ENDING_SECONDS and until ``hurried`` returns True.
        """
        for state in self._states.values():
            if gracefully:
                state.worker.finish()
            else:
                state.worker.kill("the run was stopped")
        deadline = time.monotonic() + ENDING_SECONDS
        for state in self._states.values():
            while not state.worker.wait(0.1):
                if time.monotonic() >= deadline or hurried():
                    state.worker.kill("it did not end")
                    wait_in_steps(state.worker.wait, ENDING_SECONDS)
                    break
        for state, _ in self.busy:
            state.worker.release()
        self._states.clear()
        self._idle.clear()
        self._launcher.close()

    def _start(self) -> WorkerState:
        taken = {state.number for state in self._states.values()}
        number = next(n for n in itertools.count(1) if n not in taken)
        worker = self._launcher.start(next(self._names), number, self._inbox)
        state = WorkerState(worker, number, DeadlineWatch(self._timeout_scale, time.monotonic()))
        self._states[worker] = self._idle[worker] = state
        self._most = max(self._most, len(self._states))
        return state

    def _count(self, state: WorkerState) -> None:
        """Add the time for which a worker held the lease that is over now."""
        self._ended = time.monotonic()
        self._busy_seconds += self._ended - state.since


class Pool:
    """Persistent workers. Use as a context manager: leaving it ends every worker.

    ``on_event`` and ``on_log`` are called with a worker's name and its events and log lines;
    ``timeout_scale`` multiplies every deadline. A request to stop (a signal, unless ``signals`` is False, or
    ``end``) ends ``run`` and ``serve`` with its error, within ``stopping_seconds``.
    """

    def __init__(
        self,
        launcher: protocol.Launcher,
        *,
        on_event: OnEvent = ignore,
        on_log: OnLog = ignore,
        timeout_scale: float = 1.0,
        signals: bool = True,
        stopping_seconds: float | None = None,
    ) -> None:
        self._inbox: queue.SimpleQueue[protocol.Message | Job] = queue.SimpleQueue()
        self._workers = WorkerSet(launcher, self._inbox, timeout_scale)
        self._jobs = JobQueue()
        self._jobs_of: dict[Assignment, Job] = {}
        self._client = Client(on_event, on_log)
        self.peak_mb = 0
        """The largest worker's peak resident memory so far; 0 where the system does not report it."""
        self._signals: AbstractContextManager[None] = (
            listening_for_stop(self.end) if signals else nullcontext()
        )
        self._stopping_seconds = stopping_seconds
        self._ending: BaseException | None = None
        self._ending_raised = False

    def __enter__(self) -> Pool:
        """Take requests to stop over."""
        self._signals.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End every worker. Raises the request to stop that nothing else has raised."""
        try:
            gracefully = kind is None and self._ending is None
            self._workers.end_all(gracefully=gracefully, hurried=lambda: self._ending is not None)
        finally:
            self._signals.__exit__(None, None, None)
        if self._ending is not None and not self._ending_raised:
            raise self._ending from error

    def run(
        self, leases: Iterable[protocol.Lease], on_segment: OnSegment = lambda row: None
    ) -> protocol.PoolResult:
        """Do all leases; return when every row has a result.

        ``on_segment`` is called with each segment's row once, as soon as it is known. A pool that has given up
        its workers does not try again with later leases.
        Raises PreflightError when no worker can be started, Stopped when a stop was requested.
        """
        job = Job(self._client, leases, on_segment)
        self._admit(job)
        self._run_until(lambda: job.over)
        return job.result()

    def begin(self, leases: Iterable[protocol.Lease]) -> Job:
        """Give leases to workers without waiting for a result, and before the pool is entered.

        ``run`` goes on with them. The thread must be that which runs the pool later.
        """
        job = Job(self._client, leases, lambda row: None)
        self._admit(job)
        self._assign_leases()
        return job

    def close(self) -> None:
        """End every worker at once, also of a pool that was never entered."""
        self._workers.end_all(gracefully=False, hurried=lambda: True)

    def submit(self, job: Job) -> None:
        """Queue a job while ``serve`` goes on; from any thread. A job that has an error already ends its worker."""
        self._inbox.put(job)

    def serve(self, ended: Callable[[], bool]) -> None:
        """Do the jobs of clients until ``ended`` returns True (asked a few times a second).

        Raises Stopped when a stop was requested; then the ``run`` of each client has raised it, too.
        """
        self._run_until(ended)

    @property
    def usage(self) -> Usage:
        """How busy the workers were, from the first lease to the last result."""
        return self._workers.usage

    @property
    def ending(self) -> BaseException | None:
        """Why no job is done any more."""
        return self._ending

    def end(self, reason: BaseException) -> None:
        """End all jobs, now and later, with this error. Never blocks: fit for a signal handler."""
        self._ending = self._ending or reason
        self._inbox.put(None)

    def _run_until(self, over: Callable[[], bool]) -> None:
        while self._ending is None and not over():
            self._assign_leases()
            self._take_message()
        if self._ending is not None:
            self._finish_started()
            self._ending_raised = True
            self._jobs.end_all(self._ending)
            raise self._ending

    def _finish_started(self) -> None:
        """Go on until the rows that are being done now are finished, or take too long."""
        started = [(assignment, set(assignment.started)) for _, assignment in self._workers.busy]
        seconds = STOPPING_SECONDS if self._stopping_seconds is None else self._stopping_seconds
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            busy = [assignment for _, assignment in self._workers.busy]
            if not any(each in busy and names & each.started.keys() for each, names in started):
                return
            self._take_message()

    # ------------------------------------------------------------------------- leases

    def _admit(self, job: Job) -> None:
        if job.error is not None:
            self._cancel(job)
            return
        if self._ending is not None:
            job.end(self._ending)
        self._jobs.admit(job)

    def _cancel(self, job: Job) -> None:
        """End the workers of a job that its client has given up."""
        for state, assignment in self._workers.busy:
            if assignment in job.assignments:
                self._workers.dismiss(state, "its result is not needed any more")
        self._jobs.conclude(job)

    def _assign_leases(self) -> None:
        while (job := self._jobs.next(self._workers.size)) is not None:
            try:
                state = self._workers.free(self._jobs.leases)
            except PreflightError as error:
                self._jobs.cannot_start(error, ever_could=self._workers.usage.workers > 0)
                return
            if state is None:
                return
            self._assign(state, job, job.waiting.popleft())
            self._jobs.conclude(job)

    def _assign(self, state: WorkerState, job: Job, lease: protocol.Lease) -> None:
        """Give a lease to a free worker. A lease that cannot be written fails."""
        assignment = Assignment(lease, state.worker.name)
        try:
            assignment.number = state.worker.give(lease)
        except OSError as error:
            job.refuse(assignment, error)
            return
        self._workers.assign(state, assignment)
        self._jobs_of[assignment] = job
        job.assignments.append(assignment)

    def _take_back(self, assignment: Assignment) -> Job:
        job = self._jobs_of.pop(assignment)
        job.assignments.remove(assignment)
        return job

    # ------------------------------------------------------------------------- messages

    def _take_message(self) -> None:
        """Handle the next message; wait for it, but no longer than until the next check of the deadlines."""
        try:
            message = self._inbox.get(timeout=CHECK_SECONDS)
        except queue.Empty:
            message = None
        match message:
            case Job():
                self._admit(message)
            case protocol.EventMessage(worker):
                worker.taken(message)
                if state := self._workers.state(worker):
                    self._take_event(state, message)
            case protocol.LogMessage(worker, line):
                worker.taken(message)
                self._client_of(worker).on_log(worker.name, line)
            case protocol.ResultMessage(worker, result):
                state = self._workers.state(worker)
                if state is not None and state.assignment is not None and state.trusted:
                    self._take_result(state, state.assignment, result)
            case protocol.WorkerExited(worker):
                assignment = self._workers.remove(worker)
                if assignment is not None:
                    self._recover(assignment, message)
        self._workers.end_overdue()

    def _client_of(self, worker: protocol.Worker) -> Client:
        """Return whose lease a worker holds; the pool's own client where it holds none."""
        state = self._workers.state(worker)
        if state is None or state.assignment is None:
            return self._client
        return self._jobs_of[state.assignment].client

    def _take_event(self, state: WorkerState, message: protocol.EventMessage) -> None:
        assignment, event = state.assignment, message.event
        # Events and results come through two pipes: an event may arrive after the result of its lease.
        of_lease = assignment is not None and event.get("lease") == assignment.number
        state.watch.event(event, time.monotonic(), of_lease=of_lease)
        try:
            row = recovery.row_from_event(event)
        except (ContractError, KeyError):
            return  # a damaged event loses nothing: the result repeats it
        if assignment is None or not of_lease:
            if not isinstance(row, SegmentRow):
                self._client.on_event(state.worker.name, event)
            return
        job = self._jobs_of[assignment]
        match row:
            case (int(), str()):
                assignment.start(row)
            case None:
                pass
            case _:
                if job.record(assignment, row, message.payload) and row.error is None:
                    self._jobs.record_success()
        if not isinstance(row, SegmentRow):  # a segment is reported once, when its result counts
            job.notify(state.worker.name, event)
        self._jobs.conclude(job)

    def _take_result(self, state: WorkerState, assignment: Assignment, result: Result) -> None:
        if result.lease not in (0, assignment.number):
            self._workers.dismiss(state, f"it answered lease {result.lease}, but holds {assignment.number}")
            return
        peak = state.worker.peak_mb() or 0
        self.peak_mb = max(self.peak_mb, peak)
        self._workers.release(state)
        job = self._take_back(assignment)
        if job.error is not None:
            return
        job.results.peak_mb = max(job.results.peak_mb, peak)
        faults = job.take_result(assignment, result)
        if result.error is not None:
            self._jobs.count_refusal(result.error)
        elif faults:
            failure = job.retry_faults(assignment, faults)
            self._workers.dismiss(state, failure.message)
            self._jobs.count_crash(failure, job, started=True)
        else:
            self._jobs.record_success()
        self._jobs.conclude(job)

    def _recover(self, assignment: Assignment, message: protocol.WorkerExited) -> None:
        """Put what a worker that has ended had not finished back into the queue."""
        job = self._take_back(assignment)
        if job.error is None and message.node_lost:
            job.recover_loss(assignment, message.reason)
        elif job.error is None:
            started = bool(assignment.started)
            job.recover_crash(assignment, message.reason)
            self._jobs.count_crash(Failure("worker_died", message.reason), job, started=started)
        self._jobs.conclude(job)


class PoolClient:
    """A client in another thread while ``Pool.serve`` goes on; failures of its leases concern it alone."""

    def __init__(self, pool: Pool, on_event: OnEvent = ignore, on_log: OnLog = ignore) -> None:
        self._pool = pool
        self._client = Client(on_event, on_log)

    def run(
        self, leases: Iterable[protocol.Lease], on_segment: OnSegment = lambda row: None
    ) -> protocol.PoolResult:
        """As ``Pool.run``, whose thread does the work and calls ``on_segment``."""
        job = Job(self._client, leases, on_segment)
        self._pool.submit(job)
        while not job.done.wait(CHECK_SECONDS):
            if self._pool.ending is not None:  # the pool may not take the job any more
                raise copy_error(self._pool.ending)
        return job.result()
