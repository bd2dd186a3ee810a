"""The one document of a batch: what ``--json`` prints and batch.json keeps."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from voiceclone_cli.config import Settings
from voiceclone_cli.errors import InputError, RunError, Stopped, VoicecloneError
from voiceclone_cli.files import explain_write_errors, write_text_atomic
from voiceclone_cli.pipeline.request import RunRequest
from voiceclone_cli.pipeline.synthesize import ERROR, EXIT_CODES, PARTIAL, PLANNED, SUCCESS
from voiceclone_cli.types import INPUTS_STAGE
from voiceclone_worker.validation import dump_json

# Many recordings in one command, as types.


BATCH_FILES = INPUTS_STAGE
"""The stage that counts recordings. An event of it that names one tells of its end."""


@dataclass(frozen=True, slots=True)
class BatchItem:
    """One recording of a batch."""

    request: RunRequest
    """Its ``out`` is its own run directory under the batch's root."""
    name: str
    """Short, and unique in the batch: that of the run directory."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What one command was asked to do, in order."""

    items: tuple[BatchItem, ...]
    root: Path
    """The folder of all run directories, and of batch.json."""
    settings: Settings
    """Those that hold for all: engine, mode, workers, executor."""
    earlier: Mapping[str, str] = field(default_factory=dict)
    """Name by input, of inputs that an earlier batch in this root had and this one has not."""
    notes: tuple[str, ...] = ()
    """Sentences for the user: a file that was named twice."""


@dataclass(frozen=True, slots=True)
class ItemResult:
    """What one recording came to."""

    item: BatchItem
    document: Mapping[str, Any] | None
    """Of its run (``voiceclone.run/1``); None when it came to nothing."""
    exit_code: int
    error: Mapping[str, str] | None
    """``code`` and ``message`` of what ended it without a document."""
    seconds: float


@dataclass(frozen=True, slots=True)
class BatchRun:
    """What the whole came to."""

    ends: tuple[ItemResult, ...]
    """In the order of the items; those that were not begun when the batch was stopped are missing."""
    stopped: Stopped | None
    timing: Mapping[str, float]
    """Seconds: total, slots_busy, slots_idle."""
    peak_mb: int
    """Of the largest worker."""
    slots: int
    """How many there were at most at a time."""


BATCH_SCHEMA = "voiceclone.batch/1"
FILE_NAME = "batch.json"
RUNNING, INTERRUPTED = "running", "interrupted"

Row = dict[str, Any]
"""Of one input."""


@dataclass(frozen=True, slots=True)
class Tally:
    """How many inputs came out whole, in part or not at all, and how many were not begun."""

    whole: int
    partial: int
    failed: int
    left: int
    codes: frozenset[int] = field(repr=False)
    """Exit codes of those that are not whole."""


def planned_row(item: BatchItem) -> Row:
    """Of an input whose turn has not come."""
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


def ended_row(end: ItemResult) -> Row:
    """Of an input that came to its end, whatever that was."""
    row = planned_row(end.item) | {"exit_code": end.exit_code, "seconds": round(end.seconds, 3)}
    if end.document is None:
        row["status"] = ERROR
    else:
        row["status"] = end.document["status"]
        row["engine"] = end.document["engine"]
        row["segments"] = _segments(end.document)
        row["outputs"] = end.document["outputs"]
    if _is_stop(end.exit_code):
        row["status"] = INTERRUPTED
    row["error"] = dict(end.error) if end.error else _first_error(end)
    return row


def tally(rows: Sequence[Mapping[str, Any]]) -> Tally:
    codes = [row["exit_code"] for row in rows]
    partial = EXIT_CODES[PARTIAL]
    return Tally(
        codes.count(0),
        codes.count(partial),
        sum(code not in (None, 0, partial) for code in codes),
        codes.count(None),
        frozenset(code for code in codes if code),
    )


def exit_code(rows: Sequence[Mapping[str, Any]], stopped: Stopped | None) -> int:
    """0 where every input is whole, 3 where something is; where nothing is, what all failed with, if that is
    one thing, and else 1."""
    if stopped is not None:
        return stopped.exit_code
    count = tally(rows)
    if count.whole == len(rows):
        return 0
    if count.whole or count.partial:
        return EXIT_CODES[PARTIAL]
    return next(iter(count.codes)) if len(count.codes) == 1 else RunError.exit_code


