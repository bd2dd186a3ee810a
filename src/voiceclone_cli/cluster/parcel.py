"""A lease on its way to a node and back: in the controller's words there, in the node's own here.

The controller names files by its own paths and sends what they hold; on the node each becomes a file of the
shelf, and what is made there is told under the controller's names again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from voiceclone_cli.workers.held import RowName
from voiceclone_cli.workers.leases import Lease
from voiceclone_worker.contract import EncodeTask, EngineSpec, ReferenceSpec, Result, SynthesisTask, Task


@dataclass(frozen=True, slots=True)
class Content:
    """What a file holds. ``box`` fetches it: a reference into the object store."""

    sha256: str
    size: int
    box: Any


@dataclass(frozen=True, slots=True)
class Parcel:
    """A lease with what its files hold, by the controller's paths; one that is not there is missing here too."""

    lease: Lease
    contents: Mapping[str, Content]


def pack(lease: Lease, content_of: Callable[[str], Content | None]) -> Parcel:
    """``content_of`` gives what a file of the controller holds, None where it cannot be read."""
    contents = {}
    for path in sorted(set(_inputs(lease))):
        content = content_of(path)
        if content is not None:
            contents[path] = content
    return Parcel(lease, contents)


def _inputs(lease: Lease) -> list[str]:
    found = []
    for task in lease.tasks:
        if isinstance(task, EncodeTask):
            found += [reference.audio for reference in task.references]
        elif task.segments:
            found += [task.reference.audio, task.reference.codes]
    return [path for path in found if path]


@dataclass(frozen=True, slots=True)
class Unpacked:
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


def unpack(
    parcel: Parcel,
    folder: Path,
    fetch: Callable[[str, Content], Path],
    engine: Callable[[EngineSpec], EngineSpec],
) -> Unpacked:
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
    return Unpacked(replace(parcel.lease, tasks=tuple(tasks)), folder, names, files, words)


def _moved(reference: ReferenceSpec, here: Mapping[str, str]) -> ReferenceSpec:
    return replace(
        reference,
        audio=here.get(reference.audio, reference.audio),
        codes=here.get(reference.codes, reference.codes),
    )
