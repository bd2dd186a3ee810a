"""Files of runs: writing them, the errors of writing, checksums, locks, state of this machine, and safe names.

The rule for names is the worker's (``voiceclone_worker.validation``), which checks task files by it.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from voiceclone_cli.errors import InputError, RunError, VoicecloneError
from voiceclone_worker.atomic import is_disk_full, is_open_elsewhere, write_bytes_atomic
from voiceclone_worker.validation import clash, name_fault, shown


def write_text_atomic(final: Path, text: str, *, sync: bool = True) -> None:
    """Write ``text`` as UTF-8 with its line ends as they are. Raises OSError."""
    write_bytes_atomic(final, text.encode("utf-8"), sync=sync)


def check_writable(final: Path) -> None:
    """Raise the OSError that writing ``final`` would raise: better now than after an hour of work."""
    if final.is_dir():
        raise IsADirectoryError(errno.EISDIR, f"{final.name} is a folder")
    final.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=final.parent):
        pass


def write_error(folder: Path, error: OSError) -> RunError:
    """Return the error that a user gets for an OSError while ``folder`` is written into.

    Codes: ``disk_full``, ``file_in_use``, ``output_vanished`` (the folder was removed), else ``output_unwritable``.
    """
    if is_disk_full(error):
        return RunError(
            f"The disk of {folder} is full: make room there and give the same command again.",
            code="disk_full",
        )
    if is_open_elsewhere(error):
        return RunError(
            f"{error.filename or folder} is open in another program: close it there and give the same command again.",
            code="file_in_use",
        )
    if error.errno == errno.ENOENT and not folder.exists():
        return RunError(
            f"{folder} was removed while it was being written into: give the same command again, and leave "
            "the folder alone until it has ended.",
            code="output_vanished",
        )
    if error.errno == errno.ENAMETOOLONG:
        return RunError(
            f"The name {str(error.filename or folder)!r:.80} is longer than the file system allows: choose a shorter one.",
            code="output_unwritable",
        )
    return RunError(
        f"Cannot write to {folder} ({error.strerror or error}): check its permissions, or choose another folder.",
        code="output_unwritable",
    )


@contextmanager
def friendly_errors(
    folder: Path, explain: Callable[[Path, OSError], VoicecloneError] = write_error
) -> Iterator[None]:
    """Turn an OSError of the block, which works in ``folder``, into the error that ``explain`` makes of it."""
    try:
        yield
    except OSError as error:
        raise explain(folder, error) from error


def fingerprint(parts: Mapping[str, Any]) -> str:
    """Return the SHA-256 of JSON values, the same whatever their order."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode("ascii")).hexdigest()


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hex. Raises OSError."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def text_sha256(text: str) -> str:
    """Return the SHA-256 of a file that holds exactly this text in UTF-8, in hex."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def folder_size(folder: Path) -> int:
    """Return the bytes of all files under ``folder``, 0 where it does not exist. Links are not followed."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            # A process that works there may move its files while they are counted.
            with contextlib.suppress(FileNotFoundError):
                total += (Path(parent) / name).lstat().st_size
    return total


@contextmanager
def locked_file(lock_file: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold a lock between processes during the block; call ``on_wait`` once a second while another has it.

    The system releases the lock of a process that dies. Raises OSError where the file cannot be made.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(lock_file)
    while True:
        try:
            lock.acquire(timeout=1)
            break
        except Timeout:
            on_wait()
    try:
        yield
    finally:
        lock.release()


def state_file(name: str) -> Path:
    """Return the file of a state of this machine, in the platform's folder for it: not with the models, which
    several machines may share."""
    from platformdirs import user_state_path

    return user_state_path("voiceclone", appauthor=False) / name


def write_state(path: Path, text: str) -> bool:
    """Write a state file. Return False where it cannot be written: a run does not fail for it."""
    try:
        write_text_atomic(path, text)
    except OSError:
        return False
    return True


def are_safe_names(names: Collection[str]) -> bool:
    """Return whether all of these names can name files, on every system different ones."""
    return not any(map(name_fault, names)) and clash(names) is None


def check_speaker_names(names: Iterable[str]) -> None:
    """Raise InputError (``unsafe_name``) for a speaker's name that cannot name a folder, and for two different
    names that are the same on some system."""
    distinct = sorted(set(names))
    for name in distinct:
        fault = name_fault(name)
        if fault is not None:
            raise InputError(
                f"the speaker name {shown(name)} cannot name a folder, because it {fault}; "
                "use letters, digits, blanks, - and _.",
                code="unsafe_name",
            )
    pair = clash(distinct)
    if pair is not None:
        raise InputError(
            f"the speaker names {shown(pair[0])} and {shown(pair[1])} would name one folder on some systems; "
            "write one of them for both, or rename one.",
            code="unsafe_name",
        )
