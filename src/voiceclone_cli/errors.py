"""What can go wrong, as one family: each error is one sentence that says what to do, with a stable code."""

from __future__ import annotations


class VoicecloneError(Exception):
    """The root of every error a user may meet.

    ``code`` is stable and machine-readable, ``exit_code`` is what the command ends with.
    """

    exit_code = 1

    def __init__(self, message: str, *, code: str) -> None:
        self.message = _on_one_line(message)
        super().__init__(self.message)
        self.code = code


def _on_one_line(message: str) -> str:
    """A name in it may hold a line break, or a control sequence that a terminal would obey."""
    if message.isprintable():
        return message
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in message)


class InputError(VoicecloneError):
    """An input (media, script, task file, flag) that cannot be used. Exit code 2."""

    exit_code = 2


class PreflightError(VoicecloneError):
    """Something the run needs is not there: an environment, a model, a token, disk space. Exit code 4."""

    exit_code = 4


class RunError(VoicecloneError):
    """The work itself failed. Exit code 1."""


class Stopped(BaseException):
    """The user, or the system, asked the command to end (SIGINT: 130, SIGTERM: 143).

    Raised by the command's signal handlers in the main thread. Not a KeyboardInterrupt, which the
    command-line library would turn into an exit of its own.
    """

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code
