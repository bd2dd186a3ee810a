"""Types of a batch, and its document: what ``--json`` prints and batch.json keeps."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from voiceclone_cli.config import Settings
from voiceclone_cli.errors import InputError, RunError, Stopped, VoicecloneError
from voiceclone_cli.files import friendly_errors, write_text_atomic
from voiceclone_cli.pipeline.request import RunRequest
from voiceclone_cli.rundir.manifest import ERROR, EXIT_CODES, PARTIAL, PLANNED, SUCCESS, json_object
from voiceclone_cli.types import INPUTS_STAGE
from voiceclone_worker.validation import dump_json

BATCH_FILES = INPUTS_STAGE
"""The stage that counts recordings. An event of it that names an input reports the end of that input."""
BATCH_SCHEMA = "voiceclone.batch/1"
FILE_NAME = "batch.json"
RUNNING, INTERRUPTED = "running", "interrupted"

InputEntry = dict[str, Any]
"""The entry of one input in the document."""


@dataclass(frozen=True, slots=True)
class BatchItem:
    """One recording of a batch."""

    request: RunRequest
    """``out`` is the run directory, under the batch's root."""
    name: str
    """Name of the run directory: short, and unique in the batch."""
    recording: str = ""
    """Of a translation its name without the language, which all translations of the recording have."""


@dataclass(frozen=True, slots=True)
class SharedVideo:
    """The video of a recording with a track for each of its translations."""

    recording: str
    source: Path
    path: Path


@dataclass(frozen=True, slots=True)
class SharedVideoResult:
    """What came of a shared video."""

    video: SharedVideo
    languages: tuple[str, ...] = ()
    """BCP 47 tags, in the order of the tracks; empty where no video was written."""
    sha256: str | None = None
    notes: tuple[str, ...] = ()
    """Sentences for the user, such as a language that is left out."""
    error: Mapping[str, str] | None = None
    """``code`` and ``message`` of why it was not written though there is sound for it."""


@dataclass(frozen=True, slots=True)
class Batch:
    """The recordings of one command, in order."""

    items: tuple[BatchItem, ...]
    root: Path
    """The folder of all run directories and of batch.json."""
    settings: Settings
    """Settings that hold for all: engine, mode, workers, executor."""
    earlier: Mapping[str, str] = field(default_factory=dict)
    """Names by input, of inputs of earlier batches in this root that are not in this one."""
    notes: tuple[str, ...] = ()
    """Sentences for the user, such as a file that was named twice."""
    videos: tuple[SharedVideo, ...] = ()
    """To write when all translations have ended."""


@dataclass(frozen=True, slots=True)
class ItemResult:
    """The result of one recording."""

    item: BatchItem
    document: Mapping[str, Any] | None
    """The run's manifest (``voiceclone.run/1``); None when the run ended without one."""
    exit_code: int
    error: Mapping[str, str] | None
    """``code`` and ``message`` of what ended the run without a manifest."""
    seconds: float


@dataclass(frozen=True, slots=True)
class BatchRun:
    """The results of all recordings, and the use of the workers."""

    results: tuple[ItemResult, ...]
    """In the order of the items, without those that were not started when the batch was stopped."""
    stopped: Stopped | None
    timing: Mapping[str, float]
    """Seconds: total, slots_busy, slots_idle."""
    peak_mb: int
    """Memory of the largest worker."""
    workers: int
    """The largest number of workers at a time."""
    videos: tuple[SharedVideoResult, ...] = ()


def planned_entry(item: BatchItem) -> InputEntry:
    """Return the entry of an input that was not started."""
    return {
        "name": item.name,
        "input": str(item.request.input),
        "run_dir": str(item.request.run_dir),
        "status": PLANNED,
        "exit_code": None,
        "engine": None,
        "segments": {"total": 0, "done": 0, "failed": 0, "kept": 0},
        "seconds": None,
        "outputs": {},
        "error": None,
    }


def result_entry(result: ItemResult) -> InputEntry:
    """Return the entry of an input whose run has ended."""
    run = result.document
    entry = planned_entry(result.item) | {
        "status": ERROR,
        "exit_code": result.exit_code,
        "seconds": round(result.seconds, 3),
        "error": dict(result.error) if result.error else None,
    }
    if run is not None:
        statuses = [segment["status"] for segment in run["segments"]]
        entry |= {key: run[key] for key in ("status", "engine", "outputs")}
        entry["segments"] = {
            "total": len(statuses),
            "done": statuses.count("done"),
            "failed": statuses.count("failed"),
            "kept": run["reused"],
        }
        if result.error is None and result.exit_code and run["errors"]:
            entry["error"] = {key: run["errors"][0][key] for key in ("code", "message")}
    if result.exit_code > 128:  # a signal's
        entry["status"] = INTERRUPTED
    return entry


def video_entry(result: SharedVideoResult) -> dict[str, Any]:
    """Return the entry of a shared video; its ``languages`` are empty where it was not written."""
    return {
        "name": result.video.recording,
        "input": str(result.video.source),
        "path": str(result.video.path),
        "languages": list(result.languages),
        "sha256": result.sha256,
    }


