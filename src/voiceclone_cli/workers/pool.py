"""Leases work to workers until every row has an outcome.

A worker holds one lease at a time and gets the next as soon as it has answered. Rows are believed
as soon as their event arrives, so that a worker that dies loses only what it had not finished; its
lease goes back to the queue without the finished rows.
"""

from __future__ import annotations

import collections
import itertools
import queue
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from voiceclone_cli.clock import add_seconds, peak_memory_mb
from voiceclone_cli.workers.environment import WorkerCommand
from voiceclone_cli.workers.leases import Lease, part
from voiceclone_cli.workers.process import (
    EventMessage,
    GoneMessage,
    Message,
    ResultMessage,
    WorkerProcess,
)
from voiceclone_worker.contract import (
    ContractError,
    EncodeTask,
    Failure,
    ReferenceRow,
    Result,
    SegmentRow,
    SynthesisTask,
    reference_row_from_dict,
    segment_row_from_dict,
    task_to_json,
)

SILENT_SECONDS = 60.0
"""A worker beats every two seconds; one that is silent for this long is hung beyond its engine."""

MAX_STRIKES = 2
"""A segment that was being spoken when two workers died, the second time alone, gets no third."""

MAX_BARREN = 3
"""Workers that may die one after the other without beginning a row before the pool gives up."""

SegmentKey = tuple[str, str]
"""(output folder, segment id)."""


@dataclass(slots=True)
class Outcome:
    """What came of the leases: a row for every segment and every reference."""

    segments: dict[SegmentKey, SegmentRow] = field(default_factory=dict)
    references: dict[str, ReferenceRow] = field(default_factory=dict)
    timing: dict[str, float] = field(default_factory=dict)
    """Seconds by stage, summed over the workers."""
    errors: list[Failure] = field(default_factory=list)
    """What stopped a lease as a whole."""
    notes: list[str] = field(default_factory=list)
    """What the workers want the user to know although nothing failed, each sentence once."""
    peak_mb: int = 0
    """The largest worker's peak resident memory; 0 where the system does not tell."""


class _Held:
    """A lease in a worker's hands. Rows are named (task number, segment id), as the worker does."""

    def __init__(
        self, lease: Lease, worker: str = "nobody", number: int = 0, files: Sequence[Path] = ()
    ) -> None:
        self.lease = lease
        self.worker = worker
        self.number = number
        """Which of the worker's leases this is, from 1: its events carry it."""
        self.files = files
        self.keys: dict[tuple[int, str], SegmentKey] = {
            (number, segment.id): (task.output_dir, segment.id)
            for number, task in enumerate(lease.tasks)
            if isinstance(task, SynthesisTask)
            for segment in task.segments
        }
        self.finished: set[tuple[int, str]] = set()
        self.started: set[tuple[int, str]] = set()
        self.progressed = time.monotonic()


