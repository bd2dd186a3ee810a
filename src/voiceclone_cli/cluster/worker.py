"""The controller's side of a slot on a node."""

from __future__ import annotations

import os
import queue
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from voiceclone_cli.cluster.node import node_engine, node_spec
from voiceclone_cli.cluster.nodes import Node
from voiceclone_cli.cluster.transfer import (
    FileStore,
    NodeCache,
    Payload,
    UnpackedFiles,
    pack_payload,
    row_name,
    unpack_payload,
)
from voiceclone_cli.errors import VoicecloneError
from voiceclone_cli.workers.process import BoundedLog, TaskFiles, WorkerProcess, worker_command
from voiceclone_cli.workers.protocol import (
    EventMessage,
    Inbox,
    Lease,
    LogMessage,
    Message,
    ResultMessage,
    WakeMessage,
    WorkerExited,
    make_folders,
)
from voiceclone_cli.workers.recovery import RowName
from voiceclone_worker.protocol import ReferenceRow, Result, SegmentRow, event_line, parse_event

# What a slot's actor is told at its start, and what it tells the controller.


@dataclass(frozen=True, slots=True)
class WorkerSetup:
    """What an actor is told at its start."""

    name: str
    """Of the slot, for its diagnoses."""
    number: int
    engine: str
    hints: Mapping[str, str]
    """See ``here.settings_here``."""
    threads: int
    job: str
    """A name for the slots of this command, the same for all."""
    sharing: bool


@dataclass(frozen=True, slots=True)
class StartReport:
    """The worker runs."""

    pid: int
    """The actor's."""
    worker_pid: int


@dataclass(frozen=True, slots=True)
class EventReport:
    """An event of the worker's, in the controller's words; ``payload`` is the file of the row it tells of."""

    event: dict[str, Any]
    payload: bytes | None = None


@dataclass(frozen=True, slots=True)
class LogReport:
    line: str


@dataclass(frozen=True, slots=True)
class FetchReport:
    """So many contents were taken out of the object store."""

    contents: int


@dataclass(frozen=True, slots=True)
class ResultReport:
    result: Result
    peak_mb: int | None


@dataclass(frozen=True, slots=True)
class ExitReport:
    """The worker has ended, or could not be started; nothing follows. ``reason`` is one sentence."""

    reason: str


Report = StartReport | EventReport | LogReport | FetchReport | ResultReport | ExitReport


# A slot on a node: an actor that holds a worker process there, and speaks for it to the controller.


MOST_UNTOLD = 1_000
"""Reports that may wait for the controller; then the worker does."""

MOST_BYTES = 8 * 2**20
"""Of files in one answer to the controller."""

MOST_REPORTS = 500
"""In one answer."""


