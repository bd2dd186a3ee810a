"""What passes between the two environments: task files, results and events.

Standard library only: this is the one module that both environments import. Every reader here
raises :class:`ContractError` with one sentence; nothing else escapes it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

TASK_SCHEMA = "voiceclone.task/1"
RESULT_SCHEMA = "voiceclone.result/1"
TOOL_SCHEMA = "voiceclone.tool/1"
EVENT_TAG = "@voiceclone "


class ContractError(ValueError):
    """A task file, result or event that does not say what the contract asks for."""


@dataclass(frozen=True)
class EngineSpec:
    """Which engine speaks, and how. ``options`` are the engine's own settings."""

    name: str
    checkpoint: str = ""
    device: str = "auto"
    precision: str = "auto"
    batch_size: int = 5
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ReferenceSpec:
    """A speaker's reference; ``codes`` is what the engine made of it, or shall make of it."""

    speaker: str
    audio: str
    text: str
    codes: str


@dataclass(frozen=True)
class SegmentSpec:
    """A line to speak. ``max_seconds`` is its slot; None where it may take its time."""

    id: str
    text: str
    language: str
    seed: int
    max_seconds: float | None = None


@dataclass(frozen=True)
class SynthesisTask:
    """One speaker's segments (or a run of them)."""

    speaker: str
    engine: EngineSpec
    reference: ReferenceSpec
    output_dir: str
    segments: tuple[SegmentSpec, ...]


@dataclass(frozen=True)
class EncodeTask:
    """The references of all speakers of a recording, to be encoded together."""

    engine: EngineSpec
    references: tuple[ReferenceSpec, ...]


Task = SynthesisTask | EncodeTask


@dataclass(frozen=True)
class Failure:
    """Why a row failed: a stable code and one sentence."""

    code: str
    message: str


@dataclass(frozen=True)
class SegmentRow:
    """The outcome of one segment. ``task`` counts the task files of the lease from 0; ``sha256`` is
    the file's, so that nobody has to read it back to know it again."""

    task: int
    id: str
    status: str
    file: str | None = None
    seconds: float | None = None
    frames: int | None = None
    seed: int | None = None
    attempts: int = 1
    sha256: str | None = None
    error: Failure | None = None


@dataclass(frozen=True)
class ReferenceRow:
    """The outcome of encoding one reference."""

    task: int
    speaker: str
    status: str
    file: str | None = None
    seconds: float | None = None
    error: Failure | None = None


@dataclass(frozen=True)
class Result:
    """Everything a lease came to: a row for every segment and reference of its tasks."""

    segments: tuple[SegmentRow, ...] = ()
    references: tuple[ReferenceRow, ...] = ()
    timing: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    """What the user should know although nothing failed (a batch halved for want of memory), a sentence each."""
    error: Failure | None = None


# ---------------------------------------------------------------------------------------- tasks


def task_to_json(task: Task) -> str:
    """A task as the text of its file."""
    if isinstance(task, EncodeTask):
        document: dict[str, Any] = {
            "schema": TASK_SCHEMA,
            "op": "encode",
            "engine": _engine_to_dict(task.engine),
            "references": [asdict(reference) for reference in task.references],
        }
    else:
        reference = asdict(task.reference)
        del reference["speaker"]
        document = {
            "schema": TASK_SCHEMA,
            "speaker": task.speaker,
            "engine": _engine_to_dict(task.engine),
            "reference": reference,
            "output_dir": task.output_dir,
            "segments": [asdict(segment) for segment in task.segments],
        }
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"


def read_task(path: str | Path) -> Task:
    """The task in a file.

    Raises ContractError when it cannot be read or is not a task.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ContractError(f"task file {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ContractError(f"task file {path} is not UTF-8 text") from error
    try:
        return task_from_json(text)
    except ContractError as error:
        raise ContractError(f"task file {path}: {error}") from error


def task_from_json(text: str) -> Task:
    document = _document(text, TASK_SCHEMA)
    engine = _engine_from_dict(_get(document, "engine", dict))
    operation = document.get("op", "synthesize")
    if operation == "encode":
        references = tuple(
            _reference(row, _get(row, "speaker", str)) for row in _rows(document, "references")
        )
        return EncodeTask(engine=engine, references=references)
    if operation != "synthesize":
        raise ContractError(f'"op" must be "encode" or "synthesize", not {operation!r}')
    speaker = _get(document, "speaker", str)
    segments = tuple(_segment(row) for row in _rows(document, "segments"))
    seen: set[str] = set()
    for segment in segments:
        if segment.id in seen:
            raise ContractError(f"segment id {segment.id!r} stands twice")
        seen.add(segment.id)
    return SynthesisTask(
        speaker=speaker,
        engine=engine,
        reference=_reference(_get(document, "reference", dict), speaker),
        output_dir=_get(document, "output_dir", str),
        segments=segments,
    )


# -------------------------------------------------------------------------------------- results


def result_to_json(result: Result) -> str:
    """A result as one line."""
    document: dict[str, Any] = {
        "schema": RESULT_SCHEMA,
        "segments": [asdict(row) for row in result.segments],
        "references": [asdict(row) for row in result.references],
        "timing": {stage: round(seconds, 4) for stage, seconds in result.timing.items()},
        "notes": list(result.notes),
    }
    if result.error is not None:
        document["error"] = asdict(result.error)
    return json.dumps(document, ensure_ascii=False)


def result_from_json(text: str) -> Result:
    document = _document(text, RESULT_SCHEMA)
    error = document.get("error")
    return Result(
        segments=tuple(segment_row_from_dict(row) for row in _rows(document, "segments")),
        references=tuple(reference_row_from_dict(row) for row in _rows(document, "references", [])),
        timing={str(key): float(value) for key, value in _get(document, "timing", dict, {}).items()},
        notes=tuple(str(note) for note in _get(document, "notes", list, [])),
        error=None if error is None else _failure(error),
    )


def segment_row_from_dict(row: Mapping[str, Any]) -> SegmentRow:
    return SegmentRow(
        task=_get(row, "task", int, 0),
        id=_get(row, "id", str),
        status=_status(row),
        file=_get(row, "file", str, None),
        seconds=_get(row, "seconds", float, None),
        frames=_get(row, "frames", int, None),
        seed=_get(row, "seed", int, None),
        attempts=_get(row, "attempts", int, 1),
        sha256=_get(row, "sha256", str, None),
        error=None if row.get("error") is None else _failure(row["error"]),
    )


def reference_row_from_dict(row: Mapping[str, Any]) -> ReferenceRow:
    return ReferenceRow(
        task=_get(row, "task", int, 0),
        speaker=_get(row, "speaker", str),
        status=_status(row),
        file=_get(row, "file", str, None),
        seconds=_get(row, "seconds", float, None),
        error=None if row.get("error") is None else _failure(row["error"]),
    )


# --------------------------------------------------------------------------------------- events


def event_line(event: str, **fields: Any) -> str:
    """One tagged line of the worker's stderr."""
    return EVENT_TAG + json.dumps({"event": event, **fields}, ensure_ascii=False)