class Pool:
    """Persistent workers. Use as a context manager: leaving it ends every worker."""

    def __init__(
        self,
        command: WorkerCommand,
        workers: int,
        task_dir: Path,
        *,
        on_event: Callable[[str, dict[str, Any]], None] = lambda worker, event: None,
        log_dir: Path | None = None,
        keep_tasks: bool = False,
        stall_seconds: float = 900.0,
    ) -> None:
        self._command = command
        self._size = workers
        self._task_dir = task_dir
        self._on_event = on_event
        self._on_segment: Callable[[SegmentRow], None] = lambda row: None
        self._log_dir = log_dir
        self._keep_tasks = keep_tasks
        self._stall_seconds = stall_seconds
        self._inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._names = (f"worker {number}" for number in itertools.count(1))
        self._task_numbers = itertools.count(1)
        self._workers: dict[WorkerProcess, float] = {}
        self._numbers: dict[WorkerProcess, int] = {}
        self._held: dict[WorkerProcess, _Held] = {}
        self._strikes: collections.Counter[SegmentKey] = collections.Counter()
        self._barren = 0
        self._given_up: Failure | None = None

    def __enter__(self) -> Pool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers:
            if kind is None:
                worker.finish()
            else:
                worker.kill("the run was stopped")
        deadline = time.monotonic() + 5.0
        for worker in self._workers:
            if not worker.wait(max(0.0, deadline - time.monotonic())):
                worker.kill("it did not end")
                worker.wait(5.0)
        for held in self._held.values():
            self._remove_files(held)

    def run(
        self, leases: Iterable[Lease], on_segment: Callable[[SegmentRow], None] = lambda row: None
    ) -> Outcome:
        """Do all leases; returns when every row of theirs has an outcome. ``on_segment`` hears of
        each segment's, once, as soon as it is known. A pool that has given up its workers does not try
        again with later leases."""
        self._on_segment = on_segment
        waiting = collections.deque(leases)
        outcome = Outcome()
        if self._given_up is not None and waiting:
            outcome.errors.append(self._given_up)
            self._abandon(waiting, self._given_up, outcome)
        while waiting or self._held:
            self._hand_out(waiting)
            match self._next_message():
                case EventMessage(worker, event):
                    self._hear(worker, event, outcome)
                case ResultMessage(worker, result):
                    self._settle(worker, result, outcome, waiting)
                case GoneMessage(worker, reason):
                    self._recover(worker, reason, outcome, waiting)
                case None:
                    self._end_the_hung()
        return outcome

    # ------------------------------------------------------------------------- leasing

    def _hand_out(self, waiting: collections.deque[Lease]) -> None:
        while waiting and len(self._held) < self._size:
            worker = next((w for w in self._workers if w not in self._held), None) or self._start()
            lease = waiting.popleft()
            files = self._write_tasks(lease)
            self._held[worker] = _Held(lease, worker.name, worker.request(files), files)

    def _start(self) -> WorkerProcess:
        name = next(self._names)
        log = self._log_dir / f"{name.replace(' ', '-')}.log" if self._log_dir else None
        # The lowest that no living worker has: who replaces a dead one takes over its place (and its GPU).
        number = next(n for n in itertools.count(1) if n not in self._numbers.values())
        worker = WorkerProcess(name, self._command.numbered(number), self._inbox, log)
        self._workers[worker] = time.monotonic()
        self._numbers[worker] = number
        return worker

    def _write_tasks(self, lease: Lease) -> list[Path]:
        files = []
        for task in lease.tasks:
            path = self._task_dir / f"task-{next(self._task_numbers):05d}.json"
            path.write_text(task_to_json(task), encoding="utf-8")
            files.append(path)
        return files

    def _remove_files(self, held: _Held) -> None:
        if not self._keep_tasks:
            for path in held.files:
                path.unlink(missing_ok=True)

    # ------------------------------------------------------------------------- hearing

    def _next_message(self) -> Message | None:
        try:
            return self._inbox.get(timeout=1.0)
        except queue.Empty:
            return None

    def _end_the_hung(self) -> None:
        now = time.monotonic()
        for worker, held in self._held.items():
            if now - self._workers[worker] > SILENT_SECONDS:
                worker.kill(f"no sign of life for {SILENT_SECONDS:.0f} s")
            elif now - held.progressed > self._stall_seconds:
                worker.kill(f"no progress for {self._stall_seconds:.0f} s")

    def _hear(self, worker: WorkerProcess, event: dict[str, Any], outcome: Outcome) -> None:
        self._workers[worker] = time.monotonic()
        held = self._held.get(worker)
        try:
            news = _news(event)
        except (ContractError, KeyError, TypeError, ValueError):
            return  # a damaged event loses nothing: the result says it again
        # Events and results come through two pipes: an event may arrive after its lease's result.
        if held is not None and event.get("lease") == held.number:
            held.progressed = time.monotonic()
            match news:
                case SegmentRow():
                    self._finish(held, news, outcome)
                case ReferenceRow():
                    outcome.references[news.speaker] = news
                case (int(), str()):
                    held.started.add(news)
        if not isinstance(news, SegmentRow):
            self._on_event(worker.name, event)
        if event["event"] == "heartbeat":
            self._end_the_hung()

    def _finish(self, held: _Held, row: SegmentRow, outcome: Outcome) -> None:
        key = held.keys.get((row.task, row.id))
        if key is None or (row.task, row.id) in held.finished:
            return
        held.finished.add((row.task, row.id))
        self._barren = 0
        outcome.segments[key] = row
        self._on_segment(row)
        self._on_event(held.worker, {"event": f"segment_{row.status}", **asdict(row)})

    def _settle(
        self, worker: WorkerProcess, result: Result, outcome: Outcome, waiting: collections.deque[Lease]
    ) -> None:
        held = self._held.pop(worker, None)
        if held is None:
            return
        for row in result.segments:
            self._finish(held, row, outcome)
        outcome.references.update({row.speaker: row for row in result.references})
        add_seconds(outcome.timing, result.timing)
        outcome.notes += [note for note in result.notes if note not in outcome.notes]
        outcome.peak_mb = max(outcome.peak_mb, peak_memory_mb(worker.pid) or 0)
        missing = result.error or Failure("no_outcome", f"{worker.name} gave no outcome for it")
        self._fail_rest(held, missing, outcome)
        self._remove_files(held)
        if result.error is not None:
            if result.error not in outcome.errors:  # two workers may stumble over the same
                outcome.errors.append(result.error)
            self._abandon(waiting, result.error, outcome)

    # ------------------------------------------------------------------------ recovering

    def _recover(
        self, worker: WorkerProcess, reason: str, outcome: Outcome, waiting: collections.deque[Lease]
    ) -> None:
        """A worker is gone; what it had not finished goes back to the queue.

        Any row it was speaking may be what killed it: each of these goes alone to another worker,
        so that the guilty one takes no other with it, and is given up when it kills that one too.
        """
        self._workers.pop(worker, None)
        self._numbers.pop(worker, None)
        held = self._held.pop(worker, None)
        if held is None:
            return
        self._remove_files(held)
        failure = Failure("worker_died", reason)
        suspects = (held.started - held.finished) & held.keys.keys()
        self._barren = 0 if suspects else self._barren + 1
        if self._barren >= MAX_BARREN:
            failure = self._given_up = Failure(
                "worker_died", f"{reason}; {self._barren} workers ended so: `voiceclone doctor` looks for why"
            )
            self._fail_rest(held, failure, outcome)
            outcome.errors.append(failure)
            self._abandon(waiting, failure, outcome)
            return
        for name in sorted(suspects):
            self._strikes[held.keys[name]] += 1
            if self._strikes[held.keys[name]] < MAX_STRIKES:
                waiting.extend(part(held.lease, {name}))
            else:
                self._finish(held, _failed_row(*name, failure), outcome)
        if held.keys:
            waiting.extendleft(part(held.lease, held.keys.keys() - held.finished - suspects))
        else:
            waiting.appendleft(held.lease)

    def _abandon(self, waiting: collections.deque[Lease], failure: Failure, outcome: Outcome) -> None:
        """What stopped this lease would stop every other."""
        while waiting:
            self._fail_rest(_Held(waiting.popleft()), failure, outcome)

    def _fail_rest(self, held: _Held, failure: Failure, outcome: Outcome) -> None:
        for number, task in enumerate(held.lease.tasks):
            if isinstance(task, EncodeTask):
                for reference in task.references:
                    outcome.references.setdefault(
                        reference.speaker, ReferenceRow(number, reference.speaker, "failed", error=failure)
                    )
        for name in held.keys:
            self._finish(held, _failed_row(*name, failure), outcome)


def _news(event: dict[str, Any]) -> SegmentRow | ReferenceRow | tuple[int, str] | None:
    """What an event says of a lease: an outcome, or the name of a row that is begun. Only the reading
    is here, so that an error of whoever is told cannot pass for a damaged event."""
    match event["event"]:
        case "segment_started":
            return int(event["task"]), str(event["id"])
        case "segment_done" | "segment_failed":
            return segment_row_from_dict(event)
        case "encoded":
            return reference_row_from_dict(event)
    return None


def _failed_row(number: int, segment_id: str, failure: Failure) -> SegmentRow:
    return SegmentRow(number, segment_id, "failed", error=failure)