def batch_document(batch: Batch, rows: Sequence[Row], status: str = RUNNING) -> dict[str, Any]:
    """The whole, as ``voiceclone.batch/1``; paths are absolute."""
    return {
        "schema": BATCH_SCHEMA,
        "status": status,
        "root": str(batch.root),
        "executor": batch.settings.executor,
        "engine": next((row["engine"] for row in rows if row["engine"]), batch.settings.engine),
        "mode": batch.settings.mode,
        "inputs": list(rows),
        "earlier": dict(batch.earlier),
        "timing": {},
        "errors": [{**row["error"], "input": row["name"]} for row in rows if row["error"]],
        "notes": list(batch.notes),
    }


def finished(batch: Batch, rows: Sequence[Row], outcome: BatchRun) -> dict[str, Any]:
    """The document of a batch that has ended."""
    status = {0: SUCCESS, EXIT_CODES[PARTIAL]: PARTIAL}.get(exit_code(rows, outcome.stopped), ERROR)
    content = batch_document(batch, rows, INTERRUPTED if outcome.stopped else status)
    content["timing"] = {name: round(seconds, 3) for name, seconds in outcome.timing.items()}
    content["slots"] = outcome.slots
    content["peak_memory_mb"] = {"largest worker": outcome.peak_mb}
    if outcome.stopped:
        content["errors"].append(_of_end(outcome.stopped))
    return content


def broken_off(batch: Batch, rows: Sequence[Row], end: VoicecloneError | Stopped) -> dict[str, Any]:
    """The document of a batch that something ended as a whole."""
    content = batch_document(batch, rows, INTERRUPTED if isinstance(end, Stopped) else ERROR)
    content["errors"].append(_of_end(end))
    return content


def batch_failure(end: VoicecloneError | Stopped) -> dict[str, Any]:
    """What ``--json`` prints of a batch that was not begun."""
    return {
        "schema": BATCH_SCHEMA,
        "status": ERROR,
        "root": None,
        "inputs": [],
        "errors": [_of_end(end)],
    }


def write_batch(root: Path, content: Mapping[str, Any]) -> None:
    """Raises RunError when it cannot be written."""
    with explain_write_errors(root):
        write_text_atomic(root / FILE_NAME, _text(content))


def earlier_names(root: Path) -> dict[str, str]:
    """Name by input, of all that batches in this root ever had. Raises InputError for a batch.json that is
    not one of this version."""
    path = root / FILE_NAME
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["schema"] != BATCH_SCHEMA:
            raise ValueError("it was written by another version")
        rows = {str(row["input"]): str(row["name"]) for row in content["inputs"]}
        return {**{str(path): str(name) for path, name in content["earlier"].items()}, **rows}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{path} is no record of a batch ({error}): remove it, or choose another folder with --out",
            code="batch_schema",
        ) from error


def _text(content: Mapping[str, Any]) -> str:
    """A line for each input: quick to write and to search, however many there are."""
    parts = []
    for key, value in content.items():
        if key == "inputs" and value:
            rows = ",\n  ".join(map(dump_json, value))
            parts.append(f' "inputs": [\n  {rows}\n ]')
        else:
            parts.append(" " + dump_json({key: value})[1:-1])
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _segments(run: Mapping[str, Any]) -> dict[str, int]:
    statuses = [row["status"] for row in run["segments"]]
    return {
        "total": len(statuses),
        "done": statuses.count("done"),
        "failed": statuses.count("failed"),
        "kept": run["reused"],
    }


def _first_error(end: ItemResult) -> dict[str, str] | None:
    errors = end.document["errors"] if end.document is not None and end.exit_code else []
    return {"code": errors[0]["code"], "message": errors[0]["message"]} if errors else None


def _is_stop(code: int) -> bool:
    """Exit codes of signals."""
    return code > 128


def _of_end(end: VoicecloneError | Stopped) -> dict[str, Any]:
    if isinstance(end, Stopped):
        return {"code": "interrupted", "message": "the batch was stopped", "input": None}
    return {"code": end.code, "message": end.message, "input": None}
