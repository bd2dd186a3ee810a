"""The frame of a developers' tool: signals, errors and exit codes as those of the `voiceclone` command."""

from __future__ import annotations

import os
from collections.abc import Callable

from voiceclone_cli.cli.progress import print_error
from voiceclone_cli.errors import Stopped, VoicecloneError
from voiceclone_cli.system import ignore_signals, stop_on_signals, use_utf8
from voiceclone_worker.telemetry import refuse_telemetry


def run_program(work: Callable[[], int]) -> None:
    """Do the work and end this process with the exit code that it returns.

    Errors of voiceclone become one sentence on stderr and their exit code.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    refuse_telemetry()
    use_utf8()
    stop_on_signals()
    try:
        code = work()
    except Stopped as stop:
        print_error("stopped")
        code = stop.exit_code
    except VoicecloneError as error:
        print_error(error.message)
        code = error.exit_code
    ignore_signals()
    raise SystemExit(code)
