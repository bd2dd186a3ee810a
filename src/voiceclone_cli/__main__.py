"""`python -m voiceclone_cli` is `voiceclone`."""

from __future__ import annotations

import io
import os
import signal
import sys
from types import FrameType

from voiceclone_cli.errors import Stopped, VoicecloneError
from voiceclone_cli.system import request_stop
from voiceclone_worker.telemetry import refuse_telemetry

# Ctrl-C, SIGTERM and a terminal that goes away: the first ends the work in order, the second at once.


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


# The edge: one file a verb. Each parses, calls one library function and renders its result.


def main() -> None:
    """The console script. Errors of ours are one sentence on stderr and their exit code."""
    if sys.stderr is None:
        # Closed by whoever started us. Nobody shall meet a stream that is not there, nor a file that got its number.
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    # Before any library that computes is loaded: spinning threads cost ten times their work.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    refuse_telemetry()
    # And before anything that takes its time: an early Ctrl-C is one too.
    listen_to_signals()
    try:
        code = _run_verb()
    except Stopped as stop:
        from voiceclone_cli.cli.progress import say_error

        say_error("stopped")
        code = stop.exit_code
    stop_listening()
    raise SystemExit(code)


def _run_verb() -> int:
    from voiceclone_cli.cli.progress import say_error

    if isinstance(sys.stdout, io.TextIOWrapper):
        # A path need not be Unicode: it is printed as it came.
        sys.stdout.reconfigure(errors="surrogateescape")
    # Outside of the try: its clauses name typer, and a stop may come while it is loaded.
    import typer

    from voiceclone_cli.cli.app import app

    try:
        return int(app(standalone_mode=False) or 0)
    except VoicecloneError as error:
        say_error(error.message)
        return error.exit_code
    except typer.Exit as end:
        return end.exit_code
    except BrokenPipeError:
        # Whoever read stdout has had enough.
        _silence_stdout()
        return 1
    except OSError as error:
        if not _is_of_stdout():
            raise
        say_error(f"the answer could not be written to stdout ({error.strerror}): send it to another place")
        _silence_stdout()
        return 1
    except Exception as error:
        return _usage_or_raise(error)


def _usage_or_raise(error: Exception) -> int:
    """Typer's own usage errors know how to show themselves; anything else is a defect of ours and
    keeps its traceback."""
    show = getattr(error, "show", None)
    if show is None:
        raise error
    show()
    return int(getattr(error, "exit_code", 2))


def _is_of_stdout() -> bool:
    """A full disk says so again."""
    try:
        sys.stdout.write("\n")
        sys.stdout.flush()
    except OSError:
        return True
    return False


def _silence_stdout() -> None:
    """What Python would still flush at its end goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
