"""Entry point of `voiceclone` and `python -m voiceclone_cli`: streams, exit codes and error messages."""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys

from voiceclone_cli.errors import InputError, Stopped, VoicecloneError
from voiceclone_cli.system import ignore_signals, raise_if_stopped, stop_on_signals, use_utf8
from voiceclone_worker.telemetry import refuse_telemetry

_NO_WORKING_DIRECTORY = (
    "the working directory was removed, or may not be entered: change to another one (cd), and give the same "
    "command again."
)
"""Every command needs one, for .env and for relative paths."""


def main() -> None:
    """Run the command line. Our own errors are one sentence on stderr, with an exit code."""
    if sys.stderr is None:
        # Closed by the caller. Libraries expect a stream there, and no file may get its number.
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    use_utf8()
    # Before any library that computes is loaded: spinning threads cost ten times their work.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    refuse_telemetry()
    # Before everything slow: an early Ctrl-C counts too.
    stop_on_signals()
    try:
        code = _run_command()
    except Stopped as stop:
        from voiceclone_cli.cli.progress import print_error

        print_error("stopped")
        code = stop.exit_code
    ignore_signals()
    raise SystemExit(code)


def _run_command() -> int:
    from voiceclone_cli.cli.progress import print_error

    if _is_working_directory_removed():
        print_error(_NO_WORKING_DIRECTORY)
        return InputError.exit_code
    if isinstance(sys.stdout, io.TextIOWrapper):
        codecs.register_error("voiceclone", _as_bytes_or_escaped)
        sys.stdout.reconfigure(errors="voiceclone")
    # Outside of the try: its clauses name typer, and a signal may come while it is loaded.
    import typer

    from voiceclone_cli.cli.app import app

    raise_if_stopped()
    try:
        return int(app(standalone_mode=False) or 0)
    except VoicecloneError as error:
        print_error(error.message, error.code)
        return error.exit_code
    except typer.Exit as end:
        return end.exit_code
    except BrokenPipeError:
        # The reader of stdout has closed it.
        _discard_stdout()
        return 1
    except OSError as error:
        if _is_working_directory_removed():
            print_error(_NO_WORKING_DIRECTORY)
            return InputError.exit_code
        if error.errno == errno.ENAMETOOLONG:
            print_error(
                f"the name {str(error.filename)!r:.80} is longer than this file system allows: shorten it."
            )
            return InputError.exit_code
        if _is_stdout_writable():
            raise
        print_error(f"the result could not be written to stdout ({error.strerror}): redirect it elsewhere")
        _discard_stdout()
        return 1
    except Exception as error:
        # A usage error of typer can show itself; anything else is a defect and keeps its traceback.
        show = getattr(error, "show", None)
        if show is None:
            raise
        show()
        return int(getattr(error, "exit_code", 2))


def _as_bytes_or_escaped(error: UnicodeError) -> tuple[str | bytes, int]:
    """Print a path that is not Unicode byte for byte, and what the encoding of stdout lacks as an escape."""
    try:
        return codecs.lookup_error("surrogateescape")(error)
    except UnicodeError:
        return codecs.lookup_error("backslashreplace")(error)


def _is_working_directory_removed() -> bool:
    try:
        os.getcwd()
    except OSError:
        return True
    return False


def _is_stdout_writable() -> bool:
    try:
        sys.stdout.write("\n")
        sys.stdout.flush()
    except OSError:
        return False
    return True


def _discard_stdout() -> None:
    """Send what Python still flushes at its exit to nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
