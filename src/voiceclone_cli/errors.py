"""The errors of voiceclone: each is one sentence that says what to do, with a stable code and an exit code."""

from __future__ import annotations


class VoicecloneError(Exception):
    """Base of all errors that a user may see.

    ``code`` is stable and machine-readable, ``exit_code`` is that of the command.
    """

    exit_code = 1

    def __init__(self, message: str, *, code: str) -> None:
        self.message = _on_one_line(message)
        super().__init__(self.message)
        self.code = code


def _on_one_line(message: str) -> str:
    """Escape what a name in the message may hold: line breaks, control sequences of a terminal."""
    if message.isprintable():
        return message
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in message)


class InputError(VoicecloneError):
    """An input (media, script, task file, flag) that cannot be used. Exit code 2."""

    exit_code = 2


class PreflightError(VoicecloneError):
    """Something that a run needs is missing: an environment, a model, a token, disk space. Exit code 4."""

    exit_code = 4


class RunError(VoicecloneError):
    """A run that failed on its way. Exit code 1."""


class Stopped(BaseException):
    """A request of the user or the system to end the command (SIGINT: 130, SIGTERM: 143).

    Raised by the command's signal handlers in the main thread. Not a KeyboardInterrupt, which the
    command-line library would handle itself.
    """

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code
