"""Workers on the nodes of a Ray cluster: the actor that holds a worker process there, and its driver here."""

from __future__ import annotations

import os
import queue
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from voiceclone_cli.analysis.remote import AnalysisFiles, analysis_command
from voiceclone_cli.cluster import transfer
from voiceclone_cli.cluster.analysis import node_analysis, portable_request
from voiceclone_cli.cluster.node import node_engine, node_spec
from voiceclone_cli.cluster.nodes import Node
from voiceclone_cli.errors import VoicecloneError
from voiceclone_cli.workers import protocol
from voiceclone_cli.workers.process import BoundedLog, TaskFiles, WorkerProcess, worker_command
from voiceclone_cli.workers.recovery import row_name
from voiceclone_worker.protocol import ReferenceRow, Result, SegmentRow, Task

MAX_WAITING = 1_000
"""Reports that may wait for the coordinator; then the worker does."""

MAX_POLL_BYTES = 8 * 2**20
"""Bytes of files in one answer to the coordinator."""

MAX_POLL_REPORTS = 500

Report = tuple[Any, ...]
"""What an actor reports to the coordinator:

    ("started", pid of the actor, pid of its worker)
    ("event", event in the coordinator's names, contents of the file of its row or None)
    ("log", line)
    ("fetched", number of contents that were taken out of the object store)
    ("result", Result, peak memory in MB or None)
    ("exited", one sentence, whether the node is unfit): the worker has ended, or cannot be started
"""


class WorkerActor:
    """Actor that holds a worker process on a node.

    Its methods are called by one coordinator, several at a time: ``poll`` waits, the others are quick.
    ``engine`` "": an analysis worker. ``job`` is a name for the workers of this command, the same for all.
    """

    def __init__(
        self,
        name: str,
        number: int,
        engine: str,
        hints: Mapping[str, str],
        threads: int,
        job: str,
        sharing: bool,
    ) -> None:
        self._name, self._number, self._engine = name, number, engine
        self._hints, self._threads, self._job, self._sharing = hints, threads, job, sharing
        self._inbox: queue.SimpleQueue[protocol.Message] = queue.SimpleQueue()
        self._reports: queue.Queue[Report] = queue.Queue(MAX_WAITING)
        self._worker: WorkerProcess | None = None
        self._leases: dict[int, transfer.NodeLease] = {}
        """By their number: the present lease and the one before, of which an event may still be on its way."""
        self._unfit: str | None = None
        # A worker ends with the thread that started it: this one lives as long as the actor does.
        threading.Thread(target=self._run, name="worker", daemon=True).start()

    def poll(self, seconds: float) -> list[Report]:
        """Return all reports that wait; [] when there are none within ``seconds``."""
        try:
            reports = [self._reports.get(timeout=seconds)]
        except queue.Empty:
            return []
        size = _size(reports[0])
        while len(reports) < MAX_POLL_REPORTS and size < MAX_POLL_BYTES:
            try:
                reports.append(self._reports.get_nowait())
            except queue.Empty:
                break
            size += _size(reports[-1])
        return reports

    def give(self, number: int, payload: transfer.Payload) -> None:
        """Write the files of a lease and give it to the worker; ``number`` counts this worker's leases from 1."""
        assert self._worker is not None, "the coordinator waits for the worker's start"
        try:
            before = self._cache.fetched
            lease = transfer.unpack_payload(
                payload, self._folder / str(number), self._cache.fetch, self._convert
            )
            if self._cache.fetched > before:
                self._reports.put(("fetched", self._cache.fetched - before))
            self._leases = {n: kept for n, kept in self._leases.items() if n >= number - 1} | {number: lease}
            self._worker.give(lease.lease)
        except Exception as error:
            # The coordinator does not wait for this call: the worker's end is the report.
            if isinstance(error, VoicecloneError):
                self._unfit = error.message
            self._worker.kill(f"a lease could not be written on its node ({_sentence(error)})")

    def finish(self) -> None:
        """As in ``Worker``."""
        if self._worker is not None:
            self._worker.finish()

    def _run(self) -> None:
        try:
            self._start()
        except (VoicecloneError, OSError) as error:
            self._reports.put(("exited", f"{self._name} cannot be started: {_sentence(error)}", False))
            return
        while self._take_message():
            pass

    def _start(self) -> None:
        self._cache = transfer.NodeCache(self._job, _node_id(), _get, sharing=self._sharing)
        self._folder = Path(tempfile.mkdtemp(prefix=f"worker-{self._number}-", dir=self._cache.folder))
        if self._engine:
            self._choice = node_engine(self._engine, self._hints)
            command, task_files = worker_command(self._choice.python, threads=self._threads), TaskFiles
        else:
            command, task_files = analysis_command(), AnalysisFiles
        self._worker = WorkerProcess(
            self._name, command.numbered(self._number), self._inbox, task_files(self._folder, keep=False)
        )
        self._reports.put(("started", os.getpid(), self._worker.pid))

    def _convert(self, task: Task | protocol.AnalysisTask) -> Task | protocol.AnalysisTask:
        """Return a task adapted to this node. Raises PreflightError where the node lacks its models."""
        if isinstance(task, protocol.AnalysisTask):
            task = node_analysis(task, self._hints, self._threads)
            return replace(task, samples=_get(task.samples))
        return replace(task, engine=node_spec(task.engine, self._choice, self._threads))

    def _take_message(self) -> bool:
        """Report the next message; False after the last."""
        message = self._inbox.get()
        match message:
            case protocol.EventMessage(worker, event):
                worker.taken(message)
                self._report_event(event)
            case protocol.LogMessage(worker, line):
                worker.taken(message)
                self._reports.put(("log", line))
            case protocol.ResultMessage(worker, result):
                worker.release()
                self._report_result(result, worker.peak_mb())
            case protocol.WorkerExited(_, reason):
                shutil.rmtree(self._folder, ignore_errors=True)
                self._cache.close()
                self._reports.put(("exited", self._unfit or reason, self._unfit is not None))
                return False
        return True

    def _report_event(self, event: dict[str, Any]) -> None:
        name, lease = transfer.event_row_name(event), self._leases.get(event.get("lease", 0))
        if name is None or lease is None or name not in lease.outputs:
            self._reports.put(("event", event, None))
            return
        done = event.get("status") == "done"
        payload = _take(lease.outputs[name]) if done else None
        self._reports.put(("event", lease.event(event, done=done), payload))

    def _report_result(self, result: Result, peak_mb: int | None) -> None:
        lease = self._leases.get(result.lease)
        if lease is None:
            self._reports.put(("result", result, peak_mb))
            return
        result = lease.result(result)
        rows: list[SegmentRow | ReferenceRow] = [*result.segments, *result.references]
        for row in rows:
            # Its event was torn, or is still on its way: the file travels with the result at the latest.
            output = lease.outputs.get(row_name(row)) if row.status == "done" else None
            payload = _take(output) if output is not None else None
            if payload is not None:
                event = "encoded" if isinstance(row, ReferenceRow) else "segment_done"
                self._reports.put(("event", {"event": event, **asdict(row), "lease": result.lease}, payload))
        self._reports.put(("result", result, peak_mb))
        shutil.rmtree(lease.folder, ignore_errors=True)


