"""Jobs of the pool: leases of several clients, their results, and when a client gets no more workers."""

from __future__ import annotations

import collections
import os
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from voiceclone_cli.errors import PreflightError, Stopped, VoicecloneError
from voiceclone_cli.system import add_seconds
from voiceclone_cli.types import SYNTHESIS_STAGE, Progress, ProgressEvent
from voiceclone_cli.workers import recovery
from voiceclone_cli.workers.protocol import AnalysisRow, Lease, PoolResult, Row, RowName
from voiceclone_worker.atomic import write_bytes_atomic, write_failure
from voiceclone_worker.protocol import EncodeTask, Failure, ReferenceRow, Result, SegmentRow, SynthesisTask

OnEvent = Callable[[str, dict[str, Any]], None]
OnLog = Callable[[str, str], None]
"""Both are called with the worker's name first."""
OnSegment = Callable[[SegmentRow], None]


def ignore(worker: str, event_or_line: object) -> None:
    """Ignore an event or a line."""


class Client:
    """A caller of the pool: its callbacks, and the failures of its leases.

    Failures are counted for each client alone, so that a recording that kills every worker costs the other
    recordings none of theirs.
    """

    def __init__(
        self, on_event: OnEvent = ignore, on_log: OnLog = ignore, max_losses: int = recovery.MAX_LOSSES
    ) -> None:
        self.on_event = on_event
        self.on_log = on_log
        self.failures = recovery.FailureCounter(max_losses)
        self.restarts = recovery.RestartPolicy()
        self.crash_notes: list[str] = []
        self.given_up: Failure | None = None
        """Why none of its leases gets a worker any more."""


class Job:
    """Leases that a client submitted together, and their results."""

    def __init__(
        self, client: Client, leases: Iterable[Lease], on_segment: OnSegment = lambda row: None
    ) -> None:
        self.client = client
        self.waiting = collections.deque(leases)
        self.assignments: list[recovery.Assignment] = []
        """Leases that workers hold."""
        self.error: BaseException | None = None
        """Why there will be no result: a callback failed, or a stop was requested."""
        self.done = threading.Event()
        self.results = PoolResult()
        self._on_segment = on_segment

    @property
    def over(self) -> bool:
        """Whether there is nothing left to do."""
        return self.error is not None or (not self.waiting and not self.assignments)

    @property
    def encodes(self) -> bool:
        """Whether references are next, which all other leases of a recording wait for."""
        return bool(self.waiting) and isinstance(self.waiting[0].tasks[0], EncodeTask)

    def result(self) -> PoolResult:
        """Return the results. Raises what ended the job early."""
        if self.error is not None:
            raise self.error
        return self.results

    def end(self, error: BaseException) -> None:
        """End the job early."""
        self.error = self.error or error
        self.waiting.clear()

    def notify(self, worker: str, event: dict[str, Any]) -> None:
        """Pass an event on to the client."""
        self._call(lambda: self.client.on_event(worker, event))

    def record(self, assignment: recovery.Assignment, row: Row, payload: bytes | None = None) -> bool:
        """Take a row from an event; return whether it is usable.

        ``payload``: contents of its file, from another machine; written whole or not at all.
        """
        name = recovery.row_name(row)
        file = assignment.files.get(name)
        if file is None or name in assignment.finished or self.error is not None:
            return False
        try:
            if payload is not None:
                write_bytes_atomic(Path(file), payload, sync=False, make_folder=False)
        except OSError as error:
            self.finish(assignment, assignment.without_result(name, write_failure(Path(file), error)))
            return False
        if recovery.row_fault(row, file) is not None:
            return False
        self.client.restarts.record_success()
        self.finish(assignment, row)
        return True

    def finish(self, assignment: recovery.Assignment, row: Row) -> None:
        """Keep the result of a row; a second one does not count."""
        name = recovery.row_name(row)
        if name not in assignment.files or name in assignment.finished:
            return
        assignment.finish(name)
        match row:
            case SegmentRow():
                self._finish_segment(assignment, row)
            case ReferenceRow():
                self.results.references[row.speaker] = row
            case AnalysisRow():
                self.results.analyses[row.id] = row

    def take_result(self, assignment: recovery.Assignment, result: Result) -> dict[RowName, Failure]:
        """Take the result of a lease; return its rows that are missing or wrong, and why."""
        rows, faults = recovery.validate_result(assignment, result)
        if rows or not faults:
            self.client.restarts.record_success()
        for row in rows:
            self.finish(assignment, row)
        add_seconds(self.results.timing, result.timing)
        self.results.add_notes(result.notes)
        if result.error is not None:
            self.fail_lease(assignment, result.error)
            return {}
        return faults

    def refuse(self, assignment: recovery.Assignment, error: OSError) -> None:
        """Fail because a lease could not be written for its worker."""
        folder = os.path.dirname(os.fsdecode(error.filename)) if error.filename else "the disk"
        failure = Failure(
            "output_unwritable",
            f"Cannot write task files to {folder} ({error.strerror or error}): "
            "check its free space and permissions.",
        )
        self.fail_lease(assignment, failure)

    def retry_faults(self, assignment: recovery.Assignment, faults: dict[RowName, Failure]) -> Failure:
        """Have another worker do what is missing or wrong; return what is wrong with the first."""
        failure = next(iter(faults.values()))
        names = recovery.name_rows(name[1] for name in faults)
        self.results.add_notes([f"{failure.message} ({names}): that worker was replaced"])
        plan = self.client.failures.after_result(assignment, faults)
        self._retry(assignment, plan, lambda name: faults[name])
        return failure

    def recover_crash(self, assignment: recovery.Assignment, reason: str) -> None:
        """Queue again what a worker that died had not finished; what it was doing may be the cause."""
        self.results.add_notes([reason])
        self.client.crash_notes.append(reason)
        failure = Failure("worker_died", f"two workers died while doing it; the last: {reason}")
        self._retry(assignment, self.client.failures.after_crash(assignment), lambda name: failure)

    def recover_loss(self, assignment: recovery.Assignment, reason: str) -> None:
        """Queue again what a worker whose node was lost had not finished."""
        self.results.add_notes([reason])
        failure = Failure("node_lost", f"too many nodes were lost while doing it; the last: {reason}")
        self._retry(assignment, self.client.failures.after_loss(assignment), lambda name: failure)

    def fail_lease(self, assignment: recovery.Assignment, failure: Failure) -> None:
        """Fail a lease, and with it all that wait: what stopped one would stop every other."""
        self._fail_rest(assignment, failure)
        self.abandon(failure)

    def abandon(self, failure: Failure) -> None:
        """Fail all leases that wait."""
        if failure not in self.results.errors:  # two workers may meet the same one
            self.results.errors.append(failure)
        while self.waiting:
            self._fail_rest(recovery.Assignment(self.waiting.popleft()), failure)

    def _fail_rest(self, assignment: recovery.Assignment, failure: Failure) -> None:
        for name in assignment.unfinished:
            self.finish(assignment, assignment.without_result(name, failure))

    def _retry(
        self, assignment: recovery.Assignment, plan: recovery.RetryPlan, why: Callable[[RowName], Failure]
    ) -> None:
        first, last, given_up = plan
        for name in given_up:
            self.finish(assignment, assignment.without_result(name, why(name)))
        self.waiting.extendleft(first)
        self.waiting.extend(last)

    def _finish_segment(self, assignment: recovery.Assignment, row: SegmentRow) -> None:
        task = assignment.lease.tasks[row.task]
        assert isinstance(task, SynthesisTask)
        key = (task.output_dir, row.id)
        if key in self.results.segments:
            return
        self.results.segments[key] = row
        self._call(lambda: self._on_segment(row))
        details = {"task": row.task, "id": row.id, "file": row.file, "seconds": row.seconds}
        self.notify(assignment.worker, {"event": f"segment_{row.status}", **details})

    def _call(self, callback: Callable[[], None]) -> None:
        """Call the client; its error ends its job, not the pool."""
        if self.error is None:
            try:
                callback()
            except Exception as error:
                self.end(error)


