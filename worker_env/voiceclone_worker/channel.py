"""Who may write to which stream.

Results own stdout, events and log share stderr. Libraries print where they like, so the worker
takes a private copy of stdout before anything heavy is imported, and points file descriptor 1 at
stderr: a print, a C library's printf or a child process can then never reach the result.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from typing import Any

from voiceclone_worker.contract import Result, event_line, result_to_json

HEARTBEAT_SECONDS = 1.0


class Channel:
    """The worker's mouth. Safe to use from several threads."""

    def __init__(self) -> None:
        _open_missing_streams()
        sys.stdout.flush()
        # A lock each: a long answer must not hold up the heartbeat.
        self._results = _Stream(os.dup(1))
        # A copy of its own: a library that closes or redirects stderr cannot stop the events.
        self._events = _Stream(os.dup(2))
        os.dup2(2, 1)
        sys.stdout = sys.stderr

    def emit(self, event: str, **fields: Any) -> None:
        """Write one event line, whole. An event that nobody can read any more is dropped:
        the contract promises that a lost event loses no result."""
        with contextlib.suppress(OSError):
            self._events.write(event_line(event, **fields))

    def answer(self, result: Result) -> None:
        """Write one result line. Raises OSError when the reader is gone."""
        self.answer_line(result_to_json(result))

    def answer_line(self, line: str) -> None:
        """Write one line to whoever reads results. Raises OSError when the reader is gone."""
        self._results.write(line)

    def start_heartbeat(self) -> None:
        """Say every second that the process is alive, whatever the engine is doing."""
        threading.Thread(target=self._beat, name="heartbeat", daemon=True).start()

    def _beat(self) -> None:
        pause = threading.Event()
        while not pause.wait(HEARTBEAT_SECONDS):
            self.emit("heartbeat")


class _Stream:
    """A descriptor that takes whole lines from any thread."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()

    def write(self, line: str) -> None:
        """Raises OSError when nobody reads."""
        data = memoryview((line + "\n").encode("utf-8", errors="replace"))
        with self._lock:
            while data:
                data = data[os.write(self._descriptor, data) :]


def _open_missing_streams() -> None:
    """A caller may have closed a stream (`2>&-`); the numbers 0 to 2 must not go to other files."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115
    if sys.stdout is None:
        sys.stdout = sys.stderr