class WorkerActor:
    """Its methods are called by one controller, several at a time: ``poll`` waits, the others are quick."""

    def __init__(self, setup: WorkerSetup) -> None:
        self._setup = setup
        self._inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._reports: queue.Queue[Report] = queue.Queue(MOST_UNTOLD)
        self._worker: WorkerProcess | None = None
        self._held: dict[int, UnpackedFiles] = {}
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

    def give(self, number: int, parcel: Payload) -> None:
        """Lay a lease down here and hand it to the worker; ``number`` counts this slot's leases from 1."""
        assert self._worker is not None, "the controller waits for the worker's start"
        try:
            before = self._shelf.fetched
            held = unpack_payload(parcel, self._folder / str(number), self._shelf.place, self._spec)
            if self._shelf.fetched > before:
                self._reports.put(FetchReport(self._shelf.fetched - before))
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
            self._reports.put(ExitReport(f"{self._setup.name} cannot be started: {_sentence(error)}"))
            return
        while self._hear():
            pass

    def _start(self) -> None:
        setup = self._setup
        choice = node_engine(setup.engine, setup.hints)
        self._spec = node_spec(choice, setup.threads)
        self._shelf = NodeCache(setup.job, _node_id(), _get, sharing=setup.sharing)
        self._folder = Path(tempfile.mkdtemp(prefix=f"slot-{setup.number}-", dir=self._shelf.folder))
        command = worker_command(choice.python, threads=setup.threads).numbered(setup.number)
        task_files = TaskFiles(self._folder, keep=False)
        self._worker = WorkerProcess(setup.name, command, self._inbox, task_files)
        self._reports.put(StartReport(os.getpid(), self._worker.pid))

    def _hear(self) -> bool:
        """Pass one message on; False after the last."""
        message = self._inbox.get()
        match message:
            case EventMessage(worker, event):
                worker.taken(message)
                self._tell(event)
            case LogMessage(worker, line):
                worker.taken(message)
                self._reports.put(LogReport(line))
            case ResultMessage(worker, result):
                worker.answered()
                self._answer(result, worker.peak_mb())
            case WorkerExited(_, reason):
                shutil.rmtree(self._folder, ignore_errors=True)
                self._shelf.close()
                self._reports.put(ExitReport(reason))
                return False
        return True

    def _tell(self, event: dict[str, Any]) -> None:
        name, held = row_name(event), self._held.get(event.get("lease", 0))
        if name is None or held is None or name not in held.files:
            self._reports.put(EventReport(event))
            return
        payload = _take(held.files[name]) if event.get("status") == "done" else None
        self._reports.put(EventReport(held.told(event, file=event.get("status") == "done"), payload))

    def _answer(self, result: Result, peak_mb: int | None) -> None:
        held = self._held.get(result.lease)
        if held is None:
            self._reports.put(ResultReport(result, peak_mb))
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
                    self._reports.put(EventReport(_event(event, row, result.lease), payload))
        self._reports.put(ResultReport(answer, peak_mb))
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
    return len(report.payload) if isinstance(report, EventReport) and report.payload is not None else 0


def _sentence(error: Exception) -> str:
    return error.message if isinstance(error, VoicecloneError) else " ".join(str(error).split())[:300]


def _node_id() -> str:
    import ray

    return str(ray.get_runtime_context().get_node_id())


def _get(box: Any) -> bytes:
    import ray

    data: bytes = ray.get(box)
    return data


POLL_SECONDS = 1.0
"""An actor that has nothing to tell says so after this long."""

LOST_POLLS = 20
"""So many times POLL_SECONDS without any answer, and its node is given up."""

MOST_UNREAD = 500
"""Events, files among them, that may wait for the pool."""


