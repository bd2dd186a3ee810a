"""Starts slots on the nodes of a cluster."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from voiceclone_cli.cluster.connection import connected
from voiceclone_cli.cluster.node import path_hints, weights
from voiceclone_cli.cluster.nodes import (
    Node,
    NodeFinding,
    NodeProber,
    NodeRequirements,
    Nodes,
    NodeShare,
    node_shares,
    on_node,
    probing_folder,
)
from voiceclone_cli.cluster.transfer import FileStore, sweep_node_caches
from voiceclone_cli.cluster.worker import RayWorker, WorkerSetup
from voiceclone_cli.config import Settings
from voiceclone_cli.engines.select import EngineChoice
from voiceclone_cli.errors import PreflightError
from voiceclone_cli.types import Progress, ProgressEvent, no_progress
from voiceclone_cli.workers.protocol import Inbox
from voiceclone_worker.engines import ENGINES

ABSENT_SECONDS = 60.0
"""Without any node that is fit, times the patience that is set, before the run gives up."""

PENDING_SECONDS = 300.0
"""That a slot may take to start: its node may have no room for it, or lots to load."""

SWEEP_SECONDS = 3.0


class RayLauncher:
    """Connects when it is first asked for room. Any thread may ask."""

    def __init__(
        self,
        settings: Settings,
        engine: EngineChoice,
        *,
        log_dir: Path | None = None,
        progress: Progress = no_progress,
        sharing: bool = True,
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._log_dir = log_dir
        self._progress = progress
        self._sharing = sharing
        self.job = secrets.token_hex(4)
        """What the slots of this command are known by on their nodes."""
        self._lock = threading.RLock()
        self._stack = ExitStack()
        self._nodes: Nodes | None = None
        self._depot = FileStore(_put)
        self._slots: list[RayWorker] = []
        self._untidy: set[str] = set()
        """Nodes on which a slot was ended from outside: it could not take its files away."""
        self._absent_since: float | None = None
        self._closing = threading.Event()

    @property
    def slots(self) -> tuple[RayWorker, ...]:
        """Those that have not ended."""
        return tuple(self._slots)

    def room(self) -> int:
        """Slots that the nodes which are fit now may have. Raises PreflightError: there is no cluster, no node was fit
        at the start, or for a long time now none has been."""
        with self._lock:
            return sum(share.slots for _, share in self._places())

    def start(self, name: str, number: int, inbox: Inbox) -> RayWorker:
        with self._lock:
            places = self._places()
            if not places:
                raise self._nobody()
            held = [slot.node.id for slot in self._slots]
            node, share = min(places, key=lambda place: held.count(place[0].id) / place[1].slots)
            name = f"{name} on {node.host}"
            slot = RayWorker(
                name,
                node,
                lambda: self._actor(name, number, node, share),
                self._depot,
                inbox,
                self._log(number),
                self._ended,
            )
            self._slots.append(slot)
            return slot

    def close(self) -> None:
        """Ends what is left, clears the nodes and leaves the cluster."""
        for slot in list(self._slots):
            slot.kill("the command has ended")
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

    # ------------------------------------------------------------------------------ the cluster

    def _places(self) -> list[tuple[Node, NodeShare]]:
        """The nodes that may have slots now."""
        fit = {node.id: node for node in self._open().fit()}
        found = node_shares([*fit.values()], self._settings, takes_gpu=ENGINES[self._engine.name].uses_gpu)
        if found:
            self._absent_since = None
            return [(fit[key], share) for key, share in found.items()]
        now = time.monotonic()
        self._absent_since = self._absent_since or now
        if fit:
            asked = ", ".join(f"{name}={amount:g}" for name, amount in self._settings.ray_resources.items())
            raise PreflightError(
                f"no node of the Ray cluster offers {asked}: start them with these resources, or correct "
                "VOICECLONE_RAY_RESOURCES",
                code="ray_resources",
            )
        if now - self._absent_since > ABSENT_SECONDS * self._settings.timeout_scale:
            raise self._nobody()
        return []

    def _open(self) -> Nodes:
        if self._nodes is not None:
            return self._nodes
        self._progress(ProgressEvent("note", 1, 1, note="connecting to Ray"))
        self._stack.enter_context(connected(self._settings.ray_address))
        try:
            question = NodeRequirements(self._engine.name, path_hints(self._settings), weights(self._engine))
            prober = self._stack.enter_context(NodeProber(question, probing_folder(self._log_dir)))
            nodes = Nodes(prober, self._tell)
            nodes.await_survey()
            if not nodes.fit():
                nodes.close()
                raise PreflightError(f"{nodes.complaint()}; {_ADVICE}", code="ray_no_node")
        except BaseException:
            self._stack.close()
            raise
        self._nodes = nodes
        threading.Thread(target=self._look_after, args=(nodes,), name="slots", daemon=True).start()
        return nodes

    def _tell(self, finding: NodeFinding) -> None:
        """A node that gets no slot is worth a sentence."""
        if finding.fault is not None:
            note = f"the node {finding.node.host} gets no slot: {finding.fault}"
            self._progress(ProgressEvent("note", 1, 1, note=note))

    def _nobody(self) -> PreflightError:
        assert self._nodes is not None
        return PreflightError(f"{self._nodes.complaint()}; {_ADVICE}", code="ray_no_node")

    # ------------------------------------------------------------------------------ its slots

    def _actor(self, name: str, number: int, node: Node, share: NodeShare) -> Any:
        import ray

        from voiceclone_cli.cluster.worker import WorkerActor

        setup = WorkerSetup(
            name=name,
            number=number,
            engine=self._engine.name,
            hints=path_hints(self._settings),
            threads=share.threads,
            job=self.job,
            sharing=self._sharing,
        )
        # Nothing is tried again by Ray: what a lost slot held goes back to the pool.
        options = ray.remote(WorkerActor).options(
            num_cpus=share.cpus,
            num_gpus=share.gpus,
            resources=dict(self._settings.ray_resources),
            scheduling_strategy=on_node(node.id),
            max_restarts=0,
            max_task_retries=0,
            max_concurrency=4,
        )
        return options.remote(setup)

    def _ended(self, slot: RayWorker, reason: str, node_lost: bool) -> None:
        nodes = self._nodes
        if slot in self._slots:
            self._slots.remove(slot)
        self._untidy.add(slot.node.id)
        if nodes is None:
            return
        if node_lost:
            nodes.doubt(slot.node)
        if slot.ready:
            nodes.succeeded(slot.node)
        elif slot.stillborn or not node_lost:
            nodes.failed(slot.node, reason)

    def _log(self, number: int) -> Path | None:
        return self._log_dir / f"worker-{number}.log" if self._log_dir is not None else None

    def _look_after(self, nodes: Nodes) -> None:
        """A slot that cannot be started must not be waited for without end."""
        while not self._closing.wait(1.0):
            for slot in [slot for slot in self._slots if not slot.ready]:
                if nodes.head_is_silent():
                    slot.lose("the head of the Ray cluster does not answer")
                elif time.monotonic() - slot.began > PENDING_SECONDS * self._settings.timeout_scale:
                    slot.lose("its node had no room to start it")


def _sweep(nodes: Sequence[str]) -> None:
    """Slots that were ended from outside could not take their files away."""
    import ray

    sweep = ray.remote(sweep_node_caches)
    sweeps = [
        sweep.options(num_cpus=0, max_retries=0, scheduling_strategy=on_node(key)).remote() for key in nodes
    ]
    if sweeps:
        ray.wait(sweeps, num_returns=len(sweeps), timeout=SWEEP_SECONDS)


_ADVICE = "`voiceclone doctor --executor ray` shows what each node has"


def _put(data: bytes) -> Any:
    import ray

    return ray.put(data)


# Slots and ears on the nodes of a Ray cluster: workers of other machines, for the same pool.
#
# The controller (the process of the command) decides and keeps the files; a slot is an actor on some node that
# holds a worker process there. All that passes between them travels as bytes. Ray is imported where it is used.


@contextmanager
def open_launcher(
    settings: Settings,
    engine: EngineChoice,
    *,
    log_dir: Path | None = None,
    progress: Progress = no_progress,
    sharing: bool = True,
) -> Iterator[RayLauncher]:
    """A launcher of slots on the cluster at ``settings.ray_address`` (None: a Ray of our own on this machine).

    Nothing is connected before the first ``room`` or ``start``, which raise PreflightError where there is
    no cluster or no node of it is fit. ``sharing``: files that nodes see under the same path are read there.
    Leaving it ends the slots and the connection.
    """

    launcher = RayLauncher(settings, engine, log_dir=log_dir, progress=progress, sharing=sharing)
    try:
        yield launcher
    finally:
        launcher.close()
