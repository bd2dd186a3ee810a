"""How many slots each node gets, and what each of them may take there."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from voiceclone_cli.settings import Settings


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
class Share:
    """The slots of a node. ``threads``, ``cpus`` and ``gpus`` are those of each."""

    slots: int
    threads: int
    cpus: float
    gpus: float


def shares(nodes: Sequence[Node], settings: Settings, *, takes_gpu: bool) -> dict[str, Share]:
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


def _share(node: Node, slots: int, settings: Settings, on_gpus: bool) -> Share:
    computing = settings.threads if settings.sources["threads"] != "default" else node.cpus
    cpus = node.cpus / slots
    return Share(
        slots=slots,
        threads=max(1, int(computing // slots)),
        # Ray counts in ten-thousandths; more than a node has would never be granted.
        cpus=float(int(cpus)) if cpus >= 1 else math.floor(cpus * 10_000) / 10_000,
        gpus=min(1.0, math.floor(node.gpus / slots * 10_000) / 10_000) if on_gpus else 0.0,
    )
