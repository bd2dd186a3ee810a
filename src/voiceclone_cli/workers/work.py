"""Those that the pool works for, and what it does for each."""

from __future__ import annotations

import collections
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from voiceclone_cli.machine.clock import add_seconds
from voiceclone_cli.workers.faults import answers
from voiceclone_cli.workers.faults.recovery import Remains, Strikes
from voiceclone_cli.workers.faults.restarts import Restarts
from voiceclone_cli.workers.held import Held, RowName
from voiceclone_cli.workers.leases import Lease
from voiceclone_cli.workers.outcome import Outcome
from voiceclone_worker.atomic import write_failure, write_unsynced
from voiceclone_worker.contract import EncodeTask, Failure, ReferenceRow, Result, SegmentRow

OnEvent = Callable[[str, dict[str, Any]], None]
OnLog = Callable[[str, str], None]
"""Both are told the worker's name first."""
OnSegment = Callable[[SegmentRow], None]


def nobody_listens(worker: str, said: object) -> None:
    """For whoever does not look."""


@dataclass(slots=True, eq=False)
class Account:
    """A caller's: who hears of its works, and what has gone wrong with its leases. That is held against it alone,
    so that a recording that kills every worker costs the others none of theirs."""

    on_event: OnEvent
    on_log: OnLog
    strikes: Strikes = field(default_factory=Strikes)
    restarts: Restarts = field(default_factory=Restarts)
    deaths: list[str] = field(default_factory=list)
    """The notes that tell of workers which died."""
    given_up: Failure | None = None
    """Why none of its leases gets a worker any more."""


@dataclass(slots=True, eq=False)
class Work:
    """Leases that were asked for together, and what comes of them."""

    account: Account
    waiting: collections.deque[Lease]
    on_segment: OnSegment
    outcome: Outcome = field(default_factory=Outcome)
    out: list[Held] = field(default_factory=list)
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

    def result(self) -> Outcome:
        """Raises what ended the work early."""
        if self.error is not None:
            raise self.error
        return self.outcome

    def end(self, error: BaseException) -> None:
        self.error = self.error or error
        self.waiting.clear()

    def tell(self, worker: str, event: dict[str, Any]) -> None:
        self._call(lambda: self.account.on_event(worker, event))

    def finish(self, held: Held, row: SegmentRow) -> None:
        """A segment has its outcome, from a worker or for want of one; a second one does not count."""
        key = held.finish((row.task, row.id))
        if key is None or key in self.outcome.segments:
            return
        self.outcome.segments[key] = row
        self._call(lambda: self.on_segment(row))
        told = {"task": row.task, "id": row.id, "file": row.file, "seconds": row.seconds}
        self.tell(held.worker, {"event": f"segment_{row.status}", **told})

    def hear_segment(self, held: Held, row: SegmentRow, payload: bytes | None) -> bool:
        """An event tells of a segment; whether it is believed. ``payload``: its file, where that came as bytes."""
        name = (row.task, row.id)
        key = held.segments.get(name)
        if key is None or name in held.finished or self.error is not None:
            return False
        folder, segment_id = key
        if not self._is_here(held, name, Path(folder, f"{segment_id}.wav"), payload):
            return False
        if answers.why_not_spoken(row, key) is not None:
            return False
        self.account.restarts.fruit()
        self.finish(held, row)
        return True

    def hear_reference(self, held: Held, row: ReferenceRow, payload: bytes | None) -> bool:
        """The same of an encoded reference."""
        name = (row.task, row.speaker)
        codes = held.references.get(name)
        if codes is None or name in held.encoded or self.error is not None:
            return False
        if not self._is_here(held, name, Path(codes), payload):
            return False
        if answers.why_not_encoded(row, codes) is not None:
            return False
        self.account.restarts.fruit()
        self._keep_reference(held, row)
        return True

    def take_result(self, held: Held, result: Result) -> dict[RowName, Failure]:
        """A slot has answered; its rows that cannot be believed, and why."""
        found = answers.examine(held, result)
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

    def refuse(self, held: Held, error: OSError) -> None:
        """A lease could not be handed over."""
        folder = os.path.dirname(os.fsdecode(error.filename)) if error.filename else "the disk"
        failure = Failure(
            "output_unwritable",
            f"Cannot write task files to {folder} ({error.strerror or error}): "
            "check its free space and permissions.",
        )
        self.fail_rest(held, failure)
        self.abandon(failure)

    def doubt(self, held: Held, faults: dict[RowName, Failure]) -> Failure:
        """Another worker does what is missing; what is wrong with the first."""
        failure = next(iter(faults.values()))
        names = answers.named(name[1] for name in faults)
        self.outcome.add_notes([f"{failure.message} ({names}): that worker was replaced"])
        remains = self.account.strikes.of_answered(held, faults)
        self._put_back(held, remains, lambda name: faults[name])
        return failure

    def recover_dead(self, held: Held, reason: str) -> None:
        """The worker is gone; what it was speaking may be why."""
        self.outcome.add_notes([reason])
        self.account.deaths.append(reason)
        twice = Failure("worker_died", f"it took two workers down and gets no third; the last: {reason}")
        self._put_back(held, self.account.strikes.of_dead(held), lambda name: twice)

    def recover_lost(self, held: Held, reason: str) -> None:
        """The worker's machine is gone, which is no row's fault."""
        self.outcome.add_notes([reason])
        lost = Failure("node_lost", f"too many machines went away from under it; the last: {reason}")
        self._put_back(held, self.account.strikes.of_lost(held), lambda name: lost)

    def fail(self, held: Held, name: RowName, failure: Failure) -> None:
        number, which = name
        if name in held.segments:
            self.finish(held, SegmentRow(number, which, "failed", error=failure))
        else:
            row = ReferenceRow(number, which, "failed", error=failure)
            self.outcome.references.setdefault(which, row)
            held.encoded.add(name)

    def fail_rest(self, held: Held, failure: Failure) -> None:
        for name in (*held.unencoded, *held.unfinished):
            self.fail(held, name, failure)

    def abandon(self, failure: Failure) -> None:
        """What stopped one lease would stop every other."""
        self.outcome.add_error(failure)
        while self.waiting:
            self.fail_rest(Held(self.waiting.popleft()), failure)

    def _is_here(self, held: Held, name: RowName, path: Path, payload: bytes | None) -> bool:
        """Whether the file of a row may be looked at; one that came as bytes is written first, whole or not at all."""
        try:
            if payload is not None:
                write_unsynced(path, payload)
        except OSError as error:
            self.fail(held, name, write_failure(path, error))
            return False
        return True

    def _put_back(self, held: Held, remains: Remains, why: Callable[[RowName], Failure]) -> None:
        for name in remains.given_up:
            self.fail(held, name, why(name))
        self.waiting.extendleft(remains.first)
        self.waiting.extend(remains.last)

    def _keep_reference(self, held: Held, row: ReferenceRow) -> None:
        held.encoded.add((row.task, row.speaker))
        self.outcome.references[row.speaker] = row

    def _call(self, listener: Callable[[], None]) -> None:
        """An error of whoever is told is its own, not the pool's."""
        if self.error is None:
            try:
                listener()
            except Exception as error:
                self.end(error)
