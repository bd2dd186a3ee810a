"""Recovery from workers that fail: assignments, checks of results, deadlines, and retries."""

from __future__ import annotations

import collections
import os
from collections.abc import Hashable, Iterable, Mapping
from pathlib import Path
from typing import Any

from voiceclone_cli.workers.protocol import AnalysisRow, AnalysisTask, Lease, Row, RowName, part
from voiceclone_worker import protocol
from voiceclone_worker.speech_units import speech_units
from voiceclone_worker.validation import ContractError


class Assignment:
    """A lease that a worker holds, and the state of its rows. ``number`` counts the worker's leases from 1."""

    def __init__(self, lease: Lease, worker: str = "no worker", number: int = 0) -> None:
        self.lease = lease
        self.worker = worker
        self.number = number
        self.files: dict[RowName, str] = {}
        """Every row, in the order of the lease, and the file that it is to be written to ("": no file)."""
        self.finished: set[RowName] = set()
        self.started: dict[RowName, int] = {}
        """Units of speech of the rows that are started and not finished."""
        self._units: dict[RowName, int] = {}
        for number_of_task, task in enumerate(lease.tasks):
            match task:
                case protocol.SynthesisTask():
                    for segment in task.segments:
                        name = (number_of_task, segment.id)
                        self.files[name] = os.path.join(task.output_dir, f"{segment.id}.wav")
                        self._units[name] = speech_units(segment.text)
                case protocol.EncodeTask():
                    for reference in task.references:
                        self.files[number_of_task, reference.speaker] = reference.codes
                case AnalysisTask():
                    self.files[number_of_task, task.id] = ""

    def start(self, name: RowName) -> None:
        """Note that the worker has started a row. Rows of other leases are ignored."""
        if name in self.files and name not in self.finished:
            self.started[name] = self._units.get(name, 0)

    def finish(self, name: RowName) -> None:
        """Note that a row has its result."""
        self.finished.add(name)
        self.started.pop(name, None)

    @property
    def unfinished(self) -> list[RowName]:
        """The rows without a result, in the order of the lease."""
        return [name for name in self.files if name not in self.finished]

    def is_reference(self, name: RowName) -> bool:
        """Return whether the row is a reference to encode."""
        return isinstance(self.lease.tasks[name[0]], protocol.EncodeTask)

    def without_result(self, name: RowName, failure: protocol.Failure) -> Row:
        """Return the row of something that has failed."""
        number, which = name
        match self.lease.tasks[number]:
            case protocol.SynthesisTask():
                return protocol.SegmentRow(number, which, "failed", error=failure)
            case protocol.EncodeTask():
                return protocol.ReferenceRow(number, which, "failed", error=failure)
            case AnalysisTask():
                return AnalysisRow(number, which, error=failure)


WAV_HEADER = 44
"""Bytes before the samples of a mono PCM_16 file as the worker writes it."""


def row_name(row: Row) -> RowName:
    """Return the name of a row in its lease."""
    return (row.task, row.speaker if isinstance(row, protocol.ReferenceRow) else row.id)


def row_from_event(event: dict[str, Any]) -> Row | RowName | None:
    """Return the result that an event reports, or the name of a row that is started; None for other events.

    Raises ContractError or KeyError for a damaged event.
    """
    match event["event"]:
        case "segment_started" | "analysis_started":
            task, row_id = event["task"], event["id"]
            if not isinstance(task, int) or not isinstance(row_id, str):
                raise ContractError("a row is named by a number and a text")
            return task, row_id
        case "segment_done" | "segment_failed":
            return protocol.segment_row_from_dict(event)
        case "encoded":
            return protocol.reference_row_from_dict(event)
        case "analyzed":
            return AnalysisRow(event["task"], event["id"], event["document"])
    return None


def row_fault(row: Row, file: str) -> str | None:
    """Return what is wrong with a row that must have written ``file``, one clause; None where it is right."""
    if isinstance(row, AnalysisRow) or row.status != "done":
        return None
    if Path(row.file or "") != Path(file):
        return f"it reported {row.file}, not {file}"
    try:
        size = os.path.getsize(file)
    except OSError:
        return f"it reported {file}, but the file does not exist"
    if isinstance(row, protocol.SegmentRow) and (row.frames is None or size != WAV_HEADER + 2 * row.frames):
        return f"{file} has {size} bytes, which does not fit the {row.frames} samples that it reported"
    return None if size else f"{file} is empty"


