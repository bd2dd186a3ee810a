"""The nodes while a run goes on: who has come, who has gone, who is fit."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from voiceclone_cli.cluster.preflight import PROBE_SECONDS, Finding, Prober, nodes_of_cluster
from voiceclone_cli.cluster.sizing import Node

LOOK_SECONDS = 1.0

HEAD_SILENCE = 10.0
"""Seconds without an answer from the head after which no new slot is tried."""

MOST_FAILED_STARTS = 3
"""In a row, before a node gets no more slots."""


class Nodes:
    """Looks every second, in a thread of its own; what is asked of it is answered at once.

    ``on_finding`` hears of each node once it has been asked, in that thread.
    """

    def __init__(self, prober: Prober, on_finding: Callable[[Finding], None]) -> None:
        self._prober = prober
        self._on_finding = on_finding
        self._lock = threading.Lock()
        self._alive: dict[str, Node] = {}
        self._asked: dict[str, Any] = {}
        self._findings: dict[str, Finding] = {}
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
