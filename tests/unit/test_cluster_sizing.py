"""How many slots a node gets."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from voiceclone_cli.cluster.sizing import Node, shares
from voiceclone_cli.settings import Settings, resolve


def settings(**flags: Any) -> Settings:
    return resolve(flags, {}, dotenv=Path(os.devnull))


def counts(*nodes: Node, takes_gpu: bool = False, **flags: Any) -> dict[str, int]:
    found = shares(nodes, settings(**flags), takes_gpu=takes_gpu)
    return {key: share.slots for key, share in found.items()}


def test_unasked_each_node_gets_one_slot_with_all_its_cpus() -> None:
    found = shares([Node("a", "a", 8), Node("b", "b", 2)], settings(), takes_gpu=False)
    assert {key: (share.slots, share.threads, share.cpus) for key, share in found.items()} == {
        "a": (1, 8, 8.0),
        "b": (1, 2, 2.0),
    }


def test_unasked_there_is_one_slot_for_each_gpu_where_the_engine_takes_one() -> None:
    nodes = (Node("a", "a", 16, gpus=4), Node("b", "b", 16, gpus=1), Node("c", "c", 16))
    assert counts(*nodes, takes_gpu=True) == {"a": 4, "b": 1}
    assert counts(*nodes, takes_gpu=False) == {"a": 1, "b": 1, "c": 1}
    share = shares(nodes, settings(), takes_gpu=True)["a"]
    assert (share.gpus, share.cpus, share.threads) == (1.0, 4.0, 4)


def test_without_gpus_anywhere_fish_computes_on_cpus() -> None:
    assert counts(Node("a", "a", 4), takes_gpu=True) == {"a": 1}


def test_workers_that_were_asked_for_are_dealt_out_by_strength() -> None:
    nodes = (Node("a", "a", 8), Node("b", "b", 4))
    assert counts(*nodes, workers=3) == {"a": 2, "b": 1}
    assert counts(*nodes, workers=1) == {"a": 1}
    assert sum(counts(*nodes, workers=50).values()) == 50


def test_more_slots_than_cpus_share_them_within_what_the_node_has() -> None:
    share = shares([Node("a", "a", 2)], settings(workers=3), takes_gpu=False)["a"]
    assert share.threads == 1
    assert 0 < share.cpus * 3 <= 2


def test_workers_share_gpus_where_there_are_fewer() -> None:
    share = shares([Node("a", "a", 8, gpus=1)], settings(workers=2), takes_gpu=True)["a"]
    assert (share.slots, share.gpus) == (2, 0.5)


def test_threads_that_were_asked_for_win() -> None:
    share = shares([Node("a", "a", 8)], settings(workers=2, threads=6), takes_gpu=False)["a"]
    assert share.threads == 3


def test_a_head_without_cpus_does_not_compute_unless_no_other_node_has_any() -> None:
    head = Node("head", "head", 0)
    assert counts(head, Node("a", "a", 2)) == {"a": 1}
    assert counts(head) == {"head": 1}


@pytest.mark.parametrize(("offered", "slots"), [(0.0, 0), (1.0, 1), (3.0, 3), (9.0, 4)])
def test_custom_resources_bound_the_slots_of_a_node(offered: float, slots: int) -> None:
    node = Node("a", "a", 4, resources={"voices": offered})
    found = counts(node, workers=4, ray_resources="voices=1")
    assert sum(found.values()) == slots
