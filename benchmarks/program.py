"""The frame of a developers' tool: signals, errors and exit codes as those of the `voiceclone` command."""

from __future__ import annotations

import os
from collections.abc import Callable

from voiceclone_cli.__main__ import listen_to_signals, stop_listening
from voiceclone_cli.cli.progress import say_error
from voiceclone_cli.errors import Stopped, VoicecloneError
from voiceclone_worker.telemetry import refuse_telemetry


def run_program(work: Callable[[], int]) -> None:
    """Do the work and end this process with the exit code that it returns.

    Errors of voiceclone become one sentence on stderr and their exit code.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    refuse_telemetry()
    listen_to_signals()
    try:
        code = work()
    except Stopped as stop:
        say_error("stopped")
        code = stop.exit_code
    except VoicecloneError as error:
        say_error(error.message)
        code = error.exit_code
    stop_listening()
    raise SystemExit(code)
