"""What leases need, sent once to each node: the controller's depot, and a node's shelf.

Files are known by the SHA-256 of what they hold. The depot puts each content into the object store once; the
first slot of a node that needs it lays it on the shelf, a folder that the node's slots share. Where a node
sees the very file (a shared filesystem), nothing is sent.
"""

from __future__ import annotations

import collections
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock

from voiceclone_cli.files import file_sha256
from voiceclone_cli.workers.protocol import Lease
from voiceclone_cli.workers.recovery import RowName
from voiceclone_worker.atomic import write_bytes_atomic
from voiceclone_worker.protocol import EncodeTask, EngineSpec, ReferenceSpec, Result, SynthesisTask, Task

# A lease on its way to a node and back: in the controller's words there, in the node's own here.
#
# The controller names files by its own paths and sends what they hold; on the node each becomes a file of the
# shelf, and what is made there is told under the controller's names again.


@dataclass(frozen=True, slots=True)
class PayloadFile:
    """What a file holds. ``box`` fetches it: a reference into the object store."""

    sha256: str
    size: int
    box: Any


@dataclass(frozen=True, slots=True)
class Payload:
    """A lease with what its files hold, by the controller's paths; one that is not there is missing here too."""

    lease: Lease
    contents: Mapping[str, PayloadFile]


def pack_payload(lease: Lease, content_of: Callable[[str], PayloadFile | None]) -> Payload:
    """``content_of`` gives what a file of the controller holds, None where it cannot be read."""
    contents = {}
    for path in sorted(set(_inputs(lease))):
        content = content_of(path)
        if content is not None:
            contents[path] = content
    return Payload(lease, contents)


def _inputs(lease: Lease) -> list[str]:
    found = []
    for task in lease.tasks:
        if isinstance(task, EncodeTask):
            found += [reference.audio for reference in task.references]
        elif task.segments:
            found += [task.reference.audio, task.reference.codes]
    return [path for path in found if path]


@dataclass(frozen=True, slots=True)
class UnpackedFiles:
    """The lease as a worker of this node gets it, and the controller's names for what it will tell."""

    lease: Lease
    folder: Path
    names: Mapping[RowName, str]
    """The file of each row, as the controller calls it."""
    files: Mapping[RowName, Path]
    """The same files here."""
    words: Mapping[str, str]
    """The controller's path for each path of this node."""

    def told(self, event: Mapping[str, Any], file: bool) -> dict[str, Any]:
        """A row or an event in the controller's words; ``file``: whether its file is known to be there."""
        told = dict(event)
        name = row_name(event)
        if file and name is not None:
            told["file"] = self.names[name]
        error = told.get("error")
        if isinstance(error, dict) and isinstance(error.get("message"), str):
            told["error"] = {**error, "message": self.plain(error["message"])}
        return told

    def answer(self, result: Result) -> Result:
        """A result in the controller's words."""
        return replace(
            result,
            segments=tuple(
                replace(row, **self._row((row.task, row.id), row.status, row.error))
                for row in result.segments
            ),
            references=tuple(
                replace(row, **self._row((row.task, row.speaker), row.status, row.error))
                for row in result.references
            ),
            notes=tuple(map(self.plain, result.notes)),
            error=None
            if result.error is None
            else replace(result.error, message=self.plain(result.error.message)),
        )

    def plain(self, text: str) -> str:
        """A sentence that names the controller's files."""
        for here, there in self.words.items():
            text = text.replace(here, there)
        return text

    def _row(self, name: RowName, status: str, error: Any) -> dict[str, Any]:
        changed: dict[str, Any] = {}
        if status == "done" and name in self.names:
            changed["file"] = self.names[name]
        if error is not None:
            changed["error"] = replace(error, message=self.plain(error.message))
        return changed


def row_name(event: Mapping[str, Any]) -> RowName | None:
    """Which row an event tells the end of; None where it tells of something else."""
    key = {"segment_done": "id", "segment_failed": "id", "encoded": "speaker"}.get(str(event.get("event")))
    task, which = event.get("task"), event.get(key) if key else None
    return (task, which) if isinstance(task, int) and isinstance(which, str) else None


def unpack_payload(
    parcel: Payload,
    folder: Path,
    fetch: Callable[[str, PayloadFile], Path],
    engine: Callable[[EngineSpec], EngineSpec],
) -> UnpackedFiles:
    """Put a lease down on this node: ``fetch`` gives the file here that holds a content, ``engine`` what the engine
    is here, ``folder`` takes what is made. Raises OSError."""
    here = {path: str(fetch(path, content)) for path, content in parcel.contents.items()}
    tasks: list[Task] = []
    names: dict[RowName, str] = {}
    files: dict[RowName, Path] = {}
    for number, task in enumerate(parcel.lease.tasks):
        place = folder / str(number)
        place.mkdir(parents=True)
        if isinstance(task, SynthesisTask):
            for segment in task.segments:
                name = (number, segment.id)
                names[name] = os.path.join(task.output_dir, f"{segment.id}.wav")
                files[name] = place / f"{segment.id}.wav"
            reference = _moved(task.reference, here)
            output = str(place) if task.segments else ""
            tasks.append(replace(task, engine=engine(task.engine), reference=reference, output_dir=output))
        else:
            references: list[ReferenceSpec] = []
            for reference in task.references:
                name = (number, reference.speaker)
                names[name] = reference.codes
                files[name] = place / f"{len(references)}{Path(reference.codes).suffix}"
                references.append(replace(_moved(reference, here), codes=str(files[name])))
            tasks.append(replace(task, engine=engine(task.engine), references=tuple(references)))
    words = {local: path for path, local in here.items()}
    words |= {str(files[name]): names[name] for name in names}
    return UnpackedFiles(replace(parcel.lease, tasks=tuple(tasks)), folder, names, files, words)


