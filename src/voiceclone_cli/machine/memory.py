"""Memory of the machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
"""Where Linux describes the container of this process (cgroup v2)."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of the machine, or of the container that this process is confined to."""

    total: int
    available: int


def machine_memory(cgroup: Path = CGROUP) -> Memory | None:
    """Return the memory that processes here may use; None where the system does not report it."""
    import psutil

    try:
        found = psutil.virtual_memory()
    except (OSError, psutil.Error):
        return None
    try:
        limit, used = (int((cgroup / f"memory.{name}").read_text("ascii")) for name in ("max", "current"))
    except (OSError, ValueError):  # no container, or one without a limit ("max")
        return Memory(found.total, found.available)
    if limit >= found.total:
        return Memory(found.total, found.available)
    return Memory(limit, min(found.available, max(0, limit - used)))
