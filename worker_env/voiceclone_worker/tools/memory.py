"""How much memory this process has needed."""

from __future__ import annotations

import sys
from pathlib import Path


def peak_mb() -> int | None:
    """The largest resident set so far, MB (10^6 bytes); None where the system does not tell."""
    try:
        # Not ru_maxrss: Linux hands it down through exec, so that a child starts with its parent's.
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        kib = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
        return round(int(kib) * 1024 / 1e6)
    except (OSError, StopIteration, ValueError):
        return _by_getrusage()


def _by_getrusage() -> int | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak * (1 if sys.platform == "darwin" else 1024) / 1e6)
