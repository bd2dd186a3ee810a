"""The nodes while a run goes on: who has come, who has gone, who is fit."""

from __future__ import annotations

import math
import secrets
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from voiceclone_cli import __version__
from voiceclone_cli.config import Settings

# How many slots each node gets, and what each of them may take there.


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
    """The slots of a node. ``threads``, ``cpus`` and ``gpus`` are those of each."""

    slots: int
    threads: int
    cpus: float
    gpus: float


def node_shares(nodes: Sequence[Node], settings: Settings, *, takes_gpu: bool) -> dict[str, NodeShare]:
    """By node id, for those that get slots: as many in all as ``--workers`` says if it was given, else one for
    each GPU (where the engine takes one and the cluster has any), else one for each node.

    A node without CPUs (a head, often) is not for computing, unless no other has any; one that lacks a resource
    of ``ray_resources`` gets nothing, and none more slots than its resources serve.
    """
    computing = [node for node in nodes if node.cpus > 0] or list(nodes)
    on_gpus = takes_gpu and any(node.gpus > 0 for node in computing)
    fit = {node.id: node for node in computing if not on_gpus or node.gpus > 0}
    most = {node.id: _capacity(node, settings.ray_resources) for node in fit.values()}
    asked = settings.workers if settings.sources["workers"] != "default" else None
    if asked is not None:
        counts = _dealt(fit, most, asked, on_gpus=on_gpus)
    else:
        counts = {key: min(max(1, int(node.gpus)) if on_gpus else 1, most[key]) for key, node in fit.items()}
    return {key: _share(fit[key], count, settings, on_gpus) for key, count in counts.items() if count}


def _capacity(node: Node, asked: Mapping[str, float]) -> int:
    """How many slots the custom resources of a node serve."""
    each = [int(node.resources.get(name, 0.0) / amount) for name, amount in asked.items() if amount > 0]
    return min(each, default=1_000_000)


def _dealt(
    nodes: Mapping[str, Node], most: Mapping[str, int], asked: int, *, on_gpus: bool
) -> dict[str, int]:
    """One by one, each to the node that has most left for it."""
    counts = dict.fromkeys(nodes, 0)
    for _ in range(asked):
        with_room = [key for key in nodes if counts[key] < most[key]]
        if not with_room:
            break
        strength = {key: nodes[key].gpus if on_gpus else max(nodes[key].cpus, 1e-3) for key in with_room}
        counts[max(with_room, key=lambda key: strength[key] / (counts[key] + 1))] += 1
    return counts


