"""Files that are either whole or absent, whatever ends the process: a kill, a crash, a full disk.

A file is written under a temporary name in its own folder, then replaces what is there; a symbolic link is
replaced, not followed. With ``sync`` (the default) the content is on the disk before the file has its name, so
this also holds after a power cut. Without it, such a file may be torn: use that for what has a checksum
elsewhere and can be made again.

Standard library only: both environments use it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from voiceclone_worker.protocol import Failure

REPLACE_SECONDS = 2.0
"""How long a file that another program holds on Windows is tried again: an antivirus or an indexer opens what is new
for a moment."""

_SHARING_ERRORS = (32, 33)
"""Of Windows: another program has the file open (ERROR_SHARING_VIOLATION), or has locked a part of it."""


class OpenElsewhereError(PermissionError):
    """A file cannot be replaced, because another program has it open (Windows)."""


def replace_file(temporary: Path, final: Path, platform: str = sys.platform) -> None:
    """Give a new file its final name, in place of what is there.

    Windows replaces no file that is open, so there it is tried for REPLACE_SECONDS. Raises OSError, and
    OpenElsewhereError where ``final`` can be written, but not replaced.
    """
    deadline = time.monotonic() + REPLACE_SECONDS
    while True:
        try:
            os.replace(temporary, final)
            return
        except PermissionError as error:
            if platform != "win32":
                raise
            if final.is_dir():  # said as elsewhere: it is about this file, not about the folder
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(final)) from error
            if time.monotonic() > deadline:
                # The folder took the temporary file, so it is the other file that is in the way.
                if final.is_file() and os.access(final, os.W_OK):
                    raise OpenElsewhereError(
                        errno.EBUSY, "it is open in another program", str(final)
                    ) from error
                raise
        time.sleep(0.05)


def is_open_elsewhere(error: OSError) -> bool:
    """Return whether another program has the file open that an error is about."""
    return isinstance(error, OpenElsewhereError) or getattr(error, "winerror", None) in _SHARING_ERRORS


@contextmanager
def atomic_path(
    final: Path, *, sync: bool = True, make_folder: bool = True, keep_suffix: bool = True
) -> Iterator[Path]:
    """Yield a temporary path in the folder of ``final``, which replaces it when the block ends.

    ``keep_suffix``: with the suffix of ``final``, for a writer that takes the format from it. Without it, no pattern
    such as ``*.wav`` finds what a killed process left.
    When the block raises, the temporary file is removed and ``final`` stays as it was. Raises OSError.
    """
    if make_folder:
        final.parent.mkdir(parents=True, exist_ok=True)
    # The stem is cut so that a long name does not pass the file system's limit.
    suffix = final.suffix if keep_suffix else ""
    temporary = final.with_name(f".{final.stem[:40]}.{secrets.token_hex(4)}.part{suffix}")
    temporary.touch(exist_ok=False)
    try:
        yield temporary
        if sync:
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
        replace_file(temporary, final)
    except BaseException:
        # On a disk that has become read-only the file stays; the error of the block is the one that counts.
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def write_bytes_atomic(final: Path, data: bytes, *, sync: bool = True, make_folder: bool = True) -> None:
    """Write a file; readers see the old content or all of the new. Raises OSError."""
    with atomic_path(final, sync=sync, make_folder=make_folder, keep_suffix=False) as temporary:
        temporary.write_bytes(data)


def is_disk_full(error: OSError) -> bool:
    """Return whether the disk, or the user's quota on it, is full."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def write_failure(path: Path, error: OSError) -> Failure:
    """Return why ``path`` was not written. Codes: ``disk_full``, ``file_in_use``, else ``write_failed``."""
    if is_disk_full(error):
        return Failure(
            "disk_full", f"the disk of {path.parent} is full: make room there and give the same command again"
        )
    if is_open_elsewhere(error):
        return Failure(
            "file_in_use",
            f"{error.filename or path} is open in another program: close it there and give the same command again",
        )
    return Failure("write_failed", f"{path} could not be written: {error.strerror or error}")
