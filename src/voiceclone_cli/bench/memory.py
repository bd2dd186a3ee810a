"""How much memory the processes that we start need together."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from types import TracebackType

from voiceclone_cli.machine.clock import peak_memory_mb

SECONDS_BETWEEN = 0.25


class ChildMemory:
    """Watches the child processes of this one while the block runs. On Linux only; elsewhere
    ``peak_mb`` stays None."""

    def __init__(self) -> None:
        self.peak_mb: int | None = None
        """The largest sum, over the children alive at one time, of each one's peak so far (MB)."""
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="child memory", daemon=True)

    def __enter__(self) -> ChildMemory:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        if not Path("/proc/self/stat").is_file():
            return
        while not self._done.wait(SECONDS_BETWEEN):
            together = sum(peak_memory_mb(pid) or 0 for pid in _children(os.getpid()))
            if together:
                self.peak_mb = max(self.peak_mb or 0, together)


def _children(parent: int) -> list[int]:
    # /proc/PID/task/TID/children would tell, but not every kernel is built with it.
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and _parent_of(entry) == parent:
            found.append(int(entry))
    return found


def _parent_of(pid: str) -> int | None:
    try:
        stat = Path("/proc", pid, "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:  # it has just ended
        return None
    # "PID (name) state parent ...": the name may hold blanks and parentheses.
    return int(stat.rpartition(")")[2].split()[1])
