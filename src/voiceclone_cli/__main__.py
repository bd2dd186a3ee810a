"""Entry point of `voiceclone` and `python -m voiceclone_cli`: streams, exit codes and error messages."""

from __future__ import annotations

import codecs
import errno
import io
import os
import re
import sys
import typing

from voiceclone_cli.errors import InputError, Stopped, VoicecloneError
from voiceclone_cli.system import ignore_signals, quoted_command, raise_if_stopped, stop_on_signals, use_utf8
from voiceclone_worker.telemetry import refuse_telemetry

if typing.TYPE_CHECKING:
    import typer

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
        # A usage error of typer has a message; anything else is a defect and keeps its traceback.
        describe = getattr(error, "format_message", None)
        if describe is None:
            raise
        context: typer.Context | None = getattr(error, "ctx", None)
        if not describe():
            # A command without arguments, whose help is shown.
            error.show()  # type: ignore[attr-defined]
        else:
            print_error(_usage_message(describe(), context))
        return int(getattr(error, "exit_code", 2))


def _usage_message(message: str, context: typer.Context | None) -> str:
    """Return what is wrong with a command line, and where to look it up."""
    from voiceclone_cli.cli.app import COMMANDS

    if context is not None:
        words = context.command_path.removeprefix(context.find_root().command_path).split()
    else:
        # An option without its value: the library does not say of which command.
        words = next((given for given in (sys.argv[1:3], sys.argv[1:2]) if " ".join(given) in COMMANDS), [])
    name = re.fullmatch("No such command '([^']*)'.", message)
    if name and not words and (os.path.exists(name[1]) or "." in name[1]):
        command = quoted_command(["voiceclone", "run", name[1]])
        return f"{name[1]} is not a command: to speak a recording again, write `{command}`."
    end = "" if message.endswith("?") else "."
    sentence = message.replace("Value error, ", "").rstrip(".") + end
    return f"{sentence} See `{' '.join(['voiceclone', *words, '--help'])}`."


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
