"""Descendants of this process, from /proc: Linux only.

Workers have a clean environment and their own session, so neither a variable nor a process group finds them all.
A subreaper inherits every descendant whose parent has died.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36
_DEAD = "ZX"


@dataclass(frozen=True, slots=True)
class Process:
    """An entry of /proc."""

    pid: int
    parent: int
    alive: bool


def adopt_orphans() -> None:
    """Make this process the parent of descendants whose parent ends. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def living_descendants(of: int | None = None) -> list[int]:
    """Return the running descendants of ``of`` (default: this process), the nearest first."""
    by_parent: dict[int, list[Process]] = {}
    for process in _processes():
        by_parent.setdefault(process.parent, []).append(process)
    found, waiting = [], [of or os.getpid()]
    while waiting:
        for process in by_parent.get(waiting.pop(0), ()):
            waiting.append(process.pid)
            if process.alive:
                found.append(process.pid)
    return found


def living_children(of: int) -> list[int]:
    return [process.pid for process in _processes() if process.parent == of and process.alive]


def wait_for_descendants(seconds: float) -> list[int]:
    """Wait until all descendants have ended; return those that run after ``seconds``."""
    deadline = time.monotonic() + seconds
    while (left := living_descendants()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return left


def end_and_reap(pids: Collection[int]) -> None:
    """Kill these processes, and reap all ended children."""
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    wait_for_descendants(2.0)
    try:
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass
    except ChildProcessError:
        return


def handles_signal(pid: int, number: signal.Signals) -> bool:
    """Return whether a process has a handler for this signal."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    caught = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught, 16) >> (number - 1) & 1)


def memory_mb(pid: int | str = "self", field: str = "VmRSS") -> float:
    """Return the current (VmRSS) or peak (VmHWM) memory of a process in 10^6 bytes; 0 when it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0.0
    kib = next((line.split()[1] for line in status.splitlines() if line.startswith(f"{field}:")), "0")
    return int(kib) * 1024 / 1e6


def _processes() -> list[Process]:
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                stat = Path(f"/proc/{entry.name}/stat").read_text(encoding="ascii", errors="replace")
            except OSError:
                continue  # it has just ended
            # The name is in brackets and may contain brackets.
            state, parent = stat.rpartition(")")[2].split()[:2]
            found.append(Process(int(entry.name), int(parent), state not in _DEAD))
    return found
