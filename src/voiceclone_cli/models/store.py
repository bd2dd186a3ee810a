"""The model files on disk: where they are, and which of them are known to be right.

Beside the files of a model lies a stamp: size, modification and change time of every file at the
moment its sha256 was found right. A file that still looks like its stamp is not hashed again.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from voiceclone_cli.errors import PreflightError
from voiceclone_cli.models.registry import ModelEntry, ModelFile
from voiceclone_worker.atomic import is_disk_full

# What can go wrong around model files, told as one sentence each.


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
def friendly_errors(home: Path) -> Iterator[None]:
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


_STAMP = ".verified.json"
_CHUNK = 1 << 20

Tick = Callable[[int], None]
"""Called with the number of bytes just worked through."""
Checksums = list[int | str]
"""How a file looked when it was right: sha256, size in bytes, modification and change time in ns."""
Stamps = Mapping[str, Checksums]


class FileState(StrEnum):
    READY = "ready"
    UNVERIFIED = "unverified"
    """There, of the right size, not hashed yet; or put there by hand, with no known hash to compare."""
    CORRUPT = "corrupt"
    MISSING = "missing"


class ModelState(StrEnum):
    READY = "ready"
    UNVERIFIED = "unverified"
    INCOMPLETE = "incomplete"
    """Some files are missing or corrupt."""
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """What is there of a model, file by file in the order of the entry."""

    entry: ModelEntry
    folder: Path
    files: tuple[FileState, ...]

    @property
    def state(self) -> ModelState:
        found = set(self.files)
        if found == {FileState.READY}:
            return ModelState.READY
        if found == {FileState.MISSING}:
            return ModelState.MISSING
        if found & {FileState.MISSING, FileState.CORRUPT}:
            return ModelState.INCOMPLETE
        return ModelState.UNVERIFIED

    @property
    def lacking(self) -> tuple[ModelFile, ...]:
        """The files to fetch."""
        bad = (FileState.MISSING, FileState.CORRUPT)
        return tuple(file for file, state in zip(self.entry.files, self.files, strict=True) if state in bad)


def default_home(environ: Mapping[str, str] = os.environ) -> Path:
    """The folder all model files live under: VOICECLONE_HOME, else the platform's cache folder."""
    chosen = environ.get("VOICECLONE_HOME", "").strip()
    if chosen:
        return Path(chosen).expanduser().absolute()
    from platformdirs import user_cache_path

    return user_cache_path("voiceclone", appauthor=False)


def model_folder(entry: ModelEntry, home: Path) -> Path:
    return home / "models" / entry.name


def check_status(entry: ModelEntry, home: Path) -> ModelStatus:
    """What is there, without hashing anything."""
    stamp = read_checksums(entry, home)
    place = model_folder(entry, home)
    return ModelStatus(entry, place, tuple(_glance(place, file, stamp) for file in entry.files))


def verify_files(entry: ModelEntry, home: Path, trusted: Stamps, tick: Tick) -> ModelStatus:
    """Hash every file that does not look as in ``trusted``, and stamp those found right.

    With an empty ``trusted`` everything is hashed. A file without a known sha256 is compared with the
    one it had when it came from the hub; one that was put there by hand stays unverified.
    """
    place = model_folder(entry, home)
    earlier = read_checksums(entry, home)
    states: list[FileState] = []
    stamp: dict[str, Checksums] = {}
    for file in entry.files:
        path = place / file.path
        state = _glance(place, file, trusted)
        right_sha256 = _right_sha256(file, earlier)
        if state in (FileState.READY, FileState.UNVERIFIED) and right_sha256 is not None:
            # Taken before the hash: a file that changes meanwhile no longer looks like its stamp.
            mark = _mark(path, right_sha256)
            if state is FileState.UNVERIFIED:
                right = sha256_of(path, tick) == right_sha256
                state = FileState.READY if right else FileState.CORRUPT
            if state is FileState.READY:
                stamp[file.path] = mark
            elif file.sha256 is None:
                # The only place that knows what it must hash to.
                stamp[file.path] = earlier[file.path]
        states.append(state)
    if stamp != earlier:
        _try_to_stamp(place, stamp)
    return ModelStatus(entry, place, tuple(states))


def install_files(entry: ModelEntry, file: ModelFile, chunks: Iterable[bytes], home: Path) -> bool:
    """Write a file and stamp it; False, and nothing is changed, when the bytes have another sha256.

    ``file`` must know its sha256. The caller holds the lock of ``home``.
    """
    place = model_folder(entry, home)
    target = place / file.path
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.part")
    digest = hashlib.sha256()
    room = file.size
    try:
        with partial.open("wb") as out:
            for chunk in chunks:
                room -= len(chunk)
                if room < 0:
                    # Wrong already, and nobody knows how much more would come.
                    return False
                digest.update(chunk)
                out.write(chunk)
            out.flush()
            # The stamp trusts size and time, so the bytes must be on the disk before the name is.
            os.fsync(out.fileno())
        if digest.hexdigest() != file.sha256:
            return False
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    _write_stamp(place, {**read_checksums(entry, home), file.path: _mark(target, digest.hexdigest())})
    return True


def read_checksums(entry: ModelEntry, home: Path) -> Stamps:
    """The stamp of a model; empty when there is none or it cannot be read: then all is hashed again."""
    try:
        document = json.loads((model_folder(entry, home) / _STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def sha256_of(path: Path, tick: Tick) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as source:
        while chunk := source.read(_CHUNK):
            digest.update(chunk)
            tick(len(chunk))
    return digest.hexdigest()


def _glance(place: Path, file: ModelFile, stamp: Stamps) -> FileState:
    path = place / file.path
    if not path.is_file():
        return FileState.MISSING
    if file.sha256 is not None and path.stat().st_size != file.size:
        return FileState.CORRUPT
    right_sha256 = _right_sha256(file, stamp)
    as_stamped = right_sha256 is not None and stamp.get(file.path) == _mark(path, right_sha256)
    return FileState.READY if as_stamped else FileState.UNVERIFIED


def _right_sha256(file: ModelFile, stamp: Stamps) -> str | None:
    """What the file must hash to: by the registry, else by the hub when it came from there."""
    mark = stamp.get(file.path)
    return file.sha256 or (str(mark[0]) if isinstance(mark, list) and mark else None)


def _mark(path: Path, sha256: str) -> Checksums:
    # The change time sees an edit whose modification time was set back.
    now = path.stat()
    return [sha256, now.st_size, now.st_mtime_ns, now.st_ctime_ns]


def _try_to_stamp(place: Path, stamp: Stamps) -> None:
    try:
        _write_stamp(place, stamp)
    except OSError:
        # A home that may only be read is fine: its files are hashed at every start instead.
        return


def _write_stamp(place: Path, stamp: Stamps) -> None:
    if not place.is_dir():
        return
    partial = place / f"{_STAMP}.{uuid.uuid4().hex}.part"
    try:
        partial.write_text(json.dumps(stamp, indent=1), encoding="utf-8")
        partial.replace(place / _STAMP)
    finally:
        partial.unlink(missing_ok=True)
