"""Whole files or none, whatever ends the process: a kill, a crash, a full disk.

Standard library only. A file is written under a temporary name beside its place (``.NAME.XXXXXXXX.part``),
then replaces what is there; a link is replaced, not followed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from voiceclone_worker.protocol import Failure

_FULL = (errno.ENOSPC, errno.EDQUOT)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that is whole after a power cut too: what an engine keeps of a reference. Raises OSError."""
    with _replacing(path) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def write_unsynced(path: Path, content: bytes) -> None:
    """Write a file without waiting for the disk: after a power cut it may be torn, so it is for what has its
    sha256 elsewhere and can be made again. Raises OSError."""
    with _replacing(path) as file:
        file.write(content)


def write_failure(path: Path, error: OSError) -> Failure:
    """Why ``path`` was not written, in one sentence. Codes: ``disk_full``, else ``write_failed``."""
    if error.errno in _FULL:
        return Failure(
            "disk_full", f"the disk of {path.parent} is full: make room there and give the same command again"
        )
    return Failure("write_failed", f"{path} could not be written: {error.strerror or error}")


@contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    # The name is cut so that a long one does not pass the file system's limit.
    temporary = path.with_name(f".{path.name[:40]}.{secrets.token_hex(4)}.part")
    try:
        with temporary.open("xb") as file:
            yield file
        os.replace(temporary, path)
    except BaseException:
        # On a disk that can only be read by now the file stays; why the writing ended is what counts.
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
