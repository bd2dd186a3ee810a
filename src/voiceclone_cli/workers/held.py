"""A lease in a slot's hands: which rows it has begun, which have their outcome."""

from __future__ import annotations

from voiceclone_cli.workers.leases import Lease
from voiceclone_cli.workers.outcome import SegmentKey
from voiceclone_worker.contract import SynthesisTask

RowName = tuple[int, str]
"""(number of the task in its lease from 0, segment id or speaker), as the worker names a row."""


class Held:
    """A lease that a slot holds; ``number`` is the slot's own count of its leases, from 1."""

    def __init__(self, lease: Lease, worker: str = "nobody", number: int = 0) -> None:
        self.lease = lease
        self.worker = worker
        self.number = number
        self.segments: dict[RowName, SegmentKey] = {}
        self.references: dict[RowName, str] = {}
        """The file that an encoded reference shall be in."""
        self.finished: set[RowName] = set()
        self.encoded: set[RowName] = set()
        self.in_flight: dict[RowName, int] = {}
        """Characters of the rows that are begun and not finished."""
        self._characters: dict[RowName, int] = {}
        for task_number, task in enumerate(lease.tasks):
            if isinstance(task, SynthesisTask):
                for segment in task.segments:
                    name = (task_number, segment.id)
                    self.segments[name] = (task.output_dir, segment.id)
                    self._characters[name] = len(segment.text)
            else:
                for reference in task.references:
                    self.references[task_number, reference.speaker] = reference.codes

    def begin(self, name: RowName) -> None:
        """The worker has begun with this row. A row that is not of this lease is not noticed."""
        if name in self.segments and name not in self.finished:
            self.in_flight[name] = self._characters[name]

    def finish(self, name: RowName) -> SegmentKey | None:
        """The key of a row that has its outcome now; None when it had one, or is not of this lease."""
        key = self.segments.get(name)
        if key is None or name in self.finished:
            return None
        self.finished.add(name)
        self.in_flight.pop(name, None)
        return key

    @property
    def unfinished(self) -> list[RowName]:
        """Segments without an outcome, in the order of the lease."""
        return [name for name in self.segments if name not in self.finished]

    @property
    def unencoded(self) -> list[RowName]:
        """References without an outcome, in the order of the lease."""
        return [name for name in self.references if name not in self.encoded]
