"""The nodes of a cluster: their shares of the workers, the probe of each, and the watch while a run goes on."""

from __future__ import annotations

import math
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from voiceclone_cli import __version__
from voiceclone_cli.children import wait_in_steps
from voiceclone_cli.config import Settings


@dataclass(frozen=True, slots=True)
class Node:
    """A machine of the cluster, and what it offers."""

    id: str
    host: str
    cpus: float
    gpus: float = 0.0
    resources: Mapping[str, float] = field(default_factory=dict)
    """The custom ones."""


@dataclass(frozen=True, slots=True)
class NodeShare:
    """The workers of a node. ``threads``, ``cpus`` and ``gpus`` are those of each."""

    workers: int
    threads: int
    cpus: float
    gpus: float


def node_shares(nodes: Sequence[Node], settings: Settings, *, takes_gpu: bool) -> dict[str, NodeShare]:
    """Return the shares of the speech workers by node id, for those that get workers.

    As many in all as ``--workers`` says if it was given, else one for each GPU (where the engine takes one and the
    cluster has any), else one for each node. A node without CPUs (a head, often) is not for computing, unless no
    other has any; a node that lacks a resource of ``ray_resources`` gets nothing, and none more workers than its
    resources serve.
    """
    computing = _computing(nodes)
    on_gpus = takes_gpu and any(node.gpus > 0 for node in computing)
    fit = {node.id: node for node in computing if not on_gpus or node.gpus > 0}
    most = {node.id: _capacity(node, settings.ray_resources) for node in fit.values()}
    wanted = settings.workers if settings.sources["workers"] != "default" else None
    if wanted is not None:
        counts = _distributed(fit, most, wanted, on_gpus=on_gpus)
    else:
        counts = {key: min(max(1, int(node.gpus)) if on_gpus else 1, most[key]) for key, node in fit.items()}
    return {key: _share(fit[key], count, settings, on_gpus) for key, count in counts.items() if count}


def analysis_shares(nodes: Sequence[Node], settings: Settings) -> dict[str, NodeShare]:
    """Return the shares of the analysis workers by node id: one for each node that could have speech workers.

    It counts no CPU: speech workers may have taken all of them by now, and keep them until the end.
    """
    fit = [node for node in _computing(nodes) if _capacity(node, settings.ray_resources)]
    given = settings.sources["threads"] != "default"
    return {
        node.id: NodeShare(1, settings.threads if given else max(1, int(node.cpus)), 0.0, 0.0) for node in fit
    }


def _computing(nodes: Sequence[Node]) -> list[Node]:
    return [node for node in nodes if node.cpus > 0] or list(nodes)


def _capacity(node: Node, wanted: Mapping[str, float]) -> int:
    """Return how many workers the custom resources of a node serve."""
    each = [int(node.resources.get(name, 0.0) / amount) for name, amount in wanted.items() if amount > 0]
    return min(each, default=1_000_000)


def _distributed(
    nodes: Mapping[str, Node], most: Mapping[str, int], wanted: int, *, on_gpus: bool
) -> dict[str, int]:
    """Return how many workers each node gets: one by one, each to the node that has most left for it."""
    counts = dict.fromkeys(nodes, 0)
    for _ in range(wanted):
        with_room = [key for key in nodes if counts[key] < most[key]]
        if not with_room:
            break
        strength = {key: nodes[key].gpus if on_gpus else max(nodes[key].cpus, 1e-3) for key in with_room}
        counts[max(with_room, key=lambda key: strength[key] / (counts[key] + 1))] += 1
    return counts


