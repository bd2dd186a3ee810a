"""Files of leases on their way to a node and back.

Files are known by the SHA-256 of their contents. The coordinator's FileStore puts each content into Ray's object
store once; the first worker of a node that needs it writes it into the NodeCache, a folder that the node's workers
share. Where a node sees the very file (a shared filesystem), nothing is sent. On the node each input becomes a file
of the cache; what is made there is reported under the coordinator's names again.
"""

from __future__ import annotations

import collections
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock

from voiceclone_cli.files import file_sha256
from voiceclone_cli.system import lock_descriptor, user_number
from voiceclone_cli.workers.protocol import AnalysisTask, Lease, RowName
from voiceclone_worker.atomic import write_bytes_atomic
from voiceclone_worker.protocol import EncodeTask, Failure, ReferenceSpec, Result, SynthesisTask, Task

MAX_STORE_BYTES = 512 * 2**20
"""Bytes that the FileStore keeps in the object store; what was used least recently is dropped first."""

CACHE_PREFIX = "voiceclone-cache-"


class PayloadFile(NamedTuple):
    """Contents of a file. ``box`` is a reference into the object store."""

    sha256: str
    size: int
    box: Any


Payload = tuple[Lease, Mapping[str, PayloadFile]]
"""A lease and the contents of its files, by the coordinator's paths; a file that is missing there is missing here."""


class FileStore:
    """The coordinator's side. ``put`` puts an object into the object store and returns a reference to it."""

    def __init__(self, put: Callable[[Any], Any], max_bytes: int = MAX_STORE_BYTES) -> None:
        self.put = put
        self._max_bytes = max_bytes
        self._contents: collections.OrderedDict[str, PayloadFile] = collections.OrderedDict()
        self._known: dict[str, tuple[tuple[int, ...], str]] = {}
        self._bytes = 0

    def content(self, path: str) -> PayloadFile | None:
        """Return the present contents of a file; None where it cannot be read."""
        try:
            stat = _stat(path)
            known = self._known.get(path)
            if known is not None and known[0] == stat and (content := self._contents.get(known[1])):
                self._contents.move_to_end(content.sha256)
                return content
            data = Path(path).read_bytes()
        except OSError:
            return None
        sha256 = hashlib.sha256(data).hexdigest()
        self._known[path] = (stat, sha256)
        return self._contents.get(sha256) or self._add(sha256, data)

    def _add(self, sha256: str, data: bytes) -> PayloadFile:
        content = PayloadFile(sha256, len(data), self.put(data))
        self._contents[sha256] = content
        self._bytes += content.size
        while self._bytes > self._max_bytes and len(self._contents) > 1:
            # A lease on its way to a node keeps its own references alive.
            _, oldest = self._contents.popitem(last=False)
            self._bytes -= oldest.size
        return content


def pack_payload(lease: Lease, content_of: Callable[[str], PayloadFile | None]) -> Payload:
    """Return a lease with the contents of its files; ``content_of`` gives None where a file cannot be read."""
    paths: set[str] = set()
    for task in lease.tasks:
        if isinstance(task, EncodeTask):
            paths |= {reference.audio for reference in task.references}
        elif isinstance(task, SynthesisTask) and task.segments:
            paths |= {task.reference.audio, task.reference.codes}
    contents = {path: content_of(path) for path in sorted(paths - {""})}
    return lease, {path: content for path, content in contents.items() if content is not None}


def unpack_payload(
    payload: Payload,
    folder: Path,
    fetch: Callable[[str, PayloadFile], Path],
    convert: Callable[[Task | AnalysisTask], Task | AnalysisTask],
) -> NodeLease:
    """Return the lease as a worker of this node gets it. Raises OSError.

    ``fetch`` gives the file here that holds a content, ``convert`` adapts tasks to this node, ``folder`` takes
    what is made.
    """
    lease, contents = payload
    here = {path: str(fetch(path, content)) for path, content in contents.items()}
    tasks: list[Task | AnalysisTask] = []
    found = NodeLease(lease, folder)
    for number, task in enumerate(map(convert, lease.tasks)):
        outputs = folder / str(number)
        outputs.mkdir(parents=True)
        match task:
            case SynthesisTask():
                for segment in task.segments:
                    there = os.path.join(task.output_dir, f"{segment.id}.wav")
                    found.add((number, segment.id), there, outputs / f"{segment.id}.wav")
                output_dir = str(outputs) if task.segments else ""
                reference = _localized(task.reference, here)
                tasks.append(replace(task, reference=reference, output_dir=output_dir))
            case EncodeTask():
                references = []
                for position, reference in enumerate(task.references):
                    codes = outputs / f"{position}{Path(reference.codes).suffix}"
                    found.add((number, reference.speaker), reference.codes, codes)
                    references.append(replace(_localized(reference, here), codes=str(codes)))
                tasks.append(replace(task, references=tuple(references)))
            case AnalysisTask():
                tasks.append(task)
    found.lease = replace(lease, tasks=tuple(tasks))
    found.names |= {local: path for path, local in here.items()}
    return found


