"""A slot on a node: an actor that holds a worker process there, and speaks for it to the controller."""

from __future__ import annotations

import os
import queue
import shutil
import tempfile
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

from voiceclone_cli.cluster.depot import Shelf
from voiceclone_cli.cluster.here import engine_here, spec_here
from voiceclone_cli.cluster.parcel import Parcel, Unpacked, row_name, unpack
from voiceclone_cli.cluster.reports import Answered, Ended, Fetched, Logged, Report, Setup, Started, Told
from voiceclone_cli.errors import VoicecloneError
from voiceclone_cli.workers.held import RowName
from voiceclone_cli.workers.local.environment import worker_command
from voiceclone_cli.workers.local.process import WorkerProcess
from voiceclone_cli.workers.local.task_files import TaskFiles
from voiceclone_cli.workers.slot import EventMessage, GoneMessage, LogMessage, Message, ResultMessage
from voiceclone_worker.contract import ReferenceRow, Result, SegmentRow, event_line, parse_event

MOST_UNTOLD = 1_000
"""Reports that may wait for the controller; then the worker does."""

MOST_BYTES = 8 * 2**20
"""Of files in one answer to the controller."""

MOST_REPORTS = 500
"""In one answer."""


class SlotActor:
    """Its methods are called by one controller, several at a time: ``poll`` waits, the others are quick."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._reports: queue.Queue[Report] = queue.Queue(MOST_UNTOLD)
        self._worker: WorkerProcess | None = None
        self._held: dict[int, Unpacked] = {}
        """By their number: the lease in hand and the one before, of which an event may still be on its way."""
        # A worker ends with the thread that started it: this one lives as long as the actor does.
        threading.Thread(target=self._live, name="slot", daemon=True).start()

    def poll(self, seconds: float) -> list[Report]:
        """What there is to tell, all of it at once; [] when nothing happens within ``seconds``."""
        try:
            told = [self._reports.get(timeout=seconds)]
        except queue.Empty:
            return []
        size = _size(told[0])
        while len(told) < MOST_REPORTS and size < MOST_BYTES:
            try:
                told.append(self._reports.get_nowait())
            except queue.Empty:
                break
            size += _size(told[-1])
        return told

    def give(self, number: int, parcel: Parcel) -> None:
        """Lay a lease down here and hand it to the worker; ``number`` counts this slot's leases from 1."""
        assert self._worker is not None, "the controller waits for the worker's start"
        try:
            before = self._shelf.fetched
            held = unpack(parcel, self._folder / str(number), self._shelf.place, self._spec)
            if self._shelf.fetched > before:
                self._reports.put(Fetched(self._shelf.fetched - before))
            self._held = {n: kept for n, kept in self._held.items() if n >= number - 1} | {number: held}
            self._worker.give(held.lease)
        except Exception as error:
            # Nobody waits for this call's own answer: the worker's end is what tells.
            self._worker.kill(f"a lease could not be laid down on its node ({_sentence(error)})")

    def finish(self) -> None:
        """No more leases: the worker ends by itself when it has answered what it holds."""
        if self._worker is not None:
            self._worker.finish()

    # ------------------------------------------------------------------------------ the slot's life

    def _live(self) -> None:
        try:
            self._start()
        except (VoicecloneError, OSError) as error:
            self._reports.put(Ended(f"{self._setup.name} cannot be started: {_sentence(error)}"))
            return
        while self._hear():
            pass

    def _start(self) -> None:
        setup = self._setup
        choice = engine_here(setup.engine, setup.hints)
        self._spec = spec_here(choice, setup.threads)
        self._shelf = Shelf(setup.job, _node_id(), _get, sharing=setup.sharing)
        self._folder = Path(tempfile.mkdtemp(prefix=f"slot-{setup.number}-", dir=self._shelf.folder))
        command = worker_command(choice.python, threads=setup.threads).numbered(setup.number)
        task_files = TaskFiles(self._folder, keep=False)
        self._worker = WorkerProcess(setup.name, command, self._inbox, task_files)
        self._reports.put(Started(os.getpid(), self._worker.pid))

    def _hear(self) -> bool:
        """Pass one message on; False after the last."""
        message = self._inbox.get()
        match message:
            case EventMessage(worker, event):
                worker.taken(message)
                self._tell(event)
            case LogMessage(worker, line):
                worker.taken(message)
                self._reports.put(Logged(line))
            case ResultMessage(worker, result):
                worker.answered()
                self._answer(result, worker.peak_mb())
            case GoneMessage(_, reason):
                shutil.rmtree(self._folder, ignore_errors=True)
                self._shelf.close()
                self._reports.put(Ended(reason))
                return False
        return True

    def _tell(self, event: dict[str, Any]) -> None:
        name, held = row_name(event), self._held.get(event.get("lease", 0))
        if name is None or held is None or name not in held.files:
            self._reports.put(Told(event))
            return
        payload = _take(held.files[name]) if event.get("status") == "done" else None
        self._reports.put(Told(held.told(event, file=event.get("status") == "done"), payload))

    def _answer(self, result: Result, peak_mb: int | None) -> None:
        held = self._held.get(result.lease)
        if held is None:
            self._reports.put(Answered(result, peak_mb))
            return
        answer = held.answer(result)
        rows: list[tuple[str, RowName, SegmentRow | ReferenceRow]] = [
            *(("segment_done", (row.task, row.id), row) for row in answer.segments),
            *(("encoded", (reference.task, reference.speaker), reference) for reference in answer.references),
        ]
        for event, name, row in rows:
            # Its event was torn, or is still on its way: the file goes with the result at the latest.
            if row.status == "done" and name in held.files:
                payload = _take(held.files[name])
                if payload is not None:
                    self._reports.put(Told(_event(event, row, result.lease), payload))
        self._reports.put(Answered(answer, peak_mb))
        shutil.rmtree(held.folder, ignore_errors=True)


def _event(event: str, row: SegmentRow | ReferenceRow, lease: int) -> dict[str, Any]:
    """The event that a row would have been told by."""
    parsed = parse_event(event_line(event, **asdict(row), lease=lease))
    assert parsed is not None
    return parsed


def _take(file: Path) -> bytes | None:
    """What a row's file holds, once: it leaves this node with it."""
    try:
        data = file.read_bytes()
        file.unlink()
    except OSError:
        return None
    return data


def _size(report: Report) -> int:
    return len(report.payload) if isinstance(report, Told) and report.payload is not None else 0


def _sentence(error: Exception) -> str:
    return error.message if isinstance(error, VoicecloneError) else " ".join(str(error).split())[:300]


def _node_id() -> str:
    import ray

    return str(ray.get_runtime_context().get_node_id())


def _get(box: Any) -> bytes:
    import ray

    data: bytes = ray.get(box)
    return data