def copy_error(error: BaseException) -> BaseException:
    """Return an equal error for another thread to raise."""
    if isinstance(error, Stopped):
        return Stopped(error.exit_code)
    if isinstance(error, VoicecloneError):
        copied = type(error)(error.message, code=error.code)
        copied.__cause__ = error.__cause__
        return copied
    return error


MIN_WAITING = 2
"""Leases of lines that shall wait for each worker, so that none is idle while references are encoded."""


class JobQueue:
    """The jobs that are not over, in the order in which they came.

    The death of a worker counts against the client whose lease it was, and, with wider limits, against all of
    them: what happens with any client's lease would happen with every other.
    """

    def __init__(self) -> None:
        self._jobs: list[Job] = []
        self._restarts = recovery.RestartPolicy(
            recovery.MAX_START_FAILURES_OF_ALL, recovery.MAX_FAILURES_OF_ALL
        )
        self._given_up: Failure | None = None

    @property
    def leases(self) -> int:
        """How many leases wait."""
        return sum(len(job.waiting) for job in self._jobs)

    def admit(self, job: Job) -> None:
        """Add a job. Where workers have been given up, its rows fail at once with the reason."""
        self._jobs.append(job)
        given_up = job.client.given_up or self._given_up
        if given_up is not None and job.waiting:
            job.abandon(given_up)
        self.conclude(job)

    def conclude(self, job: Job) -> None:
        """Remove the job if it is over, and wake its client."""
        if job.over and job in self._jobs:
            self._jobs.remove(job)
            job.done.set()

    def end(self, job: Job, error: BaseException) -> None:
        """End a job early with a copy of the error, which its client raises in another thread."""
        job.end(copy_error(error))
        self.conclude(job)

    def end_all(self, error: BaseException) -> None:
        """End every job early."""
        for job in list(self._jobs):
            self.end(job, error)

    def next(self, workers: int) -> Job | None:
        """Return the job whose lease is next; None where none may be tried now.

        Jobs come in the order of arrival, so that recordings end one by one; but where the lines that wait
        would soon be used up by this many workers, references come first, since more lines follow them. A
        client that has just lost a worker waits a little.
        """
        now = time.monotonic()
        waiting = [job for job in self._jobs if job.waiting and job.client.restarts.not_before <= now]
        lines = sum(len(job.waiting) for job in waiting if not job.encodes)
        if lines < MIN_WAITING * workers:
            waiting.sort(key=lambda job: not job.encodes)  # stable: by arrival within
        return waiting[0] if waiting else None

    def record_success(self) -> None:
        """Note that a worker has finished a row."""
        self._restarts.record_success()

    def cannot_start(self, error: PreflightError, *, ever_could: bool) -> None:
        """Note that no worker can be started; ``ever_could``: one was started before."""
        for job in [job for job in self._jobs if job.waiting]:
            if ever_could:
                # Memory, processes or nodes have run out, perhaps for a moment.
                self.count_crash(Failure("worker_died", error.message), job, started=False)
            else:
                self.end(job, error)

    def count_refusal(self, failure: Failure) -> None:
        """Count a lease that its worker reported as impossible as a whole; its rows have failed already."""
        if self._restarts.record_failure(time.monotonic(), started=False):
            self._give_up(failure)

    def count_crash(self, failure: Failure, job: Job, *, started: bool) -> None:
        """Count a worker that died with a lease of this job, having started rows of it or not."""
        now, client = time.monotonic(), job.client
        of_all = self._restarts.record_failure(now, started=started)
        deaths = client.restarts.record_failure(now, started=started) or of_all
        if deaths:
            message = f"{failure.message}; {deaths} workers ended so: `voiceclone doctor` looks for the cause"
            kept = [note for note in job.results.notes if note not in client.crash_notes]
            job.results.notes = kept  # this sentence replaces the others
            client.given_up = Failure(failure.code, message)
            job.abandon(client.given_up)
            if of_all:
                self._give_up(client.given_up)
        self.conclude(job)

    def _give_up(self, failure: Failure) -> None:
        self._given_up = failure
        for job in [job for job in self._jobs if job.waiting]:
            job.abandon(failure)
            self.conclude(job)


