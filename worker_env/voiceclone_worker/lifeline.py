"""A worker does not outlive whoever started it.

A coordinator that is killed cannot say so. Three things tell: the system (Linux sends a signal when the
parent dies, which reaches a worker in any state: stopped, in C code, in the middle of an import); a parent
that is another than at the start; and standard input, whose other end has closed. The last is the one that
also holds where a script stands between the two, and lives on.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading

COORDINATED_VARIABLE = "VOICECLONE_COORDINATED"
"""Set by a coordinator: a worker that loses it then works for nobody, and ends."""

WATCH_SECONDS = 0.5

_PR_SET_PDEATHSIG = 1
"""prctl(2). The signal comes when the thread that started this process ends, so a coordinator starts its
workers in a thread that lives as long as they shall."""


def hold_on_to_coordinator(*, serving: bool) -> None:
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