def _localized(reference: ReferenceSpec, here: Mapping[str, str]) -> ReferenceSpec:
    audio, codes = (here.get(path, path) for path in (reference.audio, reference.codes))
    return replace(reference, audio=audio, codes=codes)


class NodeLease:
    """A lease on a node, and the coordinator's names for the node's files."""

    def __init__(self, lease: Lease, folder: Path) -> None:
        self.lease = lease
        self.folder = folder
        self.outputs: dict[RowName, Path] = {}
        """The file of each row on this node."""
        self.names: dict[str, str] = {}
        """The coordinator's path for each path of this node."""

    def add(self, name: RowName, coordinators: str, here: Path) -> None:
        """Add the file of a row."""
        self.outputs[name] = here
        self.names[str(here)] = coordinators

    def event(self, event: Mapping[str, Any], *, done: bool) -> dict[str, Any]:
        """Return an event of a row in the coordinator's names; ``done``: its file is written."""
        translated = dict(event)
        name = event_row_name(event)
        if done and name is not None:
            translated["file"] = self.names[str(self.outputs[name])]
        error = event.get("error")
        if isinstance(error, dict) and isinstance(error.get("message"), str):
            translated["error"] = {**error, "message": self.text(error["message"])}
        return translated

    def result(self, result: Result) -> Result:
        """Return a result in the coordinator's names."""
        segments = (replace(row, **self._row((row.task, row.id), row)) for row in result.segments)
        references = (replace(row, **self._row((row.task, row.speaker), row)) for row in result.references)
        return replace(
            result,
            segments=tuple(segments),
            references=tuple(references),
            notes=tuple(map(self.text, result.notes)),
            error=self._failure(result.error),
        )

    def text(self, text: str) -> str:
        """Return a sentence that names the coordinator's files."""
        for here, coordinators in self.names.items():
            text = text.replace(here, coordinators)
        return text

    def _row(self, name: RowName, row: Any) -> dict[str, Any]:
        changed: dict[str, Any] = {"error": self._failure(row.error)}
        if row.status == "done" and name in self.outputs:
            changed["file"] = self.names[str(self.outputs[name])]
        return changed

    def _failure(self, failure: Failure | None) -> Failure | None:
        return None if failure is None else replace(failure, message=self.text(failure.message))


def event_row_name(event: Mapping[str, Any]) -> RowName | None:
    """Return the name of the row whose result an event reports; None for other events."""
    key = {"segment_done": "id", "segment_failed": "id", "encoded": "speaker"}.get(str(event.get("event")))
    task, which = event.get("task"), event.get(key) if key else None
    return (task, which) if isinstance(task, int) and isinstance(which, str) else None


class NodeCache:
    """A node's side: one of its workers, which keeps the folder that all of them share.

    ``get`` takes the bytes out of the object store. ``sharing``: look first whether this node sees the
    coordinator's own file. The folder is removed with the last worker.
    """

    def __init__(self, job: str, node: str, get: Callable[[Any], bytes], *, sharing: bool = True) -> None:
        self._get = get
        self._sharing = sharing
        self._same: dict[str, tuple[tuple[int, ...], str]] = {}
        self.folder = Path(tempfile.gettempdir()) / f"{CACHE_PREFIX}{user_number()}-{job}-{node[:12]}"
        sweep_node_caches()
        self._lock = _lock_folder(self.folder)
        self.fetched = 0
        """Contents that this worker has taken out of the object store."""

    def fetch(self, path: str, content: PayloadFile) -> Path:
        """Return a file of this node with this content; ``path`` is the coordinator's. Raises OSError."""
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
        """Let go of the folder; the last worker removes it."""
        try:
            lock_descriptor(self._lock, exclusive=True)
        except OSError:
            pass  # other workers use it
        else:
            shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self._lock)

    def _sees(self, path: str, content: PayloadFile) -> bool:
        try:
            stat = _stat(path)
            if stat[0] != content.size:
                return False
            known = self._same.get(path)
            if known is None or known[0] != stat:
                known = self._same[path] = (stat, file_sha256(Path(path)))
        except OSError:
            return False
        return known[1] == content.sha256


def sweep_node_caches() -> None:
    """Remove the folders that no worker uses: their workers were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{CACHE_PREFIX}{user_number()}-*"):
        with suppress(OSError):
            lock = os.open(folder / ".workers", os.O_RDWR)
            try:
                lock_descriptor(lock, exclusive=True)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)


def _lock_folder(folder: Path) -> int:
    """Create the folder with a shared lock (which ``filelock`` lacks); again where another worker just removed it."""
    while True:
        folder.mkdir(mode=0o700, exist_ok=True)
        try:
            lock = os.open(folder / ".workers", os.O_RDWR | os.O_CREAT, 0o600)
        except FileNotFoundError:
            continue
        lock_descriptor(lock, exclusive=False)
        with suppress(OSError):
            if os.path.samestat(os.fstat(lock), os.stat(folder / ".workers")):
                return lock
        os.close(lock)


def _stat(path: str) -> tuple[int, ...]:
    found = os.stat(path)
    return (found.st_size, found.st_mtime_ns, found.st_ino, found.st_dev)