def validate_result(
    assignment: Assignment, result: protocol.Result
) -> tuple[list[Row], dict[RowName, protocol.Failure]]:
    """Return the usable rows of a result among those without one yet, and the faults of all others.

    Rows that are not of the lease, and a second row for the same segment, are ignored.
    """
    rows: dict[RowName, Row] = {}
    faults: dict[RowName, protocol.Failure] = {}
    reported: list[Row] = [*result.segments, *result.references]
    for row in reported:
        name = row_name(row)
        if name not in assignment.files or name in assignment.finished or name in rows or name in faults:
            continue
        fault = row_fault(row, assignment.files[name])
        if fault is None:
            rows[name] = row
        else:
            faults[name] = protocol.Failure(
                "result_wrong", f"{assignment.worker} gave a wrong result: {fault}"
            )
    for name in assignment.unfinished:
        if name not in rows and name not in faults:
            faults[name] = protocol.Failure("no_outcome", f"{assignment.worker} gave no outcome for it")
    return list(rows.values()), faults


NAMES_SHOWN = 3


def name_rows(names: Iterable[str]) -> str:
    """Return a few of the names, and how many more there are."""
    every = list(names)
    shown = ", ".join(repr(name)[1:-1][:60] for name in every[:NAMES_SHOWN])
    return shown if len(every) <= NAMES_SHOWN else f"{shown} and {len(every) - NAMES_SHOWN} more"


SILENT_SECONDS = 60.0
LOADING_SECONDS = 900.0
ENCODING_SECONDS, SECONDS_PER_REFERENCE = 300.0, 120.0
GENERATING_SECONDS, SECONDS_PER_UNIT = 300.0, 2.0
ANALYZING_SECONDS, ANALYZING_TIMES = 600.0, 5.0
"""An analysis loads models, and some of its steps take as long as the recording (hence the factor)."""
LOAD_TIMES = 10.0
"""A machine that is slow to load is slow at all: this multiple of its loading time is added to later limits."""

MIN_SILENCE, MIN_SILENCE_AT_START = 3.0, 15.0
"""Limits that no time-out scale shortens: a heartbeat may be late, and an interpreter takes time to start."""


class DeadlineWatch:
    """Watch over the time that one worker takes. ``now`` is always monotonic seconds.

    Two clocks run. Silence: a heartbeat comes every second whatever the engine does, so a process without one
    is stopped or hung. Progress: an engine may hang while the heartbeat goes on; how long is too long depends
    on the phase. The limits are wide, since an 860 M model on a CPU may take most of a second for a letter,
    and a healthy worker must never be ended. ``timeout_scale`` multiplies them.
    """

    def __init__(self, timeout_scale: float, now: float) -> None:
        self._scale = timeout_scale
        self._last_event = self._progressed = now
        self._greeted = self._loaded = False
        self._load_seconds = 0.0

    def begin_lease(self, now: float) -> None:
        """Start both clocks for a new lease."""
        self._last_event = self._progressed = now

    def end_lease(self) -> None:
        """Note a result: the worker has loaded its engine."""
        self._loaded = True

    def event(self, event: Mapping[str, Any], now: float, *, of_lease: bool) -> None:
        """Note an event; progress when it belongs to the lease that the worker holds."""
        self._greeted = True
        if not of_lease or event["event"] == "heartbeat":
            return
        self._progressed = now
        if event["event"] == "loading":
            self._loaded = False
        elif event["event"] == "ready":
            self._loaded = True
            seconds = event.get("seconds")
            if isinstance(seconds, (int, float)) and 0 <= seconds <= LOADING_SECONDS:
                self._load_seconds = float(seconds)

    def forgive(self, seconds: float) -> None:
        """Leave out seconds in which this process itself was suspended."""
        self._last_event += seconds
        self._progressed += seconds

    def overdue(self, assignment: Assignment, last_event: float, now: float) -> str | None:
        """Return why the worker has to be ended; None while it has not.

        ``last_event`` is when an event was read, whether or not the pool has looked at it.
        """
        limit = max(SILENT_SECONDS * self._scale, MIN_SILENCE if self._greeted else MIN_SILENCE_AT_START)
        self._last_event = max(self._last_event, last_event)
        if now - self._last_event > limit:
            return f"it gave no sign of life for {limit:.0f} s"
        limit, doing = self.limit(assignment)
        if now - self._progressed > limit:
            return f"it made no progress for {limit:.0f} s while {doing}"
        return None

    def limit(self, assignment: Assignment) -> tuple[float, str]:
        """Return the longest time between two steps in seconds, and what the worker is doing."""
        (*_, task) = assignment.lease.tasks
        slow = LOAD_TIMES * self._load_seconds
        if isinstance(task, AnalysisTask):
            return (ANALYZING_SECONDS + ANALYZING_TIMES * task.seconds) * self._scale, "analyzing"
        if not self._loaded:
            return LOADING_SECONDS * self._scale, "loading its engine"
        references = sum(map(assignment.is_reference, assignment.unfinished))
        if references and not assignment.started:
            own = ENCODING_SECONDS + SECONDS_PER_REFERENCE * references
            return (own + slow) * self._scale, "encoding references"
        own = GENERATING_SECONDS + SECONDS_PER_UNIT * sum(assignment.started.values())
        return (own + slow) * self._scale, "synthesizing"


