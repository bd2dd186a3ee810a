"""Nodes are looked at repeatedly, but never without a pause."""

from __future__ import annotations

import time
from typing import Any

import pytest

from voiceclone_cli.cluster import nodes
from voiceclone_cli.cluster.nodes import Node, Nodes


@pytest.mark.parametrize("there", [[], None])
def test_a_cluster_without_nodes_or_without_a_head_is_not_asked_in_a_hot_loop(
    there: list[Node] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0

    def look() -> list[Node]:
        nonlocal looks
        looks += 1
        if there is None:
            raise ConnectionError("the head is gone")
        return there

    monkeypatch.setattr(nodes, "nodes_of_cluster", look)
    prober: Any = None  # there is no node to probe
    watched = Nodes(prober, lambda finding: None)
    time.sleep(0.5)
    watched.close()
    assert 1 <= looks <= 5
    assert watched.fit() == []
    assert "none is there" in watched.complaint()
