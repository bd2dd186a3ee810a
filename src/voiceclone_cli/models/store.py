"""The model files on disk: where they are, and which of them are verified.

Beside the files of a model lies ``.verified.json``: sha256, size, modification and change time of every file at the
moment its sha256 was found right. A file that still looks the same is not hashed again.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from voiceclone_cli.errors import PreflightError
from voiceclone_cli.files import write_text_atomic
from voiceclone_cli.models.onnx_graph import cut_graph
from voiceclone_cli.models.registry import ModelEntry, ModelFile, same_files
from voiceclone_cli.system import change_time
from voiceclone_worker.atomic import atomic_path, is_disk_full

_CHECKSUMS_FILE = ".verified.json"
_CHUNK = 1 << 20
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}

Tick = Callable[[int], None]
"""Called with the number of bytes that were just hashed."""
Checksum = list[int | str]
"""sha256, size in bytes, modification and change time in ns of a file that was right."""
Checksums = Mapping[str, Checksum]
"""By the file's path in the model's folder."""


class SourceError(Exception):
    """A source that could not deliver; another may. ``advice`` says what to do, in the imperative."""

    def __init__(self, reason: str, *, advice: str, code: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.advice = advice
        self.code = code


class FileState(StrEnum):
    """State of one file of a model."""

    READY = "ready"
    UNVERIFIED = "unverified"
    """There, of the right size, not hashed yet; or put there by hand, with no known hash to compare."""
    UNCUT = "uncut"
    """Not there, but the file that it is cut out of is."""
    SHARED = "shared"
    """Not there, but another model has the same file."""
    CORRUPT = "corrupt"
    MISSING = "missing"


class ModelState(StrEnum):
    """State of a model as a whole."""

    READY = "ready"
    UNVERIFIED = "unverified"
    """All there, but not every file was hashed, or is cut out of its whole or taken from another model yet."""
    INCOMPLETE = "incomplete"
    """Some files are missing or corrupt."""
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """State of a model on disk, file by file in the order of the entry."""

    entry: ModelEntry
    folder: Path
    files: tuple[FileState, ...]

    @property
    def state(self) -> ModelState:
        """State of the model as a whole."""
        found = set(self.files)
        if found == {FileState.READY}:
            return ModelState.READY
        if FileState.MISSING in found and found <= {FileState.MISSING, FileState.SHARED}:
            return ModelState.MISSING
        if found & {FileState.MISSING, FileState.CORRUPT}:
            return ModelState.INCOMPLETE
        return ModelState.UNVERIFIED

    @property
    def lacking(self) -> tuple[ModelFile, ...]:
        """The files to fetch: missing or corrupt."""
        return self._in_state(FileState.MISSING, FileState.CORRUPT)

    @property
    def unshared(self) -> tuple[ModelFile, ...]:
        """The files to fetch after ``share_files``: also those of another model whose bytes are wrong."""
        return self._in_state(FileState.MISSING, FileState.CORRUPT, FileState.SHARED)

    def _in_state(self, *wanted: FileState) -> tuple[ModelFile, ...]:
        states = zip(self.entry.files, self.files, strict=True)
        return tuple(file for file, state in states if state in wanted)

    @property
    def is_usable(self) -> bool:
        """Whether the files can be used as they are, as far as is known."""
        return set(self.files) <= {FileState.READY, FileState.UNVERIFIED}


def default_home(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder all model files live under: VOICECLONE_HOME, else the platform's cache folder."""
    chosen = environ.get("VOICECLONE_HOME", "").strip()
    if chosen:
        return Path(chosen).expanduser().absolute()
    from platformdirs import user_cache_path

    return user_cache_path("voiceclone", appauthor=False)


def model_folder(entry: ModelEntry, home: Path) -> Path:
    """Return the folder of a model's files."""
    return home / "models" / entry.name


def check_status(entry: ModelEntry, home: Path) -> ModelStatus:
    """Return the state of a model without hashing anything."""
    checksums = read_checksums(entry, home)
    states = tuple(_file_state(entry, file, home, checksums) for file in entry.files)
    return ModelStatus(entry, model_folder(entry, home), states)