def _moved(reference: ReferenceSpec, here: Mapping[str, str]) -> ReferenceSpec:
    return replace(
        reference,
        audio=here.get(reference.audio, reference.audio),
        codes=here.get(reference.codes, reference.codes),
    )


MOST_BYTES = 512 * 2**20
"""That the depot holds in the object store; what was used least recently goes first."""

CACHE_PREFIX = "voiceclone-shelf-"


class FileStore:
    """The controller's side. ``put`` lays bytes into the object store and gives a reference to them."""

    def __init__(self, put: Callable[[bytes], Any], most: int = MOST_BYTES) -> None:
        self._put = put
        self._most = most
        self._held: collections.OrderedDict[str, PayloadFile] = collections.OrderedDict()
        self._known: dict[str, tuple[tuple[int, ...], str]] = {}
        self._bytes = 0

    def content(self, path: str) -> PayloadFile | None:
        """What the file holds now; None where it cannot be read."""
        try:
            look = _look(path)
            known = self._known.get(path)
            if known is not None and known[0] == look and (content := self._held.get(known[1])):
                self._held.move_to_end(content.sha256)
                return content
            data = Path(path).read_bytes()
        except OSError:
            return None
        sha256 = hashlib.sha256(data).hexdigest()
        self._known[path] = (look, sha256)
        return self._held.get(sha256) or self._keep(sha256, data)

    def _keep(self, sha256: str, data: bytes) -> PayloadFile:
        content = PayloadFile(sha256, len(data), self._put(data))
        self._held[sha256] = content
        self._bytes += content.size
        while self._bytes > self._most and len(self._held) > 1:
            # Who is on the way to a node with it keeps it alive.
            _, oldest = self._held.popitem(last=False)
            self._bytes -= oldest.size
        return content


class NodeCache:
    """A node's side: one of its slots, holding on to the folder that all of them share.

    ``get`` takes the bytes out of the object store. ``sharing``: look first whether this node sees the
    controller's own file. The folder goes with the last slot that holds on to it.
    """

    def __init__(self, job: str, node: str, get: Callable[[Any], bytes], *, sharing: bool = True) -> None:
        self._get = get
        self._sharing = sharing
        self._same: dict[str, tuple[tuple[int, ...], str]] = {}
        self.folder = Path(tempfile.gettempdir()) / f"{CACHE_PREFIX}{os.getuid()}-{job}-{node[:12]}"
        sweep_node_caches()
        self._hold = _hold_on(self.folder)
        self.fetched = 0
        """Contents that this slot has taken out of the object store."""

    def place(self, path: str, content: PayloadFile) -> Path:
        """A file of this node that holds this content; ``path`` is the controller's. Raises OSError."""
        if self._sharing and self._sees(path, content):
            return Path(path)
        target = self.folder / f"{content.sha256}{Path(path).suffix}"
        if target.is_file():
            return target
        with FileLock(self.folder / f".{content.sha256}.lock"):
            if not target.is_file():
                write_bytes_atomic(target, self._get(content.box), sync=False)
                self.fetched += 1
        return target

    def close(self) -> None:
        """Let go of the folder; the last one takes it away."""
        import fcntl

        try:
            fcntl.flock(self._hold, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            pass  # others hold on to it
        else:
            shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self._hold)

    def _sees(self, path: str, content: PayloadFile) -> bool:
        try:
            look = _look(path)
            if look[0] != content.size:
                return False
            known = self._same.get(path)
            if known is None or known[0] != look:
                known = self._same[path] = (look, file_sha256(Path(path)))
        except OSError:
            return False
        return known[1] == content.sha256


def sweep_node_caches() -> None:
    """Take away the folders that nobody holds on to: their slots were killed."""
    import fcntl

    for folder in Path(tempfile.gettempdir()).glob(f"{CACHE_PREFIX}{os.getuid()}-*"):
        with suppress(OSError):
            hold = os.open(folder / ".slots", os.O_RDWR)
            try:
                fcntl.flock(hold, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(hold)


def _hold_on(folder: Path) -> int:
    """A shared lock (which ``filelock`` has not) in the folder, which is made; again where another slot was just
    taking it away."""
    import fcntl

    while True:
        folder.mkdir(mode=0o700, exist_ok=True)
        try:
            hold = os.open(folder / ".slots", os.O_RDWR | os.O_CREAT, 0o600)
        except FileNotFoundError:
            continue
        fcntl.flock(hold, fcntl.LOCK_SH)
        with suppress(OSError):
            if os.path.samestat(os.fstat(hold), os.stat(folder / ".slots")):
                return hold
        os.close(hold)


def _look(path: str) -> tuple[int, ...]:
    found = os.stat(path)
    return (found.st_size, found.st_mtime_ns, found.st_ino, found.st_dev)
