"""Whose lease is next, and when nobody gets any more."""

from __future__ import annotations

import collections
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from voiceclone_cli.errors import PreflightError
from voiceclone_cli.system import add_seconds
from voiceclone_cli.types import Progress, ProgressEvent
from voiceclone_cli.workers import recovery
from voiceclone_cli.workers.protocol import Lease, PoolResult
from voiceclone_cli.workers.recovery import (
    PATIENT_LIMITS,
    Assignment,
    FailureCounter,
    RestartPolicy,
    RetryPlan,
    RowName,
)
from voiceclone_worker.atomic import write_bytes_atomic, write_failure
from voiceclone_worker.protocol import EncodeTask, Failure, ReferenceRow, Result, SegmentRow

# The workers' events as progress: a bar for each stage, and one for each worker.


ENCODING, SYNTHESIS, LOG = "encoding", "synthesis", "log"


class WorkerProgress:
    """Called with every event of the pool; hands on what a person wants to see of it."""

    def __init__(self, progress: Progress, *, references: int, segments: int) -> None:
        self._progress = progress
        self._references = references
        self._segments = segments
        self._encoded: dict[str, float] = {}
        self._already = 0
        self._by_worker: collections.Counter[str] = collections.Counter()
        # Told at once, so that the stages stand in their order, the workers below.
        if references:
            progress(ProgressEvent(ENCODING, 0, references))
        progress(ProgressEvent(SYNTHESIS, 0, segments))

    def encoded_before(self) -> None:
        """An earlier run has encoded every reference."""
        self._progress(ProgressEvent(ENCODING, self._references, self._references, note="kept from before"))

    def already_settled(self, count: int) -> None:
        """So many segments need no worker any more; the synthesis begins."""
        self._already = count
        self._progress(ProgressEvent(SYNTHESIS, count, self._segments))

    def __call__(self, worker: str, event: dict[str, Any]) -> None:
        match event:
            case {"event": "loading", "engine": engine}:
                self._say(worker, f"loading {engine}")
            case {"event": "encoding", "speaker": speaker, "completed": int(done), "total": int(total)} if (
                0 <= done <= total
            ):
                self._encode(str(speaker), done / max(1, total))
            case {"event": "encoded", "speaker": speaker}:
                self._encode(str(speaker), 1.0)
            case {"event": "segment_started", "id": segment_id}:
                self._say(worker, str(segment_id))
            case {"event": "segment_done" | "segment_failed", "id": segment_id}:
                self._settle(worker, str(segment_id))

    def log(self, worker: str, line: str) -> None:
        """A line that a worker wrote for people."""
        self._progress(ProgressEvent(LOG, 0, worker=worker, note=line))

    def _encode(self, speaker: str, share: float) -> None:
        self._encoded[speaker] = max(share, self._encoded.get(speaker, 0.0))
        self._progress(ProgressEvent(ENCODING, sum(self._encoded.values()), self._references, note=speaker))

    def _settle(self, worker: str, note: str) -> None:
        self._by_worker[worker] += 1
        done = min(self._segments, self._already + sum(self._by_worker.values()))
        self._say(worker, note)
        self._progress(ProgressEvent(SYNTHESIS, done, self._segments))

    def _say(self, worker: str, note: str) -> None:
        self._progress(
            ProgressEvent(SYNTHESIS, self._by_worker[worker], self._segments, worker=worker, note=note)
        )


# Those that the pool works for, and what it does for each.


OnEvent = Callable[[str, dict[str, Any]], None]
OnLog = Callable[[str, str], None]
"""Both are told the worker's name first."""
OnSegment = Callable[[SegmentRow], None]


def nobody_listens(worker: str, said: object) -> None:
    """For whoever does not look."""


@dataclass(slots=True, eq=False)
class Client:
    """A caller's: who hears of its works, and what has gone wrong with its leases. That is held against it alone,
    so that a recording that kills every worker costs the others none of theirs."""

    on_event: OnEvent
    on_log: OnLog
    strikes: FailureCounter = field(default_factory=FailureCounter)
    restarts: RestartPolicy = field(default_factory=RestartPolicy)
    deaths: list[str] = field(default_factory=list)
    """The notes that tell of workers which died."""
    given_up: Failure | None = None
    """Why none of its leases gets a worker any more."""