def verify_files(entry: ModelEntry, home: Path, trusted: Checksums, tick: Tick) -> ModelStatus:
    """Hash every file that does not look as in ``trusted``, and note the checksums of those found right.

    With an empty ``trusted`` everything is hashed. A file without a known sha256 is compared with the
    one it had when it came from the hub; one that was put there by hand stays unverified.
    """
    folder = model_folder(entry, home)
    earlier = read_checksums(entry, home)
    states: list[FileState] = []
    checksums: dict[str, Checksum] = {}
    for file in entry.files:
        path = folder / file.path
        state = _file_state(entry, file, home, trusted)
        sha256 = _expected_sha256(file, earlier)
        if state in (FileState.READY, FileState.UNVERIFIED) and sha256 is not None:
            # Taken before the hash: a file that changes meanwhile no longer looks like its checksum.
            checksum = _checksum(path, sha256)
            if state is FileState.UNVERIFIED:
                state = FileState.READY if sha256_of(path, tick) == sha256 else FileState.CORRUPT
            if state is FileState.READY:
                checksums[file.path] = checksum
            elif file.sha256 is None:
                # The only record of what it must hash to.
                checksums[file.path] = earlier[file.path]
        states.append(state)
    if checksums != earlier and folder.is_dir():
        # A home that may only be read is fine: its files are hashed at every start instead.
        with suppress(OSError):
            _write_checksums(folder, checksums)
    return ModelStatus(entry, folder, tuple(states))


def install_file(entry: ModelEntry, file: ModelFile, chunks: Iterable[bytes], home: Path) -> None:
    """Write a file, which must know its sha256, and note its checksum. The caller holds the lock of ``home``.

    Raises SourceError, and nothing is changed, when the bytes have another sha256.
    """
    target = model_folder(entry, home) / file.path
    digest = hashlib.sha256()
    left = file.size
    with atomic_path(target) as partial:
        with partial.open("wb") as out:
            for chunk in chunks:
                left -= len(chunk)
                if left < 0:  # wrong already, and it may be endless
                    break
                digest.update(chunk)
                out.write(chunk)
        if left < 0 or digest.hexdigest() != file.sha256:
            raise SourceError(
                f"{file.path} of {entry.name} came with a wrong sha256",
                advice="try again, and if it stays so report it",
                code="model_hash_mismatch",
            )
    checksums = {**read_checksums(entry, home), file.path: _checksum(target, digest.hexdigest())}
    _write_checksums(model_folder(entry, home), checksums)


def cut_files(entry: ModelEntry, home: Path) -> None:
    """Cut those files of a model that are not there out of the wholes that are, and remove the wholes.

    A whole with another sha256 is removed too: it cannot be used. The caller holds the lock of ``home``.
    """
    status = check_status(entry, home)
    wanted: dict[ModelFile, list[ModelFile]] = {}
    for file, state in zip(entry.files, status.files, strict=True):
        if file.cut is not None and state not in (FileState.READY, FileState.UNVERIFIED):
            wanted.setdefault(file.cut.whole, []).append(file)
    for whole, parts in wanted.items():
        path = status.folder / whole.path
        if not _has_size(path, whole):
            continue
        model = path.read_bytes()
        if hashlib.sha256(model).hexdigest() == whole.sha256:
            for part in parts:
                assert part.cut is not None
                install_file(entry, part, [cut_graph(model, part.cut.inputs, part.cut.outputs)], home)
        path.unlink()


def share_files(entry: ModelEntry, home: Path, tick: Tick) -> None:
    """Give a model those of its files that another model has, as a second name of the same bytes.

    Where the file system has no hard links they are copied. A file whose bytes are wrong is not taken. The caller
    holds the lock of ``home``.
    """
    for file, state in zip(entry.files, check_status(entry, home).files, strict=True):
        if state is not FileState.SHARED:
            continue
        for owner, other in same_files(file, entry):
            source, target = model_folder(owner, home) / other.path, model_folder(entry, home) / file.path
            if not _has_size(source, other) or sha256_of(source, tick) != file.sha256:
                continue
            with atomic_path(target) as partial:
                partial.unlink()
                try:
                    os.link(source, partial)
                except OSError:
                    shutil.copyfile(source, partial)
            # A link changes the times of the file that it is made of.
            for model, path in ((entry, target), (owner, source)):
                name = path.relative_to(model_folder(model, home)).as_posix()
                checksums = {**read_checksums(model, home), name: _checksum(path, str(file.sha256))}
                _write_checksums(model_folder(model, home), checksums)
            break


