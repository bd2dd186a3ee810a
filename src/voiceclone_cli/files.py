"""What a segment's id and a speaker's name may be: both name files, on every system the same ones.

The rule itself is the worker's (``voiceclone_worker.contract``), which checks task files by it.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import secrets
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from voiceclone_cli.errors import InputError, RunError, VoicecloneError
from voiceclone_worker.validation import clash, name_fault, shown

# Files that are either whole or not there: written beside their place under another name, then moved in.
#
# What that is worth: whatever ends the process, also a kill, a file under its final name is whole, the old one or
# the new. After a power cut this still holds for what was flushed to the disk before it got its name
# (``atomic_path``, ``write_text_atomic``, ``write_bytes_atomic``); which of the two is there, the last moments
# decide. What is written ``unsynced`` may be torn then: it is for files that carry a check and can be made again.
#
# A link in the place of a file is replaced, not followed.


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


@contextmanager
def friendly_errors(
    folder: Path, explain: Callable[[Path, OSError], VoicecloneError] = write_error
) -> Iterator[None]:
    """Turn an OSError of the block, which works in ``folder``, into the error that ``explain`` makes of it."""
    try:
        yield
    except OSError as error:
        raise explain(folder, error) from error


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


def folder_size(folder: Path) -> int:
    """Return the bytes of all files under ``folder``, 0 where it does not exist. Links are not followed."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            # A process that works there may move its files while they are counted.
            with contextlib.suppress(FileNotFoundError):
                total += (Path(parent) / name).lstat().st_size
    return total


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
