"""What the pool leases to, wherever it is: a worker process here, or one on another machine."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from voiceclone_cli.config import PARALLEL, RAY, Settings
from voiceclone_worker.protocol import (
    EncodeTask,
    EngineSpec,
    Failure,
    ReferenceRow,
    ReferenceSpec,
    Result,
    SegmentRow,
    SynthesisTask,
    Task,
)

# How tasks become leases: the parts of the work that a worker holds at a time.


@dataclass(frozen=True, slots=True)
class Lease:
    """Tasks of one kind that one worker does as one pool. ``cost`` is in characters to speak."""

    tasks: tuple[Task, ...]
    cost: int


LARGEST = 1_000
"""Segments in a lease of the sequential mode: a worker keeps the rows of a lease until it answers, and this
many batches make the pause between two leases vanish."""


def one_lease(tasks: Sequence[Task]) -> list[Lease]:
    """Everything in one go."""
    return [Lease(tuple(tasks), sum(map(_cost, tasks)))] if tasks else []


def large_leases(tasks: Sequence[SynthesisTask], largest: int = LARGEST) -> list[Lease]:
    """Sequential mode: one lease, or as few as hold ``largest`` segments each. Batches form across speakers."""
    leases: list[Lease] = []
    held: list[SynthesisTask] = []
    room = largest
    for task in tasks:
        rest = task.segments
        while rest:
            held.append(replace(task, segments=rest[:room]))
            rest, room = rest[room:], room - len(rest[:room])
            if room == 0:
                leases += one_lease(held)
                held, room = [], largest
    return leases + one_lease(held)


def shared_leases(tasks: Sequence[SynthesisTask], workers: int, batch_size: int) -> list[Lease]:
    """Parallel mode: runs of one speaker's segments, the longest first.

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


def leases_of(tasks: Sequence[SynthesisTask], settings: Settings, slots: int, batch_size: int) -> list[Lease]:
    """The leases of these tasks in the mode that is set. A cluster has many slots, so its mode is parallel."""
    if settings.mode == PARALLEL or settings.executor == RAY:
        return shared_leases(tasks, slots, batch_size)
    return large_leases(tasks)


def warm_up(engine: EngineSpec, slots: int) -> list[Lease]:
    """Leases without a segment: what takes one has its engine loaded when the work comes."""
    reference = ReferenceSpec("", "", "", "")
    return [Lease((SynthesisTask("", engine, reference, "", ()),), 0)] * slots


def make_folders(lease: Lease) -> None:
    """The folders that a lease writes into: whoever is elsewhere cannot. Raises OSError."""
    for task in lease.tasks:
        if isinstance(task, EncodeTask):
            for reference in task.references:
                os.makedirs(os.path.dirname(reference.codes), exist_ok=True)
        elif task.output_dir:
            os.makedirs(task.output_dir, exist_ok=True)


def part(lease: Lease, names: Collection[tuple[int, str]]) -> list[Lease]:
    """The lease of only these (task number, segment id or speaker); no lease where none of them is in it."""
    tasks: list[Task] = []
    for number, task in enumerate(lease.tasks):
        if isinstance(task, EncodeTask):
            references = tuple(ref for ref in task.references if (number, ref.speaker) in names)
            tasks += [replace(task, references=references)] if references else []
        else:
            segments = tuple(segment for segment in task.segments if (number, segment.id) in names)
            tasks += [replace(task, segments=segments)] if segments else []
    return one_lease(tasks)


def _cost(task: Task) -> int:
    if isinstance(task, EncodeTask):
        return len(task.references)
    return sum(len(segment.text) + 1 for segment in task.segments)


# What came of leases.


SegmentKey = tuple[str, str]
"""(output folder, segment id)."""

MOST_NOTES = 100
"""A worker that has more to tell says the same in other words."""


@dataclass(frozen=True, slots=True)
class Usage:
    """How busy slots were."""

    slots: int
    """The most at a time; 0 while none could be started."""
    busy_seconds: float
    """Holding leases, summed over them."""
    span_seconds: float
    """From the first lease to the last answer."""