ENCODING, SYNTHESIS, LOG = "encoding", SYNTHESIS_STAGE, "log"


class WorkerProgress:
    """Progress of the workers: a bar for each stage, and one for each worker. Called with every event."""

    def __init__(self, progress: Progress, *, references: int, segments: int) -> None:
        self._progress = progress
        self._references = references
        self._segments = segments
        self._encoded: dict[str, float] = {}
        self._cached = 0
        self._by_worker: collections.Counter[str] = collections.Counter()
        # At once, so that the stages are listed in their order, the workers below.
        if references:
            progress(ProgressEvent(ENCODING, 0, references))
        progress(ProgressEvent(SYNTHESIS, 0, segments))

    def references_cached(self) -> None:
        """Report that every reference was encoded by an earlier run."""
        self._progress(ProgressEvent(ENCODING, self._references, self._references, note="kept from before"))

    def segments_cached(self, count: int) -> None:
        """Report the start of the synthesis, and how many segments need no worker."""
        self._cached = count
        self._progress(ProgressEvent(SYNTHESIS, count, self._segments))

    def __call__(self, worker: str, event: dict[str, Any]) -> None:
        """Report an event of a worker."""
        match event:
            case {"event": "loading", "engine": engine}:
                self._report(worker, f"loading {engine}")
            case {"event": "encoding", "speaker": speaker, "completed": int(done), "total": int(total)} if (
                0 <= done <= total
            ):
                self._report_encoding(str(speaker), done / max(1, total))
            case {"event": "encoded", "speaker": speaker}:
                self._report_encoding(str(speaker), 1.0)
            case {"event": "segment_started", "id": segment_id}:
                self._report(worker, str(segment_id))
            case {"event": "segment_done" | "segment_failed", "id": segment_id}:
                self._by_worker[worker] += 1
                done = min(self._segments, self._cached + sum(self._by_worker.values()))
                self._report(worker, str(segment_id))
                self._progress(ProgressEvent(SYNTHESIS, done, self._segments))

    def log(self, worker: str, line: str) -> None:
        """Report a line that a worker logged for people."""
        self._progress(ProgressEvent(LOG, 0, worker=worker, note=line))

    def _report_encoding(self, speaker: str, share: float) -> None:
        self._encoded[speaker] = max(share, self._encoded.get(speaker, 0.0))
        self._progress(ProgressEvent(ENCODING, sum(self._encoded.values()), self._references, note=speaker))

    def _report(self, worker: str, note: str) -> None:
        self._progress(
            ProgressEvent(SYNTHESIS, self._by_worker[worker], self._segments, worker=worker, note=note)
        )
