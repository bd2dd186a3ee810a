"""What a segment's id and a speaker's name may be: both name files, on every system the same ones.

The rule itself is the worker's (``voiceclone_worker.contract``), which checks task files by it.
"""

from __future__ import annotations

import errno
import hashlib
import json
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from voiceclone_cli.errors import InputError, RunError
from voiceclone_worker.atomic import is_disk_full, write_bytes_atomic
from voiceclone_worker.validation import clash, name_fault, shown


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


def write_text_atomic(final: Path, text: str, *, sync: bool = True) -> None:
    """Write ``text`` as UTF-8 with its line ends as they are. Raises OSError."""
    write_bytes_atomic(final, text.encode("utf-8"), sync=sync)


# Names for exactly these inputs.


def fingerprint(parts: Mapping[str, Any]) -> str:
    """The same for the same parts, whatever their order."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode("ascii")).hexdigest()


def file_sha256(path: Path) -> str:
    """Of a file's content. Raises OSError."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def text_sha256(text: str) -> str:
    """Of a file that holds exactly this text in UTF-8."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


# A lock between processes that is waited for.


@contextmanager
def locked_file(lock_file: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock; ``waiting`` is called once a second until another process lets go of it. The system takes it
    from a process that dies, so it cannot go stale. Raises OSError where the file cannot be made."""
    from filelock import FileLock, Timeout

    lock = FileLock(lock_file)
    while True:
        try:
            lock.acquire(timeout=1)
            break
        except Timeout:
            waiting()
    try:
        yield
    finally:
        lock.release()


# What is remembered of this machine from run to run: how fast it is, and what its user was told.


def state_file(name: str) -> Path:
    """Where such a thing is kept: in the platform's folder for state, not with the models, which several
    machines may share."""
    from platformdirs import user_state_path

    return user_state_path("voiceclone", appauthor=False) / name


def write_state(path: Path, text: str) -> bool:
    """Write it, whole or not at all. A run does not fail for its memory: False where it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text_atomic(path, text)
    except OSError:
        return False
    return True


def are_safe_names(names: Collection[str]) -> bool:
    """Whether each of these names can name a file of its own."""
    return not any(map(name_fault, names)) and clash(names) is None


def check_speaker_names(names: Iterable[str]) -> None:
    """Raises InputError (``unsafe_name``) for a speaker's name that cannot name a file or a folder, and for two
    different ones that some system takes for the same."""
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