@dataclass(slots=True, eq=False)
class Job:
    """Leases that were asked for together, and what comes of them."""

    account: Client
    waiting: collections.deque[Lease]
    on_segment: OnSegment
    outcome: PoolResult = field(default_factory=PoolResult)
    out: list[Assignment] = field(default_factory=list)
    """In the hands of slots."""
    error: BaseException | None = None
    """Why there will be no outcome: whoever is told of the rows failed, or a stop was asked for."""
    done: threading.Event = field(default_factory=threading.Event)

    @property
    def over(self) -> bool:
        return self.error is not None or (not self.waiting and not self.out)

    @property
    def encodes(self) -> bool:
        """Whether references are next, on which all else of a recording waits."""
        return bool(self.waiting) and isinstance(self.waiting[0].tasks[0], EncodeTask)

    def result(self) -> PoolResult:
        """Raises what ended the work early."""
        if self.error is not None:
            raise self.error
        return self.outcome

    def end(self, error: BaseException) -> None:
        self.error = self.error or error
        self.waiting.clear()

    def tell(self, worker: str, event: dict[str, Any]) -> None:
        self._call(lambda: self.account.on_event(worker, event))

    def finish(self, held: Assignment, row: SegmentRow) -> None:
        """A segment has its outcome, from a worker or for want of one; a second one does not count."""
        key = held.finish((row.task, row.id))
        if key is None or key in self.outcome.segments:
            return
        self.outcome.segments[key] = row
        self._call(lambda: self.on_segment(row))
        told = {"task": row.task, "id": row.id, "file": row.file, "seconds": row.seconds}
        self.tell(held.worker, {"event": f"segment_{row.status}", **told})

    def hear_segment(self, held: Assignment, row: SegmentRow, payload: bytes | None) -> bool:
        """An event tells of a segment; whether it is believed. ``payload``: its file, where that came as bytes."""
        name = (row.task, row.id)
        key = held.segments.get(name)
        if key is None or name in held.finished or self.error is not None:
            return False
        folder, segment_id = key
        if not self._is_here(held, name, Path(folder, f"{segment_id}.wav"), payload):
            return False
        if recovery.segment_fault(row, key) is not None:
            return False
        self.account.restarts.fruit()
        self.finish(held, row)
        return True

    def hear_reference(self, held: Assignment, row: ReferenceRow, payload: bytes | None) -> bool:
        """The same of an encoded reference."""
        name = (row.task, row.speaker)
        codes = held.references.get(name)
        if codes is None or name in held.encoded or self.error is not None:
            return False
        if not self._is_here(held, name, Path(codes), payload):
            return False
        if recovery.reference_fault(row, codes) is not None:
            return False
        self.account.restarts.fruit()
        self._keep_reference(held, row)
        return True

    def take_result(self, held: Assignment, result: Result) -> dict[RowName, Failure]:
        """A slot has answered; its rows that cannot be believed, and why."""
        found = recovery.validate_result(held, result)
        if found.segments or found.references or not found.faults:
            self.account.restarts.fruit()
        for row in found.segments:
            self.finish(held, row)
        for reference in found.references:
            self._keep_reference(held, reference)
        add_seconds(self.outcome.timing, result.timing)
        self.outcome.add_notes([*result.notes, *found.notes])
        if result.error is not None:
            self.fail_rest(held, result.error)
            self.abandon(result.error)
            return {}
        return found.faults

    def refuse(self, held: Assignment, error: OSError) -> None:
        """A lease could not be handed over."""
        folder = os.path.dirname(os.fsdecode(error.filename)) if error.filename else "the disk"
        failure = Failure(
            "output_unwritable",
            f"Cannot write task files to {folder} ({error.strerror or error}): "
            "check its free space and permissions.",
        )
        self.fail_rest(held, failure)
        self.abandon(failure)

    def doubt(self, held: Assignment, faults: dict[RowName, Failure]) -> Failure:
        """Another worker does what is missing; what is wrong with the first."""
        failure = next(iter(faults.values()))
        names = recovery.name_segments(name[1] for name in faults)
        self.outcome.add_notes([f"{failure.message} ({names}): that worker was replaced"])
        remains = self.account.strikes.of_answered(held, faults)
        self._put_back(held, remains, lambda name: faults[name])
        return failure

    def recover_dead(self, held: Assignment, reason: str) -> None:
        """The worker is gone; what it was speaking may be why."""
        self.outcome.add_notes([reason])
        self.account.deaths.append(reason)
        twice = Failure("worker_died", f"it took two workers down and gets no third; the last: {reason}")
        self._put_back(held, self.account.strikes.of_dead(held), lambda name: twice)

    def recover_lost(self, held: Assignment, reason: str) -> None:
        """The worker's machine is gone, which is no row's fault."""
        self.outcome.add_notes([reason])
        lost = Failure("node_lost", f"too many machines went away from under it; the last: {reason}")
        self._put_back(held, self.account.strikes.of_lost(held), lambda name: lost)

    def fail(self, held: Assignment, name: RowName, failure: Failure) -> None:
        number, which = name
        if name in held.segments:
            self.finish(held, SegmentRow(number, which, "failed", error=failure))
        else:
            row = ReferenceRow(number, which, "failed", error=failure)
            self.outcome.references.setdefault(which, row)
            held.encoded.add(name)

    def fail_rest(self, held: Assignment, failure: Failure) -> None:
        for name in (*held.unencoded, *held.unfinished):
            self.fail(held, name, failure)

    def abandon(self, failure: Failure) -> None:
        """What stopped one lease would stop every other."""
        self.outcome.add_error(failure)
        while self.waiting:
            self.fail_rest(Assignment(self.waiting.popleft()), failure)

    def _is_here(self, held: Assignment, name: RowName, path: Path, payload: bytes | None) -> bool:
        """Whether the file of a row may be looked at; one that came as bytes is written first, whole or not at all."""
        try:
            if payload is not None:
                write_bytes_atomic(path, payload, sync=False, make_folder=False)
        except OSError as error:
            self.fail(held, name, write_failure(path, error))
            return False
        return True

    def _put_back(self, held: Assignment, remains: RetryPlan, why: Callable[[RowName], Failure]) -> None:
        for name in remains.given_up:
            self.fail(held, name, why(name))
        self.waiting.extendleft(remains.first)
        self.waiting.extend(remains.last)

    def _keep_reference(self, held: Assignment, row: ReferenceRow) -> None:
        held.encoded.add((row.task, row.speaker))
        self.outcome.references[row.speaker] = row

    def _call(self, listener: Callable[[], None]) -> None:
        """An error of whoever is told is its own, not the pool's."""
        if self.error is None:
            try:
                listener()
            except Exception as error:
                self.end(error)


