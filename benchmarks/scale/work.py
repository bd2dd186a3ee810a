"""The work of a batch: files, their lines, and their leases (workers/protocol.py)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voiceclone_cli.workers.protocol import Lease, large_leases, shared_leases
from voiceclone_worker.protocol import EngineSpec, ReferenceSpec, SegmentSpec, SynthesisTask

SECONDS_A_CHARACTER = 0.06
"""About the pace of English speech."""

SHAPES = 20
"""Files that are really drawn and cut; a batch of more repeats them, and only its times are drawn anew."""


@dataclass(frozen=True, slots=True)
class Work:
    """A batch."""

    segments: int
    segments_a_file: int = 1000
    """About an hour of talk."""
    speakers: int = 4
    """Of a file."""
    dominant: float = 0.4
    """Share of the lines that one speaker has; the others share the rest."""
    characters: tuple[int, int] = (10, 80)
    """Of a line: shortest, longest."""
    pauses: float = 0.4
    """Seconds of pause for a second of speech."""

    @property
    def files(self) -> int:
        return max(1, round(self.segments / self.segments_a_file))


@dataclass(frozen=True, slots=True)
class Cut:
    """A file as leases, in the order in which they wait."""

    rows: NDArray[np.int64]
    """Lines of each."""
    speech: NDArray[np.float64]
    """Seconds of it in each."""
    speaker: NDArray[np.int64]
    """Whose they are; -1 where a lease has several."""


class Shape:
    """A file whose lines are known."""

    def __init__(self, work: Work, batch_size: int, chance: np.random.Generator) -> None:
        self._tasks = _tasks(work, work.segments // work.files, chance)
        self._batch_size = batch_size
        self._cuts: dict[int, Cut] = {}
        characters = sum(len(segment.text) for task in self._tasks for segment in task.segments)
        self.audio = characters * SECONDS_A_CHARACTER * (1 + work.pauses)
        """Seconds of the recording."""

    def cut(self, workers: int) -> Cut:
        """Into leases for so many workers; 0: for the sequential mode."""
        if workers not in self._cuts:
            leases = (
                shared_leases(self._tasks, workers, self._batch_size)
                if workers
                else large_leases(self._tasks)
            )
            self._cuts[workers] = Cut(
                np.array([sum(len(task.segments) for task in _tasks_of(lease)) for lease in leases]),
                np.array([_characters(lease) * SECONDS_A_CHARACTER for lease in leases]),
                np.array([_speaker(lease) for lease in leases]),
            )
        return self._cuts[workers]


def shapes(work: Work, batch_size: int, chance: np.random.Generator) -> list[Shape]:
    """Those that the files of a batch have, one after the other."""
    return [Shape(work, batch_size, chance) for _ in range(min(SHAPES, work.files))]


def _tasks(work: Work, segments: int, chance: np.random.Generator) -> list[SynthesisTask]:
    """A speaker with most of the lines, and others."""
    others = work.speakers - 1
    shares = [work.dominant] + [(1 - work.dominant) / others] * others if others else [1.0]
    speakers = chance.choice(work.speakers, segments, p=shares)
    lengths = chance.integers(*work.characters, segments, endpoint=True)
    made = []
    for speaker in range(work.speakers):
        own = np.flatnonzero(speakers == speaker)
        lines = tuple(SegmentSpec(str(line), "x" * int(lengths[line]), "en", 0) for line in own)
        if lines:
            reference = ReferenceSpec(str(speaker), "", "", "")
            made.append(SynthesisTask(str(speaker), EngineSpec("echo"), reference, "", lines))
    return made


def _tasks_of(lease: Lease) -> list[SynthesisTask]:
    return [task for task in lease.tasks if isinstance(task, SynthesisTask)]


def _characters(lease: Lease) -> int:
    return sum(len(segment.text) for task in _tasks_of(lease) for segment in task.segments)


def _speaker(lease: Lease) -> int:
    names = {task.speaker for task in _tasks_of(lease)}
    return int(names.pop()) if len(names) == 1 else -1