MAX_START_FAILURES, MAX_FAILURES = 3, 20
"""Workers of one client that may die in a row without starting a row, and without finishing one. Each row is
tried twice, then given up, so only rows that all kill their worker reach this number."""

MAX_START_FAILURES_OF_ALL, MAX_FAILURES_OF_ALL = 9, 60
"""The same for all clients together: more than one of them must have met it."""

FIRST_PAUSE, LONGEST_PAUSE = 0.25, 8.0


class RestartPolicy:
    """Count of the workers that died in a row. ``not_before`` is the monotonic time of the next try."""

    def __init__(
        self, max_start_failures: int = MAX_START_FAILURES, max_failures: int = MAX_FAILURES
    ) -> None:
        self.not_before = 0.0
        self._limits = max_start_failures, max_failures
        self._start_failures = self._failures = 0

    def record_success(self) -> None:
        """Start over: a worker has finished a row."""
        self._failures = self._start_failures = 0
        self.not_before = 0.0

    def record_failure(self, now: float, *, started: bool) -> int:
        """Note that a worker died, having started rows or not.

        Returns how many died so when no more are to be started, else 0.
        """
        self._failures += 1
        self._start_failures = 0 if started else self._start_failures + 1
        self.not_before = now + min(FIRST_PAUSE * 2.0 ** (self._failures - 1), LONGEST_PAUSE)
        max_start_failures, max_failures = self._limits
        if self._start_failures >= max_start_failures:
            return self._start_failures
        return self._failures if self._failures >= max_failures else 0


MAX_CRASHES = 2
"""A row that went wrong with two workers gets no third."""

MAX_LOSSES = 5
"""A row whose node was lost this often while it was being done is given up: perhaps it is not by chance."""

RetryPlan = tuple[list[Lease], list[Lease], list[RowName]]
"""What is left of a lease: leases to do next, leases to do last, rows to give up."""


class FailureCounter:
    """Count of the failures of each row of a client."""

    def __init__(self, max_losses: int = MAX_LOSSES) -> None:
        self._max_losses = max_losses
        self._crashes: collections.Counter[Hashable] = collections.Counter()
        self._losses: collections.Counter[Hashable] = collections.Counter()

    def after_crash(self, assignment: Assignment) -> RetryPlan:
        """Plan the rest of a lease whose worker died.

        Any row that was started may be the cause: each of these goes alone to another worker, so that it
        takes no other with it. What was not started goes first.
        """
        last: list[Lease] = []
        given_up: list[RowName] = []
        for name in sorted(assignment.started):
            if self._count(self._crashes, assignment, name) < MAX_CRASHES:
                last += part(assignment.lease, {name})
            else:
                given_up.append(name)
        rest = [name for name in assignment.unfinished if name not in assignment.started]
        return _again(assignment, rest), last, given_up

    def after_loss(self, assignment: Assignment) -> RetryPlan:
        """Plan the rest of a lease whose node was lost. Only rows that were started may be the cause."""
        given_up = [
            name
            for name in sorted(assignment.started)
            if self._count(self._losses, assignment, name) >= self._max_losses
        ]
        rest = [name for name in assignment.unfinished if name not in given_up]
        return _again(assignment, rest), [], given_up

    def after_result(self, assignment: Assignment, faults: Iterable[RowName]) -> RetryPlan:
        """Plan the rows that a result lacks or that are wrong: another worker may try."""
        rest: list[RowName] = []
        given_up: list[RowName] = []
        for name in faults:
            again = self._count(self._crashes, assignment, name) < MAX_CRASHES
            (rest if again else given_up).append(name)
        return _again(assignment, rest), [], given_up

    @staticmethod
    def _count(counter: collections.Counter[Hashable], assignment: Assignment, name: RowName) -> int:
        key = assignment.files[name] or name[1]
        counter[key] += 1
        return counter[key]


def _again(assignment: Assignment, names: Iterable[RowName]) -> list[Lease]:
    """Return a lease of these rows; references of a task are fitted together, so they are made again together."""
    rest = set(names)
    tasks = {number for number, _ in filter(assignment.is_reference, rest)}
    return part(assignment.lease, rest | {name for name in assignment.files if name[0] in tasks})