def _share(node: Node, workers: int, settings: Settings, on_gpus: bool) -> NodeShare:
    computing = settings.threads if settings.sources["threads"] != "default" else node.cpus
    cpus = node.cpus / workers
    return NodeShare(
        workers=workers,
        threads=max(1, int(computing // workers)),
        # Ray counts in ten-thousandths; it would never assign more than a node has.
        cpus=float(int(cpus)) if cpus >= 1 else math.floor(cpus * 10_000) / 10_000,
        gpus=min(1.0, math.floor(node.gpus / workers * 10_000) / 10_000) if on_gpus else 0.0,
    )


PROBE_SECONDS = 60.0
"""Time for a node to answer: it imports what it has, and hashes a checkpoint the first time."""

SYSTEM_RESOURCES = ("CPU", "GPU", "memory", "object_store_memory")


@dataclass(frozen=True, slots=True)
class NodeFinding:
    """A node and its answer; ``fault`` is why it gets no workers, one clause, None where it is fit."""

    node: Node
    answer: Mapping[str, Any]
    fault: str | None


def nodes_of_cluster() -> list[Node]:
    """Return the nodes that are alive, ordered by their id."""
    import ray

    found = []
    rows: list[dict[str, Any]] = ray.nodes()
    for row in rows:
        if row["Alive"]:
            offered: Mapping[str, float] = row["Resources"]
            own = {
                name: amount
                for name, amount in offered.items()
                if name not in SYSTEM_RESOURCES and not name.startswith("node:")
            }
            host = str(row["NodeManagerHostname"])
            cpus, gpus = offered.get("CPU", 0.0), offered.get("GPU", 0.0)
            found.append(Node(str(row["NodeID"]), host, cpus, gpus, own))
    return sorted(found, key=lambda node: node.id)


def on_node(node_id: str) -> Any:
    """Return the scheduling strategy for one node and no other."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return NodeAffinitySchedulingStrategy(node_id, soft=False)


class NodeProber:
    """Compares nodes with the coordinator. A context manager.

    ``engine`` "" and ``weights`` {}: only the version counts. ``weights`` are the coordinator's, SHA-256 by file.
    ``languages``: BCP 47 tags that a node must be able to read.
    A small file lies in ``folder`` meanwhile, so that nodes can report whether they see that folder.
    """

    def __init__(
        self,
        engine: str,
        hints: Mapping[str, str],
        weights: Mapping[str, str],
        folder: Path,
        languages: Sequence[str] = (),
    ) -> None:
        import ray
        from ray import cloudpickle

        from voiceclone_cli.cluster import probe

        # By value: it must run where this package is missing, or another version.
        cloudpickle.register_pickle_by_value(probe)
        self._arguments = engine, dict(hints), list(languages)
        self._weights = weights
        self._examine = ray.remote(probe.examine_node)
        self._text = secrets.token_hex(16)
        self._file = folder / f".voiceclone-{self._text[:8]}.probe"

    def __enter__(self) -> NodeProber:
        """Write the file."""
        with suppress(OSError):  # then no node sees it, which is right
            self._file.write_text(self._text, encoding="ascii")
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the file."""
        with suppress(OSError):
            self._file.unlink(missing_ok=True)

    def start(self, node: Node) -> Any:
        """Start the probe of a node; return a reference to its answer."""
        examine = self._examine.options(num_cpus=0, max_retries=0, scheduling_strategy=on_node(node.id))
        return examine.remote(__version__, *self._arguments, str(self._file), self._text)

    def finding(self, node: Node, reference: Any) -> NodeFinding:
        """Return what the answer, which has arrived or is given up, says of the node."""
        import ray

        try:
            answer: Mapping[str, Any] = ray.get(reference, timeout=0)
        except Exception as error:
            said = " ".join(str(error).split())[:200]
            return NodeFinding(node, {}, f"it gave no answer ({type(error).__name__}: {said})")
        return NodeFinding(node, answer, node_fault(answer, self._weights))

    def survey(self, nodes: Sequence[Node]) -> list[NodeFinding]:
        """Return the findings of all nodes, within PROBE_SECONDS."""
        import ray

        pending = {node.id: self.start(node) for node in nodes}
        ray.wait(list(pending.values()), num_returns=len(pending), timeout=PROBE_SECONDS)
        return [self.finding(node, pending[node.id]) for node in nodes]


def node_fault(answer: Mapping[str, Any], weights: Mapping[str, str]) -> str | None:
    """Return why a node with this answer gets no workers; None where it is fit."""
    if answer.get("voiceclone") not in (None, __version__):
        return f"it has voiceclone {answer['voiceclone']}, and this command is {__version__}: install the same there"
    if answer.get("lack"):
        return str(answer["lack"])
    if answer.get("voiceclone") is None:
        return "voiceclone is not installed where its Ray runs: install the same version there"
    of_node = answer.get("weights", {})
    other = [name for name, sha256 in weights.items() if of_node.get(name) != sha256]
    if other:
        return (
            f"its {other[0]} differs from this command's (SHA-256), so it would sound different: copy the same "
            "model files there"
        )
    return None


CHECK_SECONDS = 1.0

HEAD_SILENCE = 10.0
"""Seconds without an answer from the head after which no worker is started."""

MAX_START_FAILURES = 3
"""In a row, before a node gets no more workers."""


class Nodes:
    """The nodes of a cluster while a run goes on, looked at every second by a thread.

    All methods answer at once. ``on_finding`` is called with each node once it has been probed, in that thread.
    """

    def __init__(self, prober: NodeProber, on_finding: Callable[[NodeFinding], None]) -> None:
        self._prober = prober
        self._on_finding = on_finding
        self._lock = threading.Lock()
        self._alive: dict[str, Node] = {}
        self._pending: dict[str, Any] = {}
        self._findings: dict[str, NodeFinding] = {}
        self._start_failures: dict[str, tuple[int, str]] = {}
        self._looked = time.monotonic()
        self._surveyed = threading.Event()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="nodes", daemon=True)
        self._thread.start()

    def await_survey(self) -> None:
        """Wait until every node that is there at the start has answered, or has had the time to."""
        wait_in_steps(self._surveyed.wait, PROBE_SECONDS + HEAD_SILENCE)

    def close(self) -> None:
        """End the watch."""
        self._ending.set()
        self._thread.join(2 * CHECK_SECONDS)

    def head_is_silent(self) -> bool:
        """Return whether the head has not answered for HEAD_SILENCE."""
        return time.monotonic() - self._looked > HEAD_SILENCE

    def fit(self) -> list[Node]:
        """Return the nodes that may get workers now; none while the head is silent."""
        with self._lock:
            if self.head_is_silent():
                return []
            return [
                node
                for key, node in self._alive.items()
                if key in self._findings and self._fault(key) is None
            ]

    def all_unfit(self) -> bool:
        """Return whether every node has answered and has a fault."""
        with self._lock:
            return all(key in self._findings and self._fault(key) is not None for key in self._alive)

    def complaint(self) -> str:
        """Return why no node is fit, for people."""
        with self._lock:
            if self.head_is_silent():
                return "the head of the Ray cluster does not answer any more"
            faults = [
                f"{node.host}: {self._fault(key) or 'it has not answered yet'}"
                for key, node in self._alive.items()
            ]
        shown = "; ".join(list(dict.fromkeys(faults))[:3])
        return f"no node of the Ray cluster can take a worker ({shown or 'none is there'})"

    def probe_again(self, node: Node) -> None:
        """Probe a node again before it gets another worker: one was lost there."""
        with self._lock:
            self._findings.pop(node.id, None)
            self._pending.pop(node.id, None)

    def exclude(self, node: Node, fault: str) -> None:
        """Give a node no more workers."""
        with self._lock:
            if finding := self._findings.get(node.id):
                self._findings[node.id] = replace(finding, fault=fault)

    def record_start_failure(self, node: Node, reason: str) -> None:
        """Note that a worker could not be started on a node."""
        with self._lock:
            self._start_failures[node.id] = (self._start_failures.get(node.id, (0, ""))[0] + 1, reason)

    def record_start(self, node: Node) -> None:
        """Note that a worker was started on a node."""
        with self._lock:
            self._start_failures.pop(node.id, None)

    def _fault(self, key: str) -> str | None:
        finding, (failures, reason) = self._findings.get(key), self._start_failures.get(key, (0, ""))
        if finding is not None and finding.fault is not None:
            return finding.fault
        return reason if failures >= MAX_START_FAILURES else None

    def _watch(self) -> None:
        began, pause = time.monotonic(), 0.0
        while not self._ending.wait(pause):
            # More often at first, while the survey is waited for.
            pause = min(CHECK_SECONDS, 0.1 + time.monotonic() - began)
            try:
                alive = {node.id: node for node in nodes_of_cluster()}
            except Exception:
                pause = CHECK_SECONDS  # the head is silent; `fit` sees for how long
                continue
            self._probe_new(alive)
            self._take_answers()
            with self._lock:
                complete = alive.keys() <= self._findings.keys()
            if complete or time.monotonic() - began > PROBE_SECONDS:
                self._surveyed.set()

    def _probe_new(self, alive: dict[str, Node]) -> None:
        with self._lock:
            self._looked = time.monotonic()
            self._alive = alive
            self._pending = {key: answer for key, answer in self._pending.items() if key in alive}
            self._findings = {key: found for key, found in self._findings.items() if key in alive}
            new = [node for key, node in alive.items() if key not in self._pending | self._findings]
        for node in new:
            answer = self._prober.start(node)
            with self._lock:
                self._pending[node.id] = answer

    def _take_answers(self) -> None:
        import ray

        with self._lock:
            pending = dict(self._pending)
        if not pending:
            return
        arrived = set(ray.wait(list(pending.values()), num_returns=len(pending), timeout=0.05)[0])
        for key, reference in pending.items():
            if reference in arrived and key in self._alive:
                finding = self._prober.finding(self._alive[key], reference)
                with self._lock:
                    if self._pending.pop(key, None) is not None:
                        self._findings[key] = finding
                self._on_finding(finding)