class RayWorker:
    """A worker process on ``node``, held there by the actor that ``make`` makes; that is not waited for here, since
    it asks the head. ``on_end`` hears of its end, why, and whether that is to nobody's blame, before the inbox
    does."""

    def __init__(
        self,
        name: str,
        node: Node,
        make: Callable[[], Any],
        depot: FileStore,
        inbox: Inbox,
        log: Path | None,
        on_end: Callable[[RayWorker, str, bool], None],
    ) -> None:
        self.name = name
        self.node = node
        self.last_event = time.monotonic()
        self.ready = False
        self.stillborn = False
        """Whether Ray could not even start it."""
        self.fetched = 0
        """Contents that its node has taken out of the object store for it."""
        self.actor_pid: int | None = None
        self.worker_pid: int | None = None
        self._make = make
        self._actor: Any = None
        self._depot = depot
        self._inbox = inbox
        self._log = log
        self._on_end = on_end
        self._leases = 0
        self._peak_mb: int | None = None
        self._unread = threading.Semaphore(MOST_UNREAD)
        self._ended = threading.Event()
        self._ending = threading.Lock()
        self.began = time.monotonic()
        self._thread = threading.Thread(target=self._follow, name=name, daemon=True)
        self._thread.start()

    def give(self, lease: Lease) -> int:
        make_folders(lease)  # files come back as bytes, and nothing on its node writes here
        self._leases += 1
        self._actor.give.remote(self._leases, pack_payload(lease, self._depot.content))
        return self._leases

    def answered(self) -> None:
        """Its node clears away by itself."""

    def taken(self, message: Message) -> None:
        if isinstance(message, EventMessage):
            self._unread.release()

    def peak_mb(self) -> int | None:
        return self._peak_mb

    def finish(self) -> None:
        if self.ready:
            self._actor.finish.remote()
        else:
            self._end(f"{self.name} was not needed", node_lost=True)

    def kill(self, reason: str) -> None:
        self._end(f"{self.name} was ended: {reason}", node_lost=False)

    def lose(self, why: str) -> None:
        """Its node has gone, or cannot be reached: nothing that it did is to blame."""
        self._end(f"{self.name} was lost: {why}", node_lost=True)

    def wait(self, seconds: float) -> bool:
        return self._ended.wait(seconds)

    # ------------------------------------------------------------------------------ following

    def _follow(self) -> None:
        """Until its end: ask for what there is to tell, and pass it on."""
        from ray.exceptions import RayError

        with BoundedLog(self._log) as log:
            try:
                self._actor = self._make()
                while not self._ended.is_set():
                    for report in self._polled():
                        self._hear(report, log)
            except RayError as error:
                self.stillborn = not self.ready
                self.lose(_why(error))
        self._release()

    def _polled(self) -> list[Report]:
        """[] too when it has ended, or nothing is known yet. Raises RayError."""
        import ray
        from ray.exceptions import GetTimeoutError

        asked = self._actor.poll.remote(POLL_SECONDS)
        silent = 0
        while not self._ended.is_set():
            try:
                reports: list[Report] = ray.get(asked, timeout=POLL_SECONDS)
            except GetTimeoutError:
                # Counted, not timed: this process itself may have been suspended meanwhile.
                silent += 1
                if self.ready and silent > LOST_POLLS:
                    self.lose("its node gives no sign of life")
                continue
            self.last_event = time.monotonic() if reports else self.last_event
            return reports
        return []

    def _hear(self, report: Report, log: BoundedLog) -> None:
        match report:
            case StartReport(pid, worker_pid):
                self.actor_pid, self.worker_pid = pid, worker_pid
                self.ready = True
                self._put(WakeMessage())
            case EventReport(event, payload):
                self._unread.acquire()
                self._put(EventMessage(self, event, payload))
            case LogReport(line):
                log.write(f"{line}\n".encode())
                self._put(LogMessage(self, line))
            case FetchReport(contents):
                self.fetched += contents
            case ResultReport(result, peak_mb):
                self._peak_mb = max(self._peak_mb or 0, peak_mb or 0) or None
                self._put(ResultMessage(self, result))
            case ExitReport(reason):
                self._end(reason, node_lost=False)

    def _put(self, message: Message) -> None:
        with self._ending:
            if not self._ended.is_set():
                self._inbox.put(message)

    def _end(self, reason: str, *, node_lost: bool) -> None:
        """Once, by whoever is first: the pool hears nothing of it after this."""
        with self._ending:
            if self._ended.is_set():
                return
            self._ended.set()
        self._on_end(self, reason, node_lost)
        self._inbox.put(WorkerExited(self, reason, node_lost))
        if node_lost or self._actor is None or threading.current_thread() is self._thread:
            return  # the thread that follows it lets go of the actor
        # At once, and by another thread: it asks the head, which may be silent.
        threading.Thread(target=self._release, name=f"{self.name} release", daemon=True).start()

    def _release(self) -> None:
        import ray

        try:
            ray.kill(self._actor, no_restart=True)
        except Exception:
            return  # it is gone, or the connection is; actors end with their command's connection


def _why(error: Exception) -> str:
    """One clause for what Ray says in many lines."""
    from ray.exceptions import ActorDiedError, ActorUnavailableError, ActorUnschedulableError

    match error:
        case ActorUnschedulableError():
            return "its node has gone, or offers too little"
        case ActorUnavailableError():
            return "its node cannot be reached any more"
        case ActorDiedError():
            return "its node or its actor has ended"
    return f"Ray failed ({type(error).__name__})"
