"""Launchers of workers on the nodes of a Ray cluster: speech workers and analysis workers, for the same pool.

The coordinator decides and keeps the files; a worker is an actor on some node that holds a worker process there.
All that passes between them travels as bytes. Ray is imported where it is used.
"""

from __future__ import annotations

import secrets
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from voiceclone_cli.analysis.remote import local_launcher
from voiceclone_cli.cluster.connection import connected
from voiceclone_cli.cluster.node import path_hints, weights
from voiceclone_cli.cluster.nodes import (
    Node,
    NodeFinding,
    NodeProber,
    Nodes,
    NodeShare,
    analysis_shares,
    node_shares,
    on_node,
)
from voiceclone_cli.cluster.transfer import FileStore, sweep_node_caches
from voiceclone_cli.cluster.worker import RayWorker, WorkerActor
from voiceclone_cli.config import Settings
from voiceclone_cli.engines.select import EngineChoice
from voiceclone_cli.errors import PreflightError
from voiceclone_cli.types import Progress, ProgressEvent, no_progress
from voiceclone_cli.workers.protocol import Inbox, Worker
from voiceclone_worker.engines import ENGINES

ABSENT_SECONDS = 60.0
"""Without any fit node, times the time-out scale, before the run gives up."""

PENDING_SECONDS = 300.0
"""Time for a worker to start: its node may have no room for it, or lots to load."""

SWEEP_SECONDS = 3.0

_ADVICE = "`voiceclone doctor --executor ray` shows what each node has"


