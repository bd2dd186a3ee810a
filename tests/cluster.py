"""A Ray cluster of several nodes on this machine that only this machine reaches, and that leaves nothing."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from processes import descendants, gone
from voiceclone_cli.cluster.connection import reread_token, wait_until_left
from voiceclone_cli.config import Settings, resolve

LOOPBACK = {"0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F"}
"""127.0.0.1, ::1 and the former within the latter, as /proc/net/tcp{,6} write them."""

# Ray reads the first when it is imported, and would otherwise be found at this machine's outward address.
os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"


_LEFT_SECONDS = 30.0
"""Ray ends the whole process where the node goes that it is still connected to, as it may be on a busy machine. Where the
head is gone, leaving may last for ever."""


class Machines:
    """``nodes[0]`` is the head, which computes too."""

    def __init__(self, cluster: Any, nodes: list[Any]) -> None:
        self._cluster = cluster
        self.nodes = nodes

    @property
    def address(self) -> str:
        return str(self._cluster.address)

    def settings(self, **flags: Any) -> Settings:
        """Of a command on this cluster."""
        given = {"engine": "echo", "executor": "ray", "ray_address": self.address, **flags}
        return resolve(given, {}, dotenv=Path(os.devnull))

    def add(self, environment: Mapping[str, str] | None = None, **options: Any) -> Any:
        """One more node, whose processes see ``environment`` too."""
        node = _add(self._cluster, environment or {}, options)
        self.nodes.append(node)
        return node

    def lose(self, number: int) -> None:
        """A node goes without a word: all of its processes at once, as when its machine loses power."""
        raylet = self.pid(number, "raylet")
        for pid in (raylet, *descendants(raylet)):
            _kill(pid)

    def pid(self, number: int, which: str) -> int:
        """Of "raylet" or "gcs_server"."""
        return int(self.nodes[number].all_processes[which][0].process.pid)


@contextmanager
def machines(count: int = 3, **options: Any) -> Iterator[Machines]:
    """``count`` nodes of one CPU each. Afterwards: asserts that none of their processes listened anywhere but on
    loopback, ends them all, and removes their folder."""
    folder = Path(tempfile.mkdtemp(prefix="vcr-", dir="/tmp"))
    before = dict(os.environ)
    wait_until_left(_LEFT_SECONDS)
    os.environ.update(RAY_TMPDIR=str(folder), OMP_NUM_THREADS="1")
    try:
        from ray.cluster_utils import Cluster

        cluster = Cluster(shutdown_at_exit=False)
        there = Machines(cluster, [])
        try:
            for _ in range(count):
                there.add(**options)
            yield there
            assert foreign_listeners(descendants(os.getpid())) == []
        finally:
            wait_until_left(_LEFT_SECONDS)
            ours = set(descendants(os.getpid()))
            try:
                cluster.shutdown()
            finally:
                _end({pid for pid in ours if _is_ray(pid)})
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.environ.clear()
        os.environ.update(before)


def _add(cluster: Any, environment: Mapping[str, str], options: Mapping[str, Any]) -> Any:
    given = {"num_cpus": 1, "object_store_memory": 80 * 2**20, **options}
    before = dict(os.environ)
    os.environ.update(environment)
    reread_token()  # Ray checks its head with the token of the environment
    try:
        return cluster.add_node(node_ip_address="127.0.0.1", include_dashboard=False, **given)
    finally:
        os.environ.clear()
        os.environ.update(before)
        reread_token()


def foreign_listeners(pids: list[int]) -> list[str]:
    """Where these processes listen besides loopback."""
    listening = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[1].split(":")[0] not in LOOPBACK:
                listening[f"socket:[{fields[9]}]"] = fields[1]
    found = []
    for pid in pids:
        for descriptor in Path(f"/proc/{pid}/fd").glob("*"):
            try:
                target = os.readlink(descriptor)
            except OSError:
                continue
            if target in listening:
                found.append(f"process {pid} at {listening[target]}")
    return found


def _is_ray(pid: int) -> bool:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return b"ray" in command or b"voiceclone_worker" in command


def _end(pids: set[int]) -> None:
    if not gone(pids, 2.0):
        for pid in pids:
            _kill(pid)
    assert gone(pids)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