@dataclass(slots=True)
class PoolResult:
    """What came of the leases: a row for every segment and every reference."""

    segments: dict[SegmentKey, SegmentRow] = field(default_factory=dict)
    references: dict[str, ReferenceRow] = field(default_factory=dict)
    timing: dict[str, float] = field(default_factory=dict)
    """Seconds by stage, summed over the workers."""
    errors: list[Failure] = field(default_factory=list)
    """What stopped a lease as a whole."""
    notes: list[str] = field(default_factory=list)
    """What the user should know although nothing failed, each sentence once."""
    peak_mb: int = 0
    """The largest worker's peak resident memory; 0 where the system does not tell."""

    def drop_notes(self, notes: Collection[str]) -> None:
        """Forget notes for which something else stands."""
        self.notes = [note for note in self.notes if note not in notes]

    def add_notes(self, notes: Iterable[str]) -> None:
        for note in notes:
            if len(self.notes) < MOST_NOTES and note not in self.notes:
                self.notes.append(note)

    def add_error(self, error: Failure) -> None:
        if error not in self.errors:  # two workers may stumble over the same
            self.errors.append(error)


class Worker(Protocol):
    """Holds one lease at a time. All that comes of it is put into the inbox it was started with."""

    name: str
    """For people; one elsewhere tells where."""
    last_event: float
    """When it last gave a sign of life, in monotonic seconds."""

    @property
    def ready(self) -> bool:
        """Whether it may be given a lease: a worker elsewhere is there when its machine has started it."""

    def give(self, lease: Lease) -> int:
        """Hand over a lease: its number, counted from 1. Raises OSError where it cannot be written. One that
        has just died is reported by its GoneMessage, so that is no error here."""

    def answered(self) -> None:
        """The lease is over: what was written for it can go."""

    def taken(self, message: Message) -> None:
        """The reader of the inbox has taken a message of this slot's out of it."""

    def peak_mb(self) -> int | None:
        """Peak resident memory of its worker; None where that is not known."""

    def finish(self) -> None:
        """No more leases: it ends by itself when it has answered what it holds."""

    def kill(self, reason: str) -> None:
        """End it, and whatever it started, at once; ``reason`` becomes its diagnosis."""

    def wait(self, seconds: float) -> bool:
        """True when it has ended within ``seconds``."""


class Launcher(Protocol):
    """Starts slots, in one place or in many."""

    def room(self) -> int:
        """How many slots there may be now: machines come and go. Cheap."""

    def start(self, name: str, number: int, inbox: Inbox) -> Worker:
        """A new slot, perhaps not ready yet: this does not wait. ``number``: its place among the slots, from
        1; who replaces a dead one takes it over. Raises PreflightError where there can be none."""

    def close(self) -> None:
        """All slots have ended; nothing of them stays."""


@dataclass(frozen=True, slots=True)
class EventMessage:
    slot: Worker
    event: dict[str, Any]
    payload: bytes | None = None
    """Of a slot on another machine: the contents of the file that the event tells of."""


@dataclass(frozen=True, slots=True)
class LogMessage:
    """A line for people; it stands in the log file too."""

    slot: Worker
    line: str


@dataclass(frozen=True, slots=True)
class ResultMessage:
    slot: Worker
    result: Result


@dataclass(frozen=True, slots=True)
class WorkerExited:
    """The slot has ended and has nothing more to say. ``reason`` is one sentence."""

    slot: Worker
    reason: str
    node_lost: bool = False
    """Its machine was lost, not its worker: nothing that it did is to blame."""


@dataclass(frozen=True, slots=True)
class WakeMessage:
    """Nothing has been said; the reader of the inbox shall look up."""


Message = EventMessage | LogMessage | ResultMessage | WorkerExited | WakeMessage


class Inbox(Protocol):
    """Where slots put what they have to say, from any thread."""

    def put(self, message: Message, /) -> None: ...
