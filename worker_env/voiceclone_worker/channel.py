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

HEARTBEAT_SECONDS = 2.0
WATCH_SECONDS = 0.5

COORDINATED_VARIABLE = "VOICECLONE_COORDINATED"
"""Set by a coordinator: a worker that loses its parent process then works for nobody, and ends."""


class Channel:
    """The worker's mouth. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        _open_missing_streams()
        sys.stdout.flush()
        self._results = os.dup(1)
        # A copy of its own: a library that closes or redirects stderr cannot stop the events.
        self._events = os.dup(2)
        os.dup2(2, 1)
        sys.stdout = sys.stderr

    def emit(self, event: str, **fields: Any) -> None:
        """Write one event line, whole. An event that nobody can read any more is dropped:
        the contract promises that a lost event loses no result."""
        with contextlib.suppress(OSError):
            self._write(self._events, event_line(event, **fields))

    def answer(self, result: Result) -> None:
        """Write one result line. Raises OSError when the reader is gone."""
        self.answer_line(result_to_json(result))

    def answer_line(self, line: str) -> None:
        """Write one line to whoever reads results. Raises OSError when the reader is gone."""
        self._write(self._results, line)

    def start_heartbeat(self) -> None:
        """Say every two seconds that the process is alive, whatever the engine is doing; and end
        it when the coordinator that started it has gone (killed, so it could not say so)."""
        threading.Thread(target=self._beat, name="heartbeat", daemon=True).start()

    def _beat(self) -> None:
        coordinated = COORDINATED_VARIABLE in os.environ
        parent = os.getppid()
        pause, beats = threading.Event(), 0
        while not pause.wait(WATCH_SECONDS):
            if coordinated and os.getppid() != parent:
                os._exit(1)
            beats += 1
            if beats % round(HEARTBEAT_SECONDS / WATCH_SECONDS) == 0:
                self.emit("heartbeat")

    def _write(self, descriptor: int, line: str) -> None:
        data = memoryview((line + "\n").encode("utf-8", errors="replace"))
        with self._lock:
            while data:
                data = data[os.write(descriptor, data) :]


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
