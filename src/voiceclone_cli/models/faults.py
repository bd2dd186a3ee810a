"""What can go wrong around model files, told as one sentence each."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from voiceclone_cli.atomic import is_disk_full
from voiceclone_cli.errors import PreflightError

_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


class SourceError(Exception):
    """A source that could not deliver; another may. ``advice`` says what to do, in the imperative."""

    def __init__(self, reason: str, *, advice: str, code: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.advice = advice
        self.code = code


def require_space(home: Path, needed: int) -> None:
    """Raise PreflightError when fewer than ``needed`` bytes are free where ``home`` is."""
    free = shutil.disk_usage(home).free
    if free < needed:
        raise PreflightError(
            f"The models need {megabytes(needed)} in {home} while they are fetched and {megabytes(free)} are "
            "free: make room there, or set VOICECLONE_HOME to a folder on another disk.",
            code="disk_full",
        )


@contextmanager
def told_plainly(home: Path) -> Iterator[None]:
    """Turn what the file system says about ``home`` into a PreflightError."""
    try:
        yield
    except OSError as error:
        if is_disk_full(error):
            raise PreflightError(
                f"The disk of {home} is full: make room there, or set VOICECLONE_HOME to a folder on "
                "another disk.",
                code="disk_full",
            ) from error
        if error.errno in _FORBIDDEN:
            raise PreflightError(
                f"The model folder {home} cannot be written ({error.filename or home}): give yourself the "
                "right to, or set VOICECLONE_HOME to a folder of your own.",
                code="models_home_unwritable",
            ) from error
        raise PreflightError(
            f"The model folder {home} cannot be used ({error.strerror or error}): "
            "set VOICECLONE_HOME to another folder.",
            code="models_home_unusable",
        ) from error


def megabytes(size: int) -> str:
    """A number of bytes for people."""
    return f"{size / 1e6:.1f} MB" if size < 100e6 else f"{size / 1e6:.0f} MB"
