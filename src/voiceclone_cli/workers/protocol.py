"""What passes between the pool and its workers: leases, results, messages, and how a worker is driven."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol

from voiceclone_cli.config import PARALLEL, RAY, Settings
from voiceclone_worker import protocol
from voiceclone_worker.speech_units import speech_units


@dataclass(frozen=True, slots=True, eq=False)
class AnalysisTask:
    """A recording to diarize or to transcribe. Its lease holds nothing else."""

    id: str
    """Name of its row."""
    request: Mapping[str, Any]
    """What to do, as plain data. May hold the hub token, so it is never written to a file or shown."""
    samples: Any
    """Mono float32 samples at ANALYSIS_RATE; on the way to a node a reference into the object store."""
    seconds: float
    """Length of the recording."""


@dataclass(frozen=True, slots=True)
class Lease:
    """Tasks that one worker does in one go. ``cost`` is in units of speech to synthesize."""

    tasks: tuple[protocol.Task | AnalysisTask, ...]
    cost: int


MAX_LEASE_SEGMENTS = 1_000
"""Segments in a lease of the sequential mode: a worker keeps the rows of a lease until it is done, and this
many batches make the pause between two leases vanish."""


def one_lease(tasks: Sequence[protocol.Task | AnalysisTask]) -> list[Lease]:
    """Return one lease of all tasks; none without tasks."""
    return [Lease(tuple(tasks), sum(map(_cost, tasks)))] if tasks else []


def large_leases(tasks: Sequence[protocol.SynthesisTask], largest: int = MAX_LEASE_SEGMENTS) -> list[Lease]:
    """Return the leases of the sequential mode: as few as hold ``largest`` segments each.

    Batches form across speakers.
    """
    leases: list[Lease] = []
    collected: list[protocol.SynthesisTask] = []
    room = largest
    for task in tasks:
        rest = task.segments
        while rest:
            collected.append(replace(task, segments=rest[:room]))
            rest, room = rest[room:], room - len(rest[:room])
            if room == 0:
                leases += one_lease(collected)
                collected, room = [], largest
    return leases + one_lease(collected)


def shared_leases(tasks: Sequence[protocol.SynthesisTask], workers: int, batch_size: int) -> list[Lease]:
    """Return the leases of the parallel mode: runs of one speaker's segments, the longest first.

    A speaker with most of the lines is cut into as many runs as any other text of that length, so
    that no worker waits for another's speaker. Runs are at most a batch long, and shorter where
    there is too little for about two runs a worker.
    """
    total = sum(len(task.segments) for task in tasks)
    size = max(1, min(batch_size, -(-total // (2 * workers))))
    leases = []
    for task in tasks:
        for start in range(0, len(task.segments), size):
            run = replace(task, segments=task.segments[start : start + size])
            leases.append(Lease((run,), _cost(run)))
    return sorted(leases, key=lambda lease: -lease.cost)


def leases_of(
    tasks: Sequence[protocol.SynthesisTask], settings: Settings, workers: int, batch_size: int
) -> list[Lease]:
    """Return the leases of the tasks in the configured mode. A cluster has many workers, so its mode is parallel."""
    if settings.mode == PARALLEL or settings.executor == RAY:
        return shared_leases(tasks, workers, batch_size)
    return large_leases(tasks)


def warm_up(engine: protocol.EngineSpec, workers: int) -> list[Lease]:
    """Return leases without segments, which make workers load their engine before there are lines."""
    reference = protocol.ReferenceSpec("", "", "", "")
    return [Lease((protocol.SynthesisTask("", engine, reference, "", ()),), 0)] * workers


def prepare_encoding(engine: protocol.EngineSpec) -> Lease:
    """Return a lease without references, which makes a worker load its engine and what encodes references."""
    return Lease((protocol.EncodeTask(engine, ()),), 0)


def make_folders(lease: Lease) -> None:
    """Create the folders that a lease writes into, for a worker on another machine. Raises OSError."""
    for task in lease.tasks:
        if isinstance(task, protocol.EncodeTask):
            for reference in task.references:
                os.makedirs(os.path.dirname(reference.codes), exist_ok=True)
        elif isinstance(task, protocol.SynthesisTask) and task.output_dir:
            os.makedirs(task.output_dir, exist_ok=True)


RowName = tuple[int, str]
"""(number of the task in its lease from 0, segment id or speaker), as a worker names a row."""


def part(lease: Lease, names: Collection[RowName]) -> list[Lease]:
    """Return a lease of the named rows only; no lease where none of them is in it."""
    tasks: list[protocol.Task | AnalysisTask] = []
    for number, task in enumerate(lease.tasks):
        match task:
            case protocol.EncodeTask():
                references = tuple(ref for ref in task.references if (number, ref.speaker) in names)
                tasks += [replace(task, references=references)] if references else []
            case protocol.SynthesisTask():
                segments = tuple(segment for segment in task.segments if (number, segment.id) in names)
                tasks += [replace(task, segments=segments)] if segments else []
            case AnalysisTask():
                tasks += [task] if (number, task.id) in names else []
    return one_lease(tasks)


def _cost(task: protocol.Task | AnalysisTask) -> int:
    match task:
        case protocol.EncodeTask():
            return len(task.references)
        case protocol.SynthesisTask():
            return sum(speech_units(segment.text) + 1 for segment in task.segments)
        case AnalysisTask():
            return round(task.seconds)


class AnalysisRow(NamedTuple):
    """Result of an analysis: ``document`` is what the worker replied, None where it has failed."""

    task: int
    id: str
    document: dict[str, Any] | None = None
    error: protocol.Failure | None = None


Row = protocol.SegmentRow | protocol.ReferenceRow | AnalysisRow

SegmentKey = tuple[str, str]
"""(output folder, segment id)."""

MAX_NOTES = 100


@dataclass(slots=True)
class PoolResult:
    """Results of leases: a row for every segment, reference and analysis."""

    segments: dict[SegmentKey, protocol.SegmentRow] = field(default_factory=dict)
    references: dict[str, protocol.ReferenceRow] = field(default_factory=dict)
    analyses: dict[str, AnalysisRow] = field(default_factory=dict)
    timing: dict[str, float] = field(default_factory=dict)
    """Seconds by stage, summed over the workers."""
    errors: list[protocol.Failure] = field(default_factory=list)
    """What stopped a lease as a whole."""
    notes: list[str] = field(default_factory=list)
    """What the user should know although nothing failed, each sentence once."""
    peak_mb: int = 0
    """The largest worker's peak resident memory; 0 where the system does not report it."""

    def add_notes(self, notes: Iterable[str]) -> None:
        """Add the notes that are new, up to MAX_NOTES."""
        for note in notes:
            if len(self.notes) < MAX_NOTES and note not in self.notes:
                self.notes.append(note)


