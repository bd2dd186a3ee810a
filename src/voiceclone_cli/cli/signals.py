"""Ctrl-C, SIGTERM and a terminal that goes away: the first ends the work in order, the second at once."""

from __future__ import annotations

import os
import signal
from types import FrameType

from voiceclone_cli.errors import Stopped
from voiceclone_cli.stopping import request_stop

_SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)
]
"""SIGHUP: the terminal has gone; SIGBREAK: Ctrl-Break on Windows."""


def listen_to_signals() -> None:
    """From now on a signal becomes a request to stop, with the exit code of its number."""
    for number in _SIGNALS:
        # What is ignored from the start (nohup, a background job's Ctrl-C) stays so.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)


def stop_listening() -> None:
    """The work is done: a signal in the interpreter's last moments, when it has put its handlers away, must
    not make another exit code of it."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _stop(number: int, frame: FrameType | None) -> None:
    for other in _SIGNALS:
        if signal.getsignal(other) is _stop:
            signal.signal(other, _end_at_once)
    request_stop(Stopped(128 + number))


def _end_at_once(number: int, frame: FrameType | None) -> None:
    # The workers see their parent go, and end too.
    os._exit(128 + number)
