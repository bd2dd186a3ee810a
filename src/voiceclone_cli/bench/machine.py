"""On what a benchmark was made: figures mean nothing without it."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from voiceclone_cli import __version__
from voiceclone_cli.settings import cores

_BLOCK = 1 << 24


def load_average() -> float | None:
    """Processes that wanted to compute, averaged over the last minute; None on Windows."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def describe_machine() -> dict[str, Any]:
    return {
        "cores": cores(),
        "cpu": _cpu(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "voiceclone": __version__,
    }


def read_through(files: Iterable[Path]) -> None:
    """Read files to their end, so that the first mode does not pay for a cold disk."""
    for path in files:
        with path.open("rb") as stream:
            while stream.read(_BLOCK):
                pass


def _cpu() -> str:
    try:
        told = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((row.partition(":")[2].strip() for row in told if row.startswith("model name")), "unknown")
