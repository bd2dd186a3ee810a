"""A Ray cluster of several nodes on this machine that nobody else can reach, and that leaves nothing."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LOOPBACK = {"0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F"}
"""127.0.0.1, ::1 and the former within the latter, as /proc/net/tcp{,6} write them."""

ENDING_SECONDS = 20.0

# Ray reads the first when it is imported, and would otherwise be found at this machine's outward address.
os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"


class Machines:
    """``nodes[0]`` is the head, which computes too."""

    def __init__(self, cluster: Any, nodes: list[Any]) -> None:
        self._cluster = cluster
        self.nodes = nodes

    @property
    def address(self) -> str:
        return str(self._cluster.address)

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
    os.environ.update(RAY_TMPDIR=str(folder), OMP_NUM_THREADS="1")
    try:
        from ray.cluster_utils import Cluster

        cluster = Cluster(shutdown_at_exit=False)
        there = Machines(cluster, [])
        try:
            for _ in range(count):
                there.add(**options)
            yield there
            assert strangers_ears(descendants(os.getpid())) == []
        finally:
            ours = set(descendants(os.getpid()))
            cluster.shutdown()
            _end({pid for pid in ours if _is_ray(pid)})
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.environ.clear()
        os.environ.update(before)


def _add(cluster: Any, environment: Mapping[str, str], options: Mapping[str, Any]) -> Any:
    given = {"num_cpus": 1, "object_store_memory": 80 * 2**20, **options}
    before = dict(os.environ)
    os.environ.update(environment)
    try:
        return cluster.add_node(node_ip_address="127.0.0.1", include_dashboard=False, **given)
    finally:
        os.environ.clear()
        os.environ.update(before)


def descendants(pid: int) -> list[int]:
    """Every process below this one."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except OSError:
            continue
        parent = int(text.rpartition(")")[2].split()[1])
        children.setdefault(parent, []).append(int(stat.parent.name))
    found, todo = [], [pid]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return found


def strangers_ears(pids: list[int]) -> list[str]:
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


def gone(pid: int, seconds: float = ENDING_SECONDS) -> bool:
    """Whether a process ends within so long; one that nobody has reaped yet has ended."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX":
                return True
        except OSError:
            return True
        time.sleep(0.05)
    return False


def _is_ray(pid: int) -> bool:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return b"ray" in command or b"voiceclone_worker" in command


def _end(pids: set[int]) -> None:
    for pid in pids:
        if not gone(pid, 2.0):
            _kill(pid)
    assert all(gone(pid) for pid in pids)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