def parse_event(line: str) -> dict[str, Any] | None:
    """The event in a line of stderr; None for a log line, and for an event that arrived torn."""
    if not line.startswith(EVENT_TAG):
        return None
    try:
        event = json.loads(line[len(EVENT_TAG) :])
    except ValueError:
        return None
    return event if isinstance(event, dict) and isinstance(event.get("event"), str) else None


# -------------------------------------------------------------------------------------- reading

_REQUIRED = object()


def _document(text: str, schema: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ContractError(f"not JSON ({error})") from error
    if not isinstance(document, dict):
        raise ContractError("must be a JSON object")
    if document.get("schema") != schema:
        raise ContractError(f'"schema" must be "{schema}", not {document.get("schema")!r}')
    return document


def _get(row: Mapping[str, Any], key: str, kind: type, default: Any = _REQUIRED) -> Any:
    value = row.get(key, default)
    if value is _REQUIRED:
        raise ContractError(f'"{key}" is missing')
    if value is default:
        return value
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ContractError(f'"{key}" must be {_KINDS[kind]}, not {value!r:.40}')
    return value


_KINDS = {str: "a text", int: "a whole number", float: "a number", dict: "an object", list: "a list"}


def _rows(document: Mapping[str, Any], key: str, default: Any = _REQUIRED) -> Sequence[dict[str, Any]]:
    rows = _get(document, key, list, default)
    for row in rows:
        if not isinstance(row, dict):
            raise ContractError(f'"{key}" must be a list of objects')
    return rows  # type: ignore[no-any-return]


def _status(row: Mapping[str, Any]) -> str:
    status: str = _get(row, "status", str)
    if status not in ("done", "failed"):
        raise ContractError(f'"status" must be "done" or "failed", not {status!r:.40}')
    return status


def _failure(value: Any) -> Failure:
    if not isinstance(value, dict):
        raise ContractError('"error" must be an object')
    return Failure(code=_get(value, "code", str), message=_get(value, "message", str))


_ENGINE_FIELDS = ("name", "checkpoint", "device", "precision", "batch_size")


def _engine_to_dict(engine: EngineSpec) -> dict[str, Any]:
    return {**{key: getattr(engine, key) for key in _ENGINE_FIELDS}, **engine.options}


def _engine_from_dict(row: Mapping[str, Any]) -> EngineSpec:
    batch_size = _get(row, "batch_size", int, 5)
    if batch_size < 1:
        raise ContractError(f'"batch_size" must be at least 1, not {batch_size}')
    return EngineSpec(
        name=_get(row, "name", str),
        checkpoint=_get(row, "checkpoint", str, ""),
        device=_get(row, "device", str, "auto"),
        precision=_get(row, "precision", str, "auto"),
        batch_size=batch_size,
        options={key: value for key, value in row.items() if key not in _ENGINE_FIELDS},
    )


def _reference(row: Mapping[str, Any], speaker: str) -> ReferenceSpec:
    return ReferenceSpec(
        speaker=speaker,
        audio=_get(row, "audio", str),
        text=_get(row, "text", str, ""),
        codes=_get(row, "codes", str, ""),
    )


def _segment(row: Mapping[str, Any]) -> SegmentSpec:
    segment = SegmentSpec(
        id=_get(row, "id", str),
        text=_get(row, "text", str),
        language=_get(row, "language", str, "en"),
        seed=_get(row, "seed", int, 0),
        max_seconds=_get(row, "max_seconds", float, None),
    )
    if not segment.id or segment.id in (".", "..") or any(c in segment.id for c in "/\\\0:"):
        raise ContractError(f"segment id {segment.id!r:.40} cannot name a file")
    return segment