def exit_code(
    entries: Sequence[Mapping[str, Any]],
    stopped: Stopped | None,
    videos: Sequence[SharedVideoResult] = (),
) -> int:
    """Return 0 where all is complete, 3 where some output was made, else the code that all share, or 1."""
    if stopped is not None:
        return stopped.exit_code
    codes = [entry["exit_code"] for entry in entries]
    if all(code == 0 for code in codes):
        return EXIT_CODES[PARTIAL] if any(video.error for video in videos) else 0
    if 0 in codes or EXIT_CODES[PARTIAL] in codes:
        return EXIT_CODES[PARTIAL]
    failures = {code for code in codes if code is not None}
    return failures.pop() if len(failures) == 1 else RunError.exit_code


def batch_document(batch: Batch, entries: Sequence[InputEntry], status: str = RUNNING) -> dict[str, Any]:
    """Return the document, ``voiceclone.batch/1``; paths are absolute."""
    return {
        "schema": BATCH_SCHEMA,
        "status": status,
        "root": str(batch.root),
        "executor": batch.settings.executor,
        "engine": next((entry["engine"] for entry in entries if entry["engine"]), batch.settings.engine),
        "mode": batch.settings.mode,
        "inputs": list(entries),
        "videos": [video_entry(SharedVideoResult(video)) for video in batch.videos],
        "earlier": dict(batch.earlier),
        "timing": {},
        "errors": [{**entry["error"], "input": entry["name"]} for entry in entries if entry["error"]],
        "notes": list(batch.notes),
    }


def finished_document(batch: Batch, entries: Sequence[InputEntry], run: BatchRun) -> dict[str, Any]:
    """Return the document of a batch that has ended."""
    code = exit_code(entries, run.stopped, run.videos)
    status = {0: SUCCESS, EXIT_CODES[PARTIAL]: PARTIAL}.get(code, ERROR)
    document = batch_document(batch, entries, INTERRUPTED if run.stopped else status)
    written = {result.video: video_entry(result) for result in run.videos}
    document["videos"] = [written.get(video, video_entry(SharedVideoResult(video))) for video in batch.videos]
    for result in run.videos:
        document["notes"] += result.notes
        if result.error is not None:
            document["errors"].append({**result.error, "input": None})
    document["timing"] = {name: round(seconds, 3) for name, seconds in run.timing.items()}
    document["slots"] = run.workers
    document["peak_memory_mb"] = {"largest worker": run.peak_mb}
    if run.stopped:
        document["errors"].append(_error_entry(run.stopped))
    return document


def aborted_document(
    batch: Batch, entries: Sequence[InputEntry], error: VoicecloneError | Stopped
) -> dict[str, Any]:
    """Return the document of a batch that was ended as a whole."""
    document = batch_document(batch, entries, INTERRUPTED if isinstance(error, Stopped) else ERROR)
    document["errors"].append(_error_entry(error))
    return document


def batch_failure(error: VoicecloneError | Stopped) -> dict[str, Any]:
    """Return what ``--json`` prints of a batch that was not started."""
    return {
        "schema": BATCH_SCHEMA,
        "status": ERROR,
        "root": None,
        "inputs": [],
        "videos": [],
        "errors": [_error_entry(error)],
    }


def _error_entry(error: VoicecloneError | Stopped) -> dict[str, Any]:
    if isinstance(error, Stopped):
        return {"code": "interrupted", "message": "the batch was stopped", "input": None}
    return {"code": error.code, "message": error.message, "input": None}


def write_batch(root: Path, document: Mapping[str, Any]) -> None:
    """Write batch.json, a line for each input. Raises RunError when it cannot be written."""
    parts = []
    for key, value in document.items():
        if key == "inputs" and value:
            entries = ",\n  ".join(map(dump_json, value))
            parts.append(f' "inputs": [\n  {entries}\n ]')
        else:
            parts.append(" " + dump_json({key: value})[1:-1])
    with friendly_errors(root):
        write_text_atomic(root / FILE_NAME, "{\n" + ",\n".join(parts) + "\n}\n")


def earlier_videos(root: Path) -> set[str]:
    """Return the names of the shared videos in this folder that batches wrote, or may have begun to write."""
    document = json_object(root / FILE_NAME)
    if document.get("schema") != BATCH_SCHEMA:
        return set()
    entries = document.get("videos")
    found = entries if isinstance(entries, list) else []
    listed = [entry.get("path") for entry in found if isinstance(entry, dict)]
    # Those of batches before the last one.
    cached = [
        files for path in (root / "stages").glob("*.json") for files in [json_object(path).get("large_files")]
    ]
    return {
        *(Path(path).name for path in listed if isinstance(path, str)),
        *(name for files in cached if isinstance(files, dict) for name in files),
    }


def earlier_names(root: Path) -> dict[str, str]:
    """Return the names by input of all inputs of earlier batches in this root.

    Raises InputError for a batch.json that this version cannot read.
    """
    path = root / FILE_NAME
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["schema"] != BATCH_SCHEMA:
            raise ValueError("it was written by another version")
        current = {str(entry["input"]): str(entry["name"]) for entry in document["inputs"]}
        return {**{str(path): str(name) for path, name in document["earlier"].items()}, **current}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{path} is not a batch record ({error}): remove it, or choose another folder with --out",
            code="batch_schema",
        ) from error
