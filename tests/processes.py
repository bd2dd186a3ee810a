"""Which processes there are below another (Linux only: /proc is read), and whether they end."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

import psutil


def children(pid: int) -> list[int]:
    return [child for child, parent in _parents().items() if parent == pid]


def descendants(pid: int) -> list[int]:
    """Every process below this one."""
    parents = _parents()
    found, todo = [], [pid]
    while todo:
        above = todo.pop()
        below = [child for child, parent in parents.items() if parent == above]
        found += below
        todo += below
    return found


def gone(pids: Iterable[int], seconds: float = 20.0) -> bool:
    """Whether they all end within so long; one that nobody has reaped yet has ended."""
    deadline = time.monotonic() + seconds
    while left := [pid for pid in pids if _lives(pid)]:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
        pids = left
    return True


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return False


def _parents() -> dict[int, int]:
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                found[int(entry.name)] = int(_stat(int(entry.name))[1])
            except OSError:
                continue  # it has just ended
    return found


def _stat(pid: int) -> list[str]:
    """State, parent and what follows. The name before them stands in brackets and may hold anything."""
    text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    return text.rpartition(")")[2].split()
