"""Whether the nodes of the cluster are fit: each is asked what it has, and compared with the controller."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voiceclone_cli import __version__
from voiceclone_cli.cluster.sizing import Node

PROBE_SECONDS = 60.0
"""In which a node must have answered: it imports what it has, and hashes a checkpoint the first time."""

SYSTEM_RESOURCES = ("CPU", "GPU", "memory", "object_store_memory")


@dataclass(frozen=True, slots=True)
class Question:
    """What every node is asked; ``weights`` are the controller's, SHA-256 by file, none where it has not got them."""

    engine: str
    hints: Mapping[str, str]
    weights: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Finding:
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


class Prober:
    """Asks nodes. Use as a context manager: a small file of it lies in the folder ``beside`` meanwhile, so that
    nodes can tell whether they see that folder."""

    def __init__(self, question: Question, beside: Path) -> None:
        import ray
        from ray import cloudpickle

        from voiceclone_cli.cluster import probe

        # By value: it must run where no package of ours is, or another version.
        cloudpickle.register_pickle_by_value(probe)
        self._question = question
        self._look = ray.remote(probe.look_around)
        self._text = secrets.token_hex(16)
        self._file = beside / f".voiceclone-{self._text[:8]}.probe"

    def __enter__(self) -> Prober:
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

    def finding(self, node: Node, reference: Any) -> Finding:
        """What its answer, which is there, comes to."""
        import ray

        try:
            answer: Mapping[str, Any] = ray.get(reference, timeout=0)
        except Exception as error:
            said = " ".join(str(error).split())[:200]
            return Finding(node, {}, f"it gave no answer ({type(error).__name__}: {said})")
        return Finding(node, answer, fault(answer, self._question))

    def survey(self, nodes: Sequence[Node]) -> list[Finding]:
        """All of them, within PROBE_SECONDS."""
        import ray

        asked = {node.id: self.ask(node) for node in nodes}
        ray.wait(list(asked.values()), num_returns=len(asked), timeout=PROBE_SECONDS)
        return [self.finding(node, asked[node.id]) for node in nodes]


def fault(answer: Mapping[str, Any], question: Question) -> str | None:
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