class Worker(Protocol):
    """Driver of a worker, here or on another machine, which does one lease at a time.

    All that the worker reports is put into the inbox that the driver was started with.
    """

    name: str
    """For people; names the node of a worker on another machine."""
    last_event: float
    """Monotonic time of its last event."""

    @property
    def ready(self) -> bool:
        """Whether it can be given a lease: one on another machine takes time to start."""

    def give(self, lease: Lease) -> int:
        """Hand over a lease and return its number, counted from 1.

        Raises OSError where it cannot be written. A worker that has just died is no error here: its
        WorkerExited follows.
        """

    def release(self) -> None:
        """Remove what was written for the lease, which is over."""

    def taken(self, message: Message) -> None:
        """Note that the pool has taken a message of this worker out of the inbox."""

    def peak_mb(self) -> int | None:
        """Return the peak resident memory of the worker; None where it is not known."""

    def finish(self) -> None:
        """Announce that no more leases follow: the worker ends by itself once its lease is done."""

    def kill(self, reason: str) -> None:
        """End the worker, and what it started, at once; ``reason`` becomes part of its diagnosis."""

    def wait(self, seconds: float) -> bool:
        """Return True once it has ended, False after ``seconds``."""


class Launcher(Protocol):
    """Starts workers, in one place or in many."""

    def room(self) -> int:
        """Return how many workers there may be now; nodes come and go. Cheap."""

    def start(self, name: str, number: int, inbox: Inbox) -> Worker:
        """Start a worker, perhaps not ready yet: this does not wait.

        ``number`` is its place among the workers, from 1; the replacement of a dead one takes it over.
        Raises PreflightError where none can be started.
        """

    def close(self) -> None:
        """Release what is left once all workers have ended."""


@dataclass(frozen=True, slots=True)
class EventMessage:
    """An event of a worker."""

    worker: Worker
    event: dict[str, Any]
    payload: bytes | None = None
    """Contents of the file that the event reports, from a worker on another machine."""


@dataclass(frozen=True, slots=True)
class LogMessage:
    """A line that a worker logged for people; it is in the log file too."""

    worker: Worker
    line: str


@dataclass(frozen=True, slots=True)
class ResultMessage:
    """The result of a lease."""

    worker: Worker
    result: protocol.Result


@dataclass(frozen=True, slots=True)
class WorkerExited:
    """The end of a worker; no message of it follows. ``reason`` is one sentence."""

    worker: Worker
    reason: str
    node_lost: bool = False
    """The worker's node was lost or is unfit: its work is not at fault."""


Message = EventMessage | LogMessage | ResultMessage | WorkerExited | None
"""None only wakes the reader of the inbox."""


class Inbox(Protocol):
    """Queue that workers put messages into, from any thread."""

    def put(self, message: Message, /) -> None:
        """Append a message."""
