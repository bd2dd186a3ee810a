"""Those that the pool works for, and what it does for each."""

from __future__ import annotations

import collections
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from voiceclone_cli.workers.held import Held, RowName
from voiceclone_cli.workers.leases import Lease
from voiceclone_cli.workers.outcome import Outcome
from voiceclone_cli.workers.recovery import Strikes
from voiceclone_cli.workers.restarts import Restarts
from voiceclone_worker.atomic import write_failure, write_unsynced
from voiceclone_worker.contract import EncodeTask, Failure, ReferenceRow, SegmentRow

OnEvent = Callable[[str, dict[str, Any]], None]
OnLog = Callable[[str, str], None]
OnSegment = Callable[[SegmentRow], None]


@dataclass(slots=True, eq=False)
class Account:
    """What goes wrong with the leases of one of them is held against it alone: a recording that kills every
    worker costs the others none of theirs."""

    on_event: OnEvent
    on_log: OnLog
    strikes: Strikes = field(default_factory=Strikes)
    restarts: Restarts = field(default_factory=Restarts)
    deaths: list[str] = field(default_factory=list)
    given_up: Failure | None = None


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
        return self.error is not None or (not self.waiting and all(held.moot for held in self.out))

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

    def keep_reference(self, held: Held, row: ReferenceRow) -> None:
        held.encoded.add((row.task, row.speaker))
        self.outcome.references[row.speaker] = row

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

    def put_back(self, first: Iterable[Lease], last: Iterable[Lease]) -> None:
        """What a slot did not finish: to be done next, and when there is nothing else."""
        self.waiting.extendleft(first)
        self.waiting.extend(last)

    def _call(self, listener: Callable[[], None]) -> None:
        """An error of whoever is told is its own, not the pool's."""
        if self.error is None:
            try:
                listener()
            except Exception as error:
                self.end(error)


def write_payload(path: Path, payload: bytes) -> Failure | None:
    """The file of a row that came as bytes, whole or not at all; why it could not be written."""
    try:
        write_unsynced(path, payload)
    except OSError as error:
        return write_failure(path, error)
    return None
