"""Files that are either whole or not there: written beside their place under another name, then moved in.

What that is worth: whatever ends the process, also a kill, a file under its final name is whole, the old one or
the new. After a power cut this still holds for what was flushed to the disk before it got its name
(``atomic_path``, ``write_text_atomic``, ``write_bytes_atomic``); which of the two is there, the last moments
decide. What is written ``unsynced`` may be torn then: it is for files that carry a check and can be made again.

A link in the place of a file is replaced, not followed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from voiceclone_cli.errors import RunError


@contextmanager
def atomic_path(final: Path) -> Iterator[Path]:
    """A temporary path in ``final``'s folder, with its suffix; it replaces ``final`` when the block ends well.

    When the block raises, the temporary file is removed and ``final`` stays as it was. The folder is
    made if it is missing. An OSError (full disk, no permission) is the caller's to explain.
    """
    with atomic_path_unsynced(final) as temporary:
        yield temporary
        _flush_to_disk(temporary)


@contextmanager
def atomic_path_unsynced(final: Path) -> Iterator[Path]:
    """As ``atomic_path``, without waiting for the disk: not for what must outlive a power cut."""
    final.parent.mkdir(parents=True, exist_ok=True)
    # The stem is cut so that a long name does not pass the file system's limit.
    temporary = final.with_name(f".{final.stem[:40]}.{secrets.token_hex(4)}.part{final.suffix}")
    temporary.touch(exist_ok=False)
    try:
        yield temporary
        os.replace(temporary, final)
    except BaseException:
        # On a disk that can only be read by now the file stays; why the block ended is what counts.
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def check_writable(final: Path) -> None:
    """Meet now what writing ``final`` would meet: better than after an hour of work. Raises OSError."""
    if final.is_dir():
        raise IsADirectoryError(errno.EISDIR, f"{final.name} is a folder")
    final.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=final.parent):
        pass


@contextmanager
def explain_write_errors(folder: Path) -> Iterator[None]:
    """Turn an OSError of the block into the RunError of :func:`write_error`."""
    try:
        yield
    except OSError as error:
        raise write_error(folder, error) from error


def is_disk_full(error: OSError) -> bool:
    """Whether room is what is lacking, on the disk or in somebody's share of it."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def write_error(folder: Path, error: OSError) -> RunError:
    """What an OSError means for whoever writes into ``folder``: one sentence that names it.

    Codes: ``disk_full``, ``output_vanished`` (the folder is gone), else ``output_unwritable``.
    """
    if is_disk_full(error):
        return RunError(
            f"The disk of {folder} is full: make room there and give the same command again.",
            code="disk_full",
        )
    if error.errno == errno.ENOENT and not folder.exists():
        return RunError(
            f"{folder} was removed while it was being written into: give the same command again, and leave "
            "the folder alone until it has ended.",
            code="output_vanished",
        )
    return RunError(
        f"Cannot write to {folder} ({error.strerror or error}): check its permissions, or choose another folder.",
        code="output_unwritable",
    )


def write_text_atomic(final: Path, text: str) -> None:
    """Write ``text`` as UTF-8, its line ends as they are."""
    write_bytes_atomic(final, text.encode("utf-8"))


def write_bytes_atomic(final: Path, data: bytes) -> None:
    """Write ``data``; readers see the old contents or all of the new."""
    with atomic_path(final) as temporary:
        temporary.write_bytes(data)


def write_text_unsynced(final: Path, text: str) -> None:
    """As ``write_text_atomic``, without waiting for the disk."""
    with atomic_path_unsynced(final) as temporary:
        temporary.write_bytes(text.encode("utf-8"))


def _flush_to_disk(path: Path) -> None:
    # Without this a power cut can leave the new name with nothing behind it.
    with path.open("rb+") as file:
        os.fsync(file.fileno())
