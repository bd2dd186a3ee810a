"""Files that are either whole or not there: written beside their place under another name, then moved in."""

from __future__ import annotations

import os
import secrets
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
    final.parent.mkdir(parents=True, exist_ok=True)
    # The stem is cut so that a long name does not pass the file system's limit.
    temporary = final.with_name(f".{final.stem[:40]}.{secrets.token_hex(4)}.part{final.suffix}")
    temporary.touch(exist_ok=False)
    try:
        yield temporary
        _flush_to_disk(temporary)
        os.replace(temporary, final)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def explain_write_errors(folder: Path) -> Iterator[None]:
    """Turn an OSError of the block into a RunError (``output_unwritable``) that names the folder."""
    try:
        yield
    except OSError as error:
        raise RunError(
            f"Cannot write to {folder} ({error.strerror or error}): check its free space and permissions.",
            code="output_unwritable",
        ) from error


def write_text_atomic(final: Path, text: str) -> None:
    """Write ``text`` as UTF-8, its line ends as they are."""
    write_bytes_atomic(final, text.encode("utf-8"))


def write_bytes_atomic(final: Path, data: bytes) -> None:
    """Write ``data``; readers see the old contents or all of the new."""
    with atomic_path(final) as temporary:
        temporary.write_bytes(data)


def _flush_to_disk(path: Path) -> None:
    # Without this a power cut can leave the new name with nothing behind it.
    with path.open("rb+") as file:
        os.fsync(file.fileno())
