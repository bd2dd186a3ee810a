"""A worker does not outlive whoever started it.

A coordinator that is killed cannot say so. Three things tell: the system (Linux sends a signal when the
parent dies, which reaches a worker in any state: stopped, in C code, in the middle of an import); a parent
that is another than at the start; and standard input, whose other end has closed. The last is the one that
also holds where a script stands between the two, and lives on.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import threading
from typing import Any

from voiceclone_worker.protocol import Result, event_line, result_to_json

# Who may write to which stream.
#
# Results own stdout, events and log share stderr. Libraries print where they like, so the worker
# takes a private copy of stdout before anything heavy is imported, and points file descriptor 1 at
# stderr: a print, a C library's printf or a child process can then never reach the result.


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


COORDINATED_VARIABLE = "VOICECLONE_COORDINATED"
"""Set by a coordinator: a worker that loses it then works for nobody, and ends."""

WATCH_SECONDS = 0.5

_PR_SET_PDEATHSIG = 1
"""prctl(2). The signal comes when the thread that started this process ends, so a coordinator starts its
workers in a thread that lives as long as they shall."""


def exit_with_parent(*, serving: bool) -> None:
    """End this process when its coordinator has gone; at most two seconds later.

    ``serving``: requests come through standard input, so that its end is the coordinator's. Does nothing
    in a worker that somebody has started by hand.
    """
    if COORDINATED_VARIABLE not in os.environ:
        return
    _die_with_parent()
    threading.Thread(target=_watch, args=(os.getppid(), serving), name="lifeline", daemon=True).start()


def _die_with_parent() -> None:
    if sys.platform != "linux":
        return
    try:
        import ctypes

        ctypes.CDLL(None).prctl(ctypes.c_int(_PR_SET_PDEATHSIG), ctypes.c_ulong(signal.SIGKILL))
    except (ImportError, OSError, AttributeError):
        return  # an interpreter built without it: the watch is left


def _watch(parent: int, serving: bool) -> None:
    pause, hung_up = threading.Event(), 0
    while not pause.wait(WATCH_SECONDS):
        # Twice: a coordinator that has no more work closes our input too, and we end by ourselves.
        hung_up = hung_up + 1 if serving and _input_hung_up() else 0
        if os.getppid() != parent or hung_up >= 2:
            _end()


def _input_hung_up() -> bool:
    if not hasattr(select, "poll"):  # Windows
        return False
    poll = select.poll()
    poll.register(0, 0)  # hang-ups are told unasked
    return any(happened & (select.POLLHUP | select.POLLERR) for _, happened in poll.poll(0))


def _end() -> None:
    """This process, and what it started where it leads a group of its own."""
    if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)
