"""Where the time and the memory of a run went."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


class Clock:
    """Wall seconds and peak resident memory (MB, 10^6 bytes) of each stage."""

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self.seconds: dict[str, float] = {}
        self.peak_mb: dict[str, int] = {}
        """Of this process, from its start to the end of the stage."""

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = round(time.perf_counter() - started, 3)
            peak = peak_memory_mb()
            if peak is not None:
                self.peak_mb[name] = peak

    def stop(self) -> None:
        self.seconds["total"] = round(time.perf_counter() - self._started, 3)


def add_seconds(total: dict[str, float], more: Mapping[str, float]) -> None:
    """Add the seconds of each stage to ``total``."""
    for stage, seconds in more.items():
        total[stage] = total.get(stage, 0.0) + seconds


def peak_memory_mb(pid: int | None = None) -> int | None:
    """The largest resident set so far of this process, or (on Linux) of another; None where the
    system does not tell."""
    try:
        # Not ru_maxrss: Linux hands it down through exec, so that a child starts with its parent's.
        status = Path(f"/proc/{pid or 'self'}/status").read_text(encoding="ascii", errors="replace")
        kib = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
        return round(int(kib) * 1024 / 1e6)
    except (OSError, StopIteration, ValueError):
        return None if pid else _peak_by_getrusage()


def _peak_by_getrusage() -> int | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak * (1 if sys.platform == "darwin" else 1024) / 1e6)