def read_checksums(entry: ModelEntry, home: Path) -> Checksums:
    """Return the checksums of a model; empty when they cannot be read: then all is hashed again."""
    try:
        document = json.loads((model_folder(entry, home) / _CHECKSUMS_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def sha256_of(path: Path, tick: Tick) -> str:
    """Return the SHA-256 of a file, in hex."""
    digest = hashlib.sha256()
    for chunk in read_chunks(path):
        digest.update(chunk)
        tick(len(chunk))
    return digest.hexdigest()


def read_chunks(path: Path) -> Iterator[bytes]:
    """Yield a file's bytes, in parts that fit into memory."""
    with path.open("rb") as source:
        while chunk := source.read(_CHUNK):
            yield chunk


def require_space(home: Path, needed: int) -> None:
    """Raise PreflightError when fewer than ``needed`` bytes are free where ``home`` is."""
    free = shutil.disk_usage(home).free
    if free < needed:
        raise PreflightError(
            f"The models need {megabytes(needed)} in {home} while they are fetched and {megabytes(free)} are "
            "free: make room there, or set VOICECLONE_HOME to a folder on another disk.",
            code="disk_full",
        )


def home_error(home: Path, error: OSError) -> PreflightError:
    """Return the error that a user gets for an OSError in ``home``, the folder of all models."""
    if is_disk_full(error):
        return PreflightError(
            f"The disk of {home} is full: make room there, or set VOICECLONE_HOME to a folder on another disk.",
            code="disk_full",
        )
    if error.errno in _FORBIDDEN:
        return PreflightError(
            f"The model folder {home} cannot be written ({error.filename or home}): give yourself the "
            "right to, or set VOICECLONE_HOME to another folder.",
            code="models_home_unwritable",
        )
    return PreflightError(
        f"The model folder {home} cannot be used ({error.strerror or error}): "
        "set VOICECLONE_HOME to another folder.",
        code="models_home_unusable",
    )


def megabytes(size: int) -> str:
    """Return a number of bytes as text: "81.0 MB"."""
    return f"{size / 1e6:.1f} MB" if size < 100e6 else f"{size / 1e6:.0f} MB"


def _file_state(entry: ModelEntry, file: ModelFile, home: Path, checksums: Checksums) -> FileState:
    folder = model_folder(entry, home)
    path = folder / file.path
    if (
        file.cut is not None
        and not _has_size(path, file)
        and _has_size(folder / file.source.path, file.source)
    ):
        return FileState.UNCUT
    if not path.is_file():
        others = same_files(file, entry)
        is_shared = any(_has_size(model_folder(owner, home) / other.path, other) for owner, other in others)
        return FileState.SHARED if is_shared else FileState.MISSING
    if file.sha256 is not None and path.stat().st_size != file.size:
        return FileState.CORRUPT
    sha256 = _expected_sha256(file, checksums)
    is_unchanged = sha256 is not None and checksums.get(file.path) == _checksum(path, sha256)
    return FileState.READY if is_unchanged else FileState.UNVERIFIED


def _has_size(path: Path, file: ModelFile) -> bool:
    return path.is_file() and path.stat().st_size == file.size


def _expected_sha256(file: ModelFile, checksums: Checksums) -> str | None:
    """Return what the file must hash to: by the registry, else by the hub when it came from there."""
    checksum = checksums.get(file.path)
    return file.sha256 or (str(checksum[0]) if isinstance(checksum, list) and checksum else None)


def _checksum(path: Path, sha256: str) -> Checksum:
    # The change time shows an edit whose modification time was set back.
    stat = path.stat()
    return [sha256, stat.st_size, stat.st_mtime_ns, change_time(path)]


def _write_checksums(folder: Path, checksums: Checksums) -> None:
    write_text_atomic(folder / _CHECKSUMS_FILE, json.dumps(checksums, indent=1))