class RayLauncher:
    """Launcher on the cluster at ``settings.ray_address`` (None: a Ray of our own on this machine).

    ``engine`` is that of speech workers; None: analysis workers. ``languages``: BCP 47 tags that a node must be able to
    read before it gets speech workers; where none is known yet, a note says what a node lacks
    to read any that the engine was made for. ``sharing``: files that nodes see under the same
    path are read there. Connects when it is first asked for room. Any thread may ask.
    """

    def __init__(
        self,
        settings: Settings,
        engine: EngineChoice | None,
        *,
        languages: Sequence[str] = (),
        log_dir: Path | None = None,
        progress: Progress = no_progress,
        sharing: bool = True,
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._languages = languages
        self._log_dir = log_dir
        self._progress = progress
        self._sharing = sharing
        self.job = secrets.token_hex(4)
        """Name of the workers of this launcher on their nodes."""
        self._lock = threading.RLock()
        self._stack = ExitStack()
        self._nodes: Nodes | None = None
        self._store = FileStore(_put)
        self._workers: list[RayWorker] = []
        self._untidy: set[str] = set()
        """Nodes on which a worker was ended from outside: it could not remove its files."""
        self._absent_since: float | None = None
        self._notes: set[tuple[str, str]] = set()
        """What was said of nodes, by their ids: a node may be probed again."""
        self._closing = threading.Event()

    @property
    def workers(self) -> tuple[RayWorker, ...]:
        """The workers that have not ended."""
        return tuple(self._workers)

    def room(self) -> int:
        """As in ``Launcher``: the workers that the nodes which are fit now may have.

        Raises PreflightError: there is no cluster; or, for speech workers, no node was fit at the start, or for a
        long time now none has been.
        """
        with self._lock:
            return sum(share.workers for _, share in self._shares())

    @property
    def hopeless(self) -> bool:
        """Whether no node will do: each has a fault or lacks resources, or for a long time now none was there."""
        assert self._nodes is not None, "asked before room()"
        absent = self._absent_since is not None and self._seconds_absent() > self._absence_limit
        return bool(self._nodes.fit()) or self._nodes.all_unfit() or absent

    def start(self, name: str, number: int, inbox: Inbox) -> RayWorker:
        """As in ``Launcher``."""
        with self._lock:
            shares = self._shares()
            if not shares:
                raise self._no_node()
            nodes = [worker.node.id for worker in self._workers]
            node, share = min(shares, key=lambda each: nodes.count(each[0].id) / each[1].workers)
            name = f"{name} on {node.host}"
            worker = RayWorker(
                name,
                node,
                lambda: self._actor(name, number, node, share),
                self._store,
                inbox,
                self._log_dir / f"worker-{number}.log" if self._log_dir is not None else None,
                self._worker_ended,
            )
            self._workers.append(worker)
            return worker

    def close(self) -> None:
        """End what is left, clean the nodes and leave the cluster."""
        for worker in list(self._workers):
            worker.kill("the command has ended")
        self._closing.set()
        with self._lock:
            if self._nodes is not None:
                self._nodes.close()
                untidy = [node.id for node in self._nodes.fit() if node.id in self._untidy]
                # It asks the head, which may be silent.
                sweep = threading.Thread(target=_sweep, args=(untidy,), name="sweep", daemon=True)
                sweep.start()
                sweep.join(SWEEP_SECONDS)
                self._nodes = None
            self._stack.close()

    def _shares(self) -> list[tuple[Node, NodeShare]]:
        """Return the nodes that may have workers now, with their shares."""
        fit = {node.id: node for node in self._open().fit()}
        if self._engine is None:
            found = analysis_shares([*fit.values()], self._settings)
        else:
            found = node_shares(
                [*fit.values()], self._settings, takes_gpu=ENGINES[self._engine.name].uses_gpu
            )
        if found:
            self._absent_since = None
            return [(fit[key], share) for key, share in found.items()]
        self._absent_since = self._absent_since or time.monotonic()
        if self._engine is None:
            return []
        if fit:
            wanted = ", ".join(f"{name}={amount:g}" for name, amount in self._settings.ray_resources.items())
            raise PreflightError(
                f"no node of the Ray cluster offers {wanted}: start them with these resources, or correct "
                "VOICECLONE_RAY_RESOURCES",
                code="ray_resources",
            )
        if self._seconds_absent() > self._absence_limit:
            raise self._no_node()
        return []

    def _seconds_absent(self) -> float:
        return time.monotonic() - (self._absent_since or time.monotonic())

    @property
    def _absence_limit(self) -> float:
        return ABSENT_SECONDS * self._settings.timeout_scale

    def _open(self) -> Nodes:
        if self._nodes is not None:
            return self._nodes
        engine, known = "", {}
        if self._engine is not None:
            engine, known = self._engine.name, weights(self._engine)
            self._progress(ProgressEvent("note", 1, 1, note="connecting to Ray"))
        self._stack.enter_context(connected(self._settings.ray_address))
        try:
            folder = self._log_dir
            if folder is None or not folder.is_dir():
                folder = Path(tempfile.gettempdir())
            hints = path_hints(self._settings, self._engine)
            prober = NodeProber(engine, hints, known, folder, self._languages)
            nodes = Nodes(self._stack.enter_context(prober), self._report)
            nodes.await_survey()
            if self._engine is not None and not nodes.fit():
                nodes.close()
                raise PreflightError(f"{nodes.complaint()}; {_ADVICE}", code="ray_no_node")
        except BaseException:
            self._stack.close()
            raise
        self._nodes = nodes
        threading.Thread(target=self._watch_starts, args=(nodes,), name="starts", daemon=True).start()
        return nodes

    def _report(self, finding: NodeFinding) -> None:
        """Note, once, why a node gets no workers, or which languages it cannot read where those of the lines are not known."""
        host, unread = finding.node.host, finding.answer.get("unread")
        if finding.fault is not None and self._engine is not None:
            note = f"the node {host} gets no worker: {finding.fault}"
        elif finding.fault is not None:
            note = f"the node {host} gets no analysis worker: {finding.fault}"
        elif unread and not self._languages:
            note = f"some lines may fail on the node {host}: {unread}"
        else:
            return
        if (finding.node.id, note) not in self._notes:
            self._notes.add((finding.node.id, note))
            self._progress(ProgressEvent("note", 1, 1, note=note))

    def _no_node(self) -> PreflightError:
        assert self._nodes is not None
        return PreflightError(f"{self._nodes.complaint()}; {_ADVICE}", code="ray_no_node")

    def _actor(self, name: str, number: int, node: Node, share: NodeShare) -> Any:
        import ray

        # Ray itself tries nothing again: what a lost worker held goes back to the pool.
        options = ray.remote(WorkerActor).options(
            num_cpus=share.cpus,
            num_gpus=share.gpus,
            resources=dict(self._settings.ray_resources) if self._engine is not None else {},
            scheduling_strategy=on_node(node.id),
            max_restarts=0,
            max_task_retries=0,
            max_concurrency=4,
        )
        return options.remote(
            name=name,
            number=number,
            engine=self._engine.name if self._engine is not None else "",
            hints=path_hints(self._settings, self._engine),
            threads=share.threads,
            job=self.job,
            sharing=self._sharing,
        )

    def _worker_ended(self, worker: RayWorker, reason: str, node_lost: bool) -> None:
        nodes = self._nodes
        if worker in self._workers:
            self._workers.remove(worker)
        self._untidy.add(worker.node.id)
        if nodes is None:
            return
        if worker.unfit:
            nodes.exclude(worker.node, reason)
            self._report(NodeFinding(worker.node, {}, reason))
        elif node_lost:
            nodes.probe_again(worker.node)
        if worker.ready:
            nodes.record_start(worker.node)
        elif worker.never_started or not node_lost:
            nodes.record_start_failure(worker.node, reason)

    def _watch_starts(self, nodes: Nodes) -> None:
        """Give up workers that cannot be started: they must not be waited for without end."""
        while not self._closing.wait(1.0):
            for worker in [worker for worker in self._workers if not worker.ready]:
                if nodes.head_is_silent():
                    worker.lose("the head of the Ray cluster does not answer")
                elif time.monotonic() - worker.began > PENDING_SECONDS * self._settings.timeout_scale:
                    worker.lose("its node had no room to start it")


class AnalysisLauncher:
    """Launcher of analysis workers on the nodes of a cluster; on this machine where no node can do it.

    Nothing is connected or started before the first ``room``.
    """

    def __init__(self, settings: Settings, progress: Progress) -> None:
        self._nodes = RayLauncher(settings, None, progress=progress)
        self._local = local_launcher(1)
        self._progress = progress

    def room(self) -> int:
        """As in ``Launcher``. Raises PreflightError where there is no cluster."""
        room = self._nodes.room()
        return 1 if room == 0 and self._nodes.hopeless else room

    def start(self, name: str, number: int, inbox: Inbox) -> Worker:
        """As in ``Launcher``."""
        if self._nodes.room() > 0:
            return self._nodes.start(name, number, inbox)
        note = "no node of the Ray cluster can analyze recordings: this machine does"
        self._progress(ProgressEvent("note", 1, 1, note=note))
        return self._local.start(name, number, inbox)

    def close(self) -> None:
        """As in ``Launcher``."""
        self._nodes.close()


def _sweep(nodes: Sequence[str]) -> None:
    """Remove the files of workers that were ended from outside."""
    import ray

    sweep = ray.remote(sweep_node_caches)
    sweeps = [
        sweep.options(num_cpus=0, max_retries=0, scheduling_strategy=on_node(key)).remote() for key in nodes
    ]
    if sweeps:
        ray.wait(sweeps, num_returns=len(sweeps), timeout=SWEEP_SECONDS)


def _put(data: Any) -> Any:
    import ray

    return ray.put(data)