def _share(node: Node, slots: int, settings: Settings, on_gpus: bool) -> NodeShare:
    computing = settings.threads if settings.sources["threads"] != "default" else node.cpus
    cpus = node.cpus / slots
    return NodeShare(
        slots=slots,
        threads=max(1, int(computing // slots)),
        # Ray counts in ten-thousandths; more than a node has would never be granted.
        cpus=float(int(cpus)) if cpus >= 1 else math.floor(cpus * 10_000) / 10_000,
        gpus=min(1.0, math.floor(node.gpus / slots * 10_000) / 10_000) if on_gpus else 0.0,
    )


# Whether the nodes of the cluster are fit: each is asked what it has, and compared with the controller.


PROBE_SECONDS = 60.0
"""In which a node must have answered: it imports what it has, and hashes a checkpoint the first time."""

SYSTEM_RESOURCES = ("CPU", "GPU", "memory", "object_store_memory")


@dataclass(frozen=True, slots=True)
class NodeRequirements:
    """What every node is asked; ``weights`` are the controller's, SHA-256 by file, none where it has not got them."""

    engine: str
    hints: Mapping[str, str]
    weights: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class NodeFinding:
    """A node and what it said; ``fault`` is why it gets no slot, one clause, None where it is fit."""

    node: Node
    answer: Mapping[str, Any]
    fault: str | None


def nodes_of_cluster() -> list[Node]:
    """Those that are alive, in an order that stays."""
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
    """Ray's way to say: there, and nowhere else."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return NodeAffinitySchedulingStrategy(node_id, soft=False)


class NodeProber:
    """Asks nodes. Use as a context manager: a small file of it lies in the folder ``beside`` meanwhile, so that
    nodes can tell whether they see that folder."""

    def __init__(self, question: NodeRequirements, beside: Path) -> None:
        import ray
        from ray import cloudpickle

        from voiceclone_cli.cluster import probe

        # By value: it must run where no package of ours is, or another version.
        cloudpickle.register_pickle_by_value(probe)
        self._question = question
        self._look = ray.remote(probe.examine_node)
        self._text = secrets.token_hex(16)
        self._file = beside / f".voiceclone-{self._text[:8]}.probe"

    def __enter__(self) -> NodeProber:
        with suppress(OSError):  # then no node sees it, which is the truth
            self._file.write_text(self._text, encoding="ascii")
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._file.unlink(missing_ok=True)

    def ask(self, node: Node) -> Any:
        """A reference to its answer."""
        asked = self._look.options(num_cpus=0, max_retries=0, scheduling_strategy=on_node(node.id))
        question = self._question
        return asked.remote(__version__, question.engine, dict(question.hints), str(self._file), self._text)

    def finding(self, node: Node, reference: Any) -> NodeFinding:
        """What its answer, which is there, comes to."""
        import ray

        try:
            answer: Mapping[str, Any] = ray.get(reference, timeout=0)
        except Exception as error:
            said = " ".join(str(error).split())[:200]
            return NodeFinding(node, {}, f"it gave no answer ({type(error).__name__}: {said})")
        return NodeFinding(node, answer, node_fault(answer, self._question))

    def survey(self, nodes: Sequence[Node]) -> list[NodeFinding]:
        """All of them, within PROBE_SECONDS."""
        import ray

        asked = {node.id: self.ask(node) for node in nodes}
        ray.wait(list(asked.values()), num_returns=len(asked), timeout=PROBE_SECONDS)
        return [self.finding(node, asked[node.id]) for node in nodes]


def node_fault(answer: Mapping[str, Any], question: NodeRequirements) -> str | None:
    """Why a node with this answer gets no slot; None where it is fit."""
    if answer.get("voiceclone") not in (None, __version__):
        return f"it has voiceclone {answer['voiceclone']}, and this command is {__version__}: install the same there"
    if answer.get("lack"):
        return str(answer["lack"])
    if answer.get("voiceclone") is None:
        return "voiceclone is not installed where its Ray runs: install the same version there"
    theirs = answer.get("weights", {})
    other = [name for name, sha256 in question.weights.items() if theirs.get(name) != sha256]
    if other:
        return (
            f"its {other[0]} differs from this command's (SHA-256), so it would sound different: copy the same "
            "model files there"
        )
    return None


def probing_folder(log_dir: Path | None) -> Path:
    """Where the run writes, else any folder of ours."""
    return log_dir if log_dir is not None and log_dir.is_dir() else Path(tempfile.gettempdir())


LOOK_SECONDS = 1.0

HEAD_SILENCE = 10.0
"""Seconds without an answer from the head after which no new slot is tried."""

MOST_FAILED_STARTS = 3
"""In a row, before a node gets no more slots."""


class Nodes:
    """Looks every second, in a thread of its own; what is asked of it is answered at once.

    ``on_finding`` hears of each node once it has been asked, in that thread.
    """

    def __init__(self, prober: NodeProber, on_finding: Callable[[NodeFinding], None]) -> None:
        self._prober = prober
        self._on_finding = on_finding
        self._lock = threading.Lock()
        self._alive: dict[str, Node] = {}
        self._asked: dict[str, Any] = {}
        self._findings: dict[str, NodeFinding] = {}
        self._failed: dict[str, tuple[int, str]] = {}
        self._looked = time.monotonic()
        self._surveyed = threading.Event()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="nodes", daemon=True)
        self._thread.start()

    def await_survey(self) -> None:
        """Until every node that is there at the start has answered, or has had the time to."""
        self._surveyed.wait(PROBE_SECONDS + HEAD_SILENCE)

    def close(self) -> None:
        self._ending.set()
        self._thread.join(2 * LOOK_SECONDS)

    def head_is_silent(self) -> bool:
        return time.monotonic() - self._looked > HEAD_SILENCE

    def fit(self) -> list[Node]:
        """Those that may get slots now; none while the head is silent."""
        with self._lock:
            if self.head_is_silent():
                return []
            return [
                node
                for key, node in self._alive.items()
                if key in self._findings and self._why_not(key) is None
            ]

    def complaint(self) -> str:
        """Why none is fit, for people."""
        with self._lock:
            if self.head_is_silent():
                return "the head of the Ray cluster does not answer any more"
            faults = [
                f"{node.host}: {self._why_not(key) or 'it has not answered yet'}"
                for key, node in self._alive.items()
            ]
        told = "; ".join(list(dict.fromkeys(faults))[:3])
        return f"no node of the Ray cluster can take a slot ({told or 'none is there'})"

    def doubt(self, node: Node) -> None:
        """A slot was lost there: it has to answer again before it gets another."""
        with self._lock:
            self._findings.pop(node.id, None)
            self._asked.pop(node.id, None)

    def failed(self, node: Node, reason: str) -> None:
        """A slot could not be started there."""
        with self._lock:
            self._failed[node.id] = (self._failed.get(node.id, (0, ""))[0] + 1, reason)

    def succeeded(self, node: Node) -> None:
        with self._lock:
            self._failed.pop(node.id, None)

    def _why_not(self, key: str) -> str | None:
        finding, (failures, reason) = self._findings.get(key), self._failed.get(key, (0, ""))
        if finding is not None and finding.fault is not None:
            return finding.fault
        return reason if failures >= MOST_FAILED_STARTS else None

    def _watch(self) -> None:
        began, pause = time.monotonic(), 0.0
        while not self._ending.wait(pause):
            # Oftener at first, when somebody waits for the survey.
            pause = min(LOOK_SECONDS, 0.1 + time.monotonic() - began)
            try:
                alive = {node.id: node for node in nodes_of_cluster()}
            except Exception:
                pause = LOOK_SECONDS  # the head is silent: how long it has been, `fit` sees
                continue
            self._take(alive)
            self._hear()
            with self._lock:
                answered = alive.keys() <= self._findings.keys()
            if answered or time.monotonic() - began > PROBE_SECONDS:
                self._surveyed.set()

    def _take(self, alive: dict[str, Node]) -> None:
        with self._lock:
            self._looked = time.monotonic()
            self._alive = alive
            self._asked = {key: asked for key, asked in self._asked.items() if key in alive}
            self._findings = {key: found for key, found in self._findings.items() if key in alive}
            new = [node for key, node in alive.items() if key not in self._asked | self._findings]
        for node in new:
            asked = self._prober.ask(node)
            with self._lock:
                self._asked[node.id] = asked

    def _hear(self) -> None:
        import ray

        with self._lock:
            asked = dict(self._asked)
        if not asked:
            return
        done, _ = ray.wait(list(asked.values()), num_returns=len(asked), timeout=0.05)
        there = set(done)
        for key, reference in asked.items():
            if reference in there and key in self._alive:
                finding = self._prober.finding(self._alive[key], reference)
                with self._lock:
                    if self._asked.pop(key, None) is not None:
                        self._findings[key] = finding
                self._on_finding(finding)
