"""The edge: one file a verb. Each parses, calls one library function and renders its result."""

from __future__ import annotations

import io
import os
import sys

from voiceclone_cli.cli.signals import listen_to_signals, stop_listening
from voiceclone_cli.errors import Stopped, VoicecloneError
from voiceclone_cli.machine.telemetry import refuse_telemetry


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
        from voiceclone_cli.cli.render import say_error

        say_error("stopped")
        code = stop.exit_code
    stop_listening()
    raise SystemExit(code)


def _run_verb() -> int:
    from voiceclone_cli.cli.render import say_error

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