RESERVE = 2
"""Leases of lines for each slot that shall wait, so that nobody is idle while references are encoded."""


class JobQueue:
    """The works that are not over, in order of arrival.

    A worker's death is held against the caller whose lease it was, and, more patiently, against all of them: what
    happens whoever's lease it is would happen to every other.
    """

    def __init__(self) -> None:
        self._works: list[Job] = []
        self._restarts = RestartPolicy(PATIENT_LIMITS)
        self._given_up: Failure | None = None

    @property
    def leases(self) -> int:
        """How many wait."""
        return sum(len(work.waiting) for work in self._works)

    def admit(self, work: Job) -> None:
        """One more. Where workers have been given up, its rows fail at once with the reason."""
        self._works.append(work)
        given_up = work.account.given_up or self._given_up
        if given_up is not None and work.waiting:
            work.abandon(given_up)
        self.conclude(work)

    def conclude(self, work: Job) -> None:
        """Let it go if it is over: whoever waits for it goes on."""
        if work.over and work in self._works:
            self._works.remove(work)
            work.done.set()

    def end(self, work: Job, error: BaseException) -> None:
        work.end(error)
        self.conclude(work)

    def end_all(self, error: BaseException) -> None:
        for work in list(self._works):
            self.end(work, error)

    def next(self, slots: int) -> Job | None:
        """Whose lease is next: in order of arrival, so that recordings end one by one; but where the lines that
        wait would soon be used up by so many slots, references, which open the way to more. Who has just lost a
        worker waits a little."""
        now = time.monotonic()
        waiting = [work for work in self._works if work.waiting and work.account.restarts.not_before <= now]
        lines = sum(len(work.waiting) for work in waiting if not work.encodes)
        if lines < RESERVE * slots:
            waiting.sort(key=lambda work: not work.encodes)  # stable: by arrival within
        return waiting[0] if waiting else None

    def fruit(self) -> None:
        """A worker has done something: workers do live here."""
        self._restarts.fruit()

    def cannot_start(self, error: PreflightError, *, ever_could: bool) -> None:
        """No worker can be started."""
        for work in [work for work in self._works if work.waiting]:
            if ever_could:
                # Memory, processes or machines have run out, perhaps for a moment.
                self.count_death(Failure("worker_died", error.message), work, began=False)
            else:
                self.end(work, error)

    def count_refusal(self, failure: Failure) -> None:
        """A worker has answered that its lease is impossible as a whole; the rows of that have failed already."""
        if self._restarts.death(time.monotonic(), began=False):
            self._give_up(failure)

    def count_death(self, failure: Failure, work: Job, *, began: bool) -> None:
        """A worker has died with a lease of this work, having begun rows of it or not."""
        now, account = time.monotonic(), work.account
        everywhere = self._restarts.death(now, began=began)
        deaths = account.restarts.death(now, began=began) or everywhere
        if deaths:
            message = f"{failure.message}; {deaths} workers ended so: `voiceclone doctor` looks for why"
            work.outcome.drop_notes(account.deaths)  # this sentence stands for them
            account.given_up = Failure(failure.code, message)
            work.abandon(account.given_up)
            if everywhere:
                self._give_up(account.given_up)
        self.conclude(work)

    def _give_up(self, failure: Failure) -> None:
        self._given_up = failure
        for work in [work for work in self._works if work.waiting]:
            work.abandon(failure)
            self.conclude(work)
