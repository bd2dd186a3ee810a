"""How much memory the machine has."""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from voiceclone_cli.machine.child_variables import SYSTEM, passed_on


@dataclass(frozen=True, slots=True)
class Memory:
    """Of the machine, or of the container this process is confined to. Bytes."""

    total: int
    available: int


def machine_memory() -> Memory | None:
    """None where the system does not tell."""
    if sys.platform == "win32":
        return _windows()
    if sys.platform == "darwin":
        return _mac()
    return _linux(Path("/proc/meminfo"), Path("/sys/fs/cgroup"))


def _linux(meminfo: Path, cgroup: Path) -> Memory | None:
    try:
        text = meminfo.read_text(encoding="ascii")
    except OSError:
        return None
    kib = {name: int(number) for name, number in re.findall(r"^(\w+):\s+(\d+) kB$", text, re.MULTILINE)}
    if not {"MemTotal", "MemAvailable"} <= kib.keys():
        return None
    total, available = kib["MemTotal"] * 1024, kib["MemAvailable"] * 1024
    limit, used = _number(cgroup / "memory.max"), _number(cgroup / "memory.current")
    if limit is not None and used is not None and limit < total:
        return Memory(limit, min(available, max(0, limit - used)))
    return Memory(total, available)


def _number(path: Path) -> int | None:
    """None where there is no such file, or no limit ("max")."""
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _mac() -> Memory | None:
    try:
        total = int(_said("sysctl", "-n", "hw.memsize"))
        pages = _said("vm_stat")
        size = int(re.findall(r"page size of (\d+)", pages)[0])
    except (OSError, ValueError, IndexError):
        return None
    idle = re.findall(r"^Pages (?:free|inactive|speculative):\s+(\d+)", pages, re.MULTILINE)
    return Memory(total, sum(map(int, idle)) * size)


def _said(*command: str) -> str:
    return subprocess.run(
        command, capture_output=True, encoding="utf-8", check=False, env=passed_on(os.environ, SYSTEM)
    ).stdout


class _MemoryStatus(ctypes.Structure):
    """MEMORYSTATUSEX of the Windows API."""

    _fields_ = (
        ("length", ctypes.c_uint32),
        ("load", ctypes.c_uint32),
        *((name, ctypes.c_uint64) for name in ("total", "available", "pages", "free_pages")),
        *((name, ctypes.c_uint64) for name in ("addresses", "free_addresses", "extended")),
    )


def _windows() -> Memory | None:
    status = _MemoryStatus()
    status.length = ctypes.sizeof(status)
    if not ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):  # type: ignore[attr-defined]
        return None
    return Memory(status.total, status.available)
