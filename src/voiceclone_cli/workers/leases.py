"""How tasks become leases: the parts of the work that a worker holds at a time."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from voiceclone_cli.settings import PARALLEL, RAY, Settings
from voiceclone_worker.contract import EncodeTask, EngineSpec, ReferenceSpec, SynthesisTask, Task


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