def _take(file: Path) -> bytes | None:
    """Return the contents of a row's file, once: it leaves this node with it."""
    try:
        data = file.read_bytes()
        file.unlink()
    except OSError:
        return None
    return data


def _size(report: Report) -> int:
    return len(report[2]) if report[0] == "event" and report[2] is not None else 0


def _sentence(error: Exception) -> str:
    return error.message if isinstance(error, VoicecloneError) else " ".join(str(error).split())[:300]


def _node_id() -> str:
    import ray

    return str(ray.get_runtime_context().get_node_id())


def _get(box: Any) -> Any:
    import ray

    return ray.get(box)


POLL_SECONDS = 1.0
"""An actor without reports answers after this long."""

MAX_LOST_POLLS = 20
"""Polls of POLL_SECONDS without any answer after which a node is given up."""

MAX_UNREAD = 500
"""Events, files among them, that may wait for the pool."""


class RayWorker:
    """Driver of a worker process on ``node``, which the actor that ``make`` creates holds there.

    The actor is not waited for here, since creating it asks the head. ``on_end`` is called with the end of the
    worker, its reason, and whether the node was lost, before the inbox gets it.
    """

    def __init__(
        self,
        name: str,
        node: Node,
        make: Callable[[], Any],
        store: transfer.FileStore,
        inbox: protocol.Inbox,
        log: Path | None,
        on_end: Callable[[RayWorker, str, bool], None],
    ) -> None:
        self.name = name
        self.node = node
        self.last_event = time.monotonic()
        self.ready = False
        self.never_started = False
        """Whether Ray could not even start it."""
        self.unfit = False
        """Whether its node lacks what a lease needs."""
        self.fetched = 0
        """Contents that its node has taken out of the object store for it."""
        self.actor_pid: int | None = None
        self.worker_pid: int | None = None
        self.began = time.monotonic()
        self._make = make
        self._actor: Any = None
        self._store = store
        self._inbox = inbox
        self._log = log
        self._on_end = on_end
        self._leases = 0
        self._peak_mb: int | None = None
        self._unread = threading.Semaphore(MAX_UNREAD)
        self._ended = threading.Event()
        self._ending = threading.Lock()
        self._thread = threading.Thread(target=self._follow, name=name, daemon=True)
        self._thread.start()

    def give(self, lease: protocol.Lease) -> int:
        """As in ``Worker``."""
        protocol.make_folders(lease)  # files come back as bytes, and nothing on its node writes here
        self._leases += 1
        tasks = tuple(
            replace(task, request=portable_request(task.request), samples=self._store.put(task.samples))
            if isinstance(task, protocol.AnalysisTask)
            else task
            for task in lease.tasks
        )
        payload = transfer.pack_payload(replace(lease, tasks=tasks), self._store.content)
        self._actor.give.remote(self._leases, payload)
        return self._leases

    def release(self) -> None:
        """Do nothing: the node removes its files by itself."""

    def taken(self, message: protocol.Message) -> None:
        """As in ``Worker``."""
        if isinstance(message, protocol.EventMessage):
            self._unread.release()

    def peak_mb(self) -> int | None:
        """As in ``Worker``."""
        return self._peak_mb

    def finish(self) -> None:
        """As in ``Worker``."""
        if self.ready:
            self._actor.finish.remote()
        else:
            self._end(f"{self.name} was not needed", node_lost=True)

    def kill(self, reason: str) -> None:
        """As in ``Worker``."""
        self._end(f"{self.name} was ended: {reason}", node_lost=False)

    def lose(self, why: str) -> None:
        """Give the worker up because its node is lost or cannot be reached."""
        self._end(f"{self.name} was lost: {why}", node_lost=True)

    def wait(self, seconds: float) -> bool:
        """As in ``Worker``."""
        return self._ended.wait(seconds)

    def _follow(self) -> None:
        """Fetch reports and pass them on until the end."""
        from ray.exceptions import RayError

        with closing(BoundedLog(self._log)) as log:
            try:
                self._actor = self._make()
                while not self._ended.is_set():
                    for report in self._poll():
                        self._take_report(report, log)
            except RayError as error:
                self.never_started = not self.ready
                self.lose(_why(error))
        self._release_actor()

    def _poll(self) -> list[Report]:
        """Return the next reports; [] when it has ended, or there are none yet. Raises RayError."""
        import ray
        from ray.exceptions import GetTimeoutError

        pending = self._actor.poll.remote(POLL_SECONDS)
        silent = 0
        while not self._ended.is_set():
            try:
                reports: list[Report] = ray.get(pending, timeout=POLL_SECONDS)
            except GetTimeoutError:
                # Counted, not timed: this process itself may have been suspended meanwhile.
                silent += 1
                if self.ready and silent > MAX_LOST_POLLS:
                    self.lose("its node gives no sign of life")
                continue
            self.last_event = time.monotonic() if reports else self.last_event
            return reports
        return []

    def _take_report(self, report: Report, log: BoundedLog) -> None:
        match report:
            case ("started", actor_pid, worker_pid):
                self.actor_pid, self.worker_pid = actor_pid, worker_pid
                self.ready = True
                self._put(None)
            case ("event", event, payload):
                self._unread.acquire()
                self._put(protocol.EventMessage(self, event, payload))
            case ("log", line):
                log.write(f"{line}\n".encode())
                self._put(protocol.LogMessage(self, line))
            case ("fetched", contents):
                self.fetched += contents
            case ("result", result, peak_mb):
                self._peak_mb = max(self._peak_mb or 0, peak_mb or 0) or None
                self._put(protocol.ResultMessage(self, result))
            case ("exited", reason, unfit):
                self.unfit = unfit
                self._end(reason, node_lost=unfit)

    def _put(self, message: protocol.Message) -> None:
        with self._ending:
            if not self._ended.is_set():
                self._inbox.put(message)

    def _end(self, reason: str, *, node_lost: bool) -> None:
        """End the worker, the first time; no message of it follows."""
        with self._ending:
            if self._ended.is_set():
                return
            self._ended.set()
        self._on_end(self, reason, node_lost)
        self._inbox.put(protocol.WorkerExited(self, reason, node_lost))
        if node_lost or self._actor is None or threading.current_thread() is self._thread:
            return  # the thread that follows it releases the actor
        # At once, and by another thread: it asks the head, which may be silent.
        threading.Thread(target=self._release_actor, name=f"{self.name} release", daemon=True).start()

    def _release_actor(self) -> None:
        import ray

        try:
            ray.kill(self._actor, no_restart=True)
        except Exception:
            return  # it has ended, or the connection has; actors end with their command's connection


def _why(error: Exception) -> str:
    """Return one clause for what Ray says in many lines."""
    from ray.exceptions import ActorDiedError, ActorUnavailableError, ActorUnschedulableError

    match error:
        case ActorUnschedulableError():
            return "its node was lost, or offers too little"
        case ActorUnavailableError():
            return "its node cannot be reached any more"
        case ActorDiedError():
            return "its node or its actor has ended"
    return f"Ray failed ({type(error).__name__})"
