"""What passes between the two environments: task files, results and events.

Standard library only, as all that both environments import: this module, ``checks`` and ``filenames``.
Every reader here raises :class:`ContractError` with one short sentence, whatever text it is given;
nothing else escapes it.

What a task file may do, since it may come from a stranger: have ``ID.wav`` written into its
``output_dir``, which is made where it is missing (an id cannot leave that folder, and a link of that
name is replaced, not followed); have its references' ``codes`` written, files that end in .npy, .npz or
.txt; and have its reference audio and its checkpoint read. Nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from voiceclone_worker import checks
from voiceclone_worker.checks import ContractError as ContractError
from voiceclone_worker.checks import Row, optional, parse_json, shown
from voiceclone_worker.filenames import clash, name_fault

TASK_SCHEMA = "voiceclone.task/1"
RESULT_SCHEMA = "voiceclone.result/1"
TOOL_SCHEMA = "voiceclone.tool/1"
EVENT_TAG = "@voiceclone "

MAX_SEGMENTS = 100_000
"""Of a task, and rows of a result."""
MAX_REFERENCES = 10_000
MAX_TASK_BYTES = 64 * 2**20
MAX_EVENT = 2**20
"""Characters of an event's line."""
MAX_SEED = 2**63 - 1
MAX_FRAMES = 2**40
MAX_BATCH = 1024
MAX_WORK = 1e9
"""Seconds of a stage, summed over workers."""
MAX_COUNT = 2**31 - 1
"""Of task files in a lease, attempts, leases of a worker."""
CODES_ENDINGS = (".npy", ".npz", ".txt")
"""What a task may have an engine write beside speech."""


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
    lease: int = 0
    """Which of the worker's leases this answers, counted from 1; 0 where nobody counts."""


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
    return checks.dump_json(document, indent=1) + "\n"


def read_task(path: str | Path) -> Task:
    """The task in a file of at most MAX_TASK_BYTES.

    Raises ContractError when it cannot be read or is not a task.
    """
    name = checks.one_line(str(path))
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_TASK_BYTES + 1)
        if len(data) > MAX_TASK_BYTES:
            raise ContractError(f"larger than {MAX_TASK_BYTES // 2**20} MB; split it")
        return task_from_json(data.decode("utf-8"))
    except ContractError as error:
        raise ContractError(f"task file {name}: {error}") from error
    except OSError as error:
        raise ContractError(f"task file {name}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ContractError(f"task file {name} is not UTF-8 text") from error
    except ValueError as error:  # a path that no system takes
        raise ContractError(f"task file {name}: {error}") from error


def task_from_json(text: str) -> Task:
    """The task in a text. Raises ContractError."""
    document = _document(text, TASK_SCHEMA)
    engine = _engine_from_dict(checks.fields(document, "engine"))
    operation = document.get("op", "synthesize")
    if operation == "encode":
        return EncodeTask(engine=engine, references=_references_to_encode(document))
    if operation != "synthesize":
        raise ContractError(f'"op" must be "encode" or "synthesize", not {shown(operation)}')
    segments = tuple(_segment(row) for row in checks.rows(document, "segments", MAX_SEGMENTS))
    _refuse_clash("segment ids", [segment.id for segment in segments])
    # Without a segment a task only loads its engine: it needs no speaker and no folder.
    speaker = _name(document, "speaker") if segments else checks.text(document, "speaker", "", most=100)
    return SynthesisTask(
        speaker=speaker,
        engine=engine,
        reference=_reference(checks.fields(document, "reference"), speaker),
        output_dir=checks.path(document, "output_dir", None if segments else ""),
        segments=segments,
    )


# -------------------------------------------------------------------------------------- results


def result_to_json(result: Result) -> str:
    """A result as one line."""
    document: dict[str, Any] = {
        "schema": RESULT_SCHEMA,
        "lease": result.lease,
        "segments": [asdict(row) for row in result.segments],
        "references": [asdict(row) for row in result.references],
        "timing": {stage: round(seconds, 4) for stage, seconds in result.timing.items()},
        "notes": list(result.notes),
    }
    if result.error is not None:
        document["error"] = asdict(result.error)
    return checks.dump_json(document)


def result_from_json(text: str) -> Result:
    """The result in a line. Raises ContractError."""
    document = _document(text, RESULT_SCHEMA)
    notes = checks.items(document, "notes", MAX_SEGMENTS, [])
    return Result(
        segments=tuple(map(segment_row_from_dict, checks.rows(document, "segments", MAX_SEGMENTS))),
        references=tuple(
            map(reference_row_from_dict, checks.rows(document, "references", MAX_REFERENCES, []))
        ),
        timing=_timing(checks.fields(document, "timing", {})),
        notes=tuple(checks.sentence({"note": note}, "note") for note in notes),
        error=_failure(document),
        lease=checks.whole(document, "lease", 0, MAX_COUNT, 0),
    )


def segment_row_from_dict(row: Row) -> SegmentRow:
    return SegmentRow(
        task=checks.whole(row, "task", 0, MAX_COUNT, 0),
        id=checks.text(row, "id", most=checks.MAX_NAME),
        status=_status(row),
        file=optional(checks.path, row, "file"),
        seconds=optional(checks.number, row, "seconds"),
        frames=optional(checks.whole, row, "frames", 0, MAX_FRAMES),
        seed=optional(checks.whole, row, "seed", 0, MAX_SEED),
        attempts=checks.whole(row, "attempts", 0, MAX_COUNT, 1),
        sha256=optional(checks.text, row, "sha256"),
        error=_failure(row),
    )


def reference_row_from_dict(row: Row) -> ReferenceRow:
    return ReferenceRow(
        task=checks.whole(row, "task", 0, MAX_COUNT, 0),
        speaker=checks.text(row, "speaker", most=checks.MAX_NAME),
        status=_status(row),
        file=optional(checks.path, row, "file"),
        seconds=optional(checks.number, row, "seconds", MAX_WORK),
        error=_failure(row),
    )


# --------------------------------------------------------------------------------------- events


def event_line(event: str, **fields: Any) -> str:
    """One tagged line of the worker's stderr."""
    return EVENT_TAG + checks.dump_json({"event": event, **fields})


def parse_event(line: str) -> dict[str, Any] | None:
    """The event in a line of stderr; None for a log line, and for an event that arrived torn or has no end."""
    if not line.startswith(EVENT_TAG) or len(line) > MAX_EVENT:
        return None
    try:
        event = parse_json(line[len(EVENT_TAG) :])
    except ContractError:
        return None
    return event if isinstance(event, dict) and isinstance(event.get("event"), str) else None


# -------------------------------------------------------------------------------------- reading


def _document(text: str, schema: str) -> Row:
    document = parse_json(text)
    if not isinstance(document, dict):
        raise ContractError("must be a JSON object")
    if document.get("schema") != schema:
        raise ContractError(f'"schema" must be "{schema}", not {shown(document.get("schema"))}')
    return document


def _name(row: Row, key: str) -> str:
    """A segment's id or a speaker's name: it names files."""
    name: str = checks.text(row, key)
    fault = name_fault(name)
    if fault is not None:
        raise ContractError(f'"{key}" {shown(name)} cannot name a file: it {fault}')
    return name


def _refuse_clash(what: str, names: Sequence[str]) -> None:
    pair = clash(names)
    if pair is not None:
        raise ContractError(f"the {what} {shown(pair[0])} and {shown(pair[1])} would name one file")


def _status(row: Row) -> str:
    status = checks.text(row, "status")
    if status not in ("done", "failed"):
        raise ContractError(f'"status" must be "done" or "failed", not {shown(status)}')
    return status


def _timing(row: Row) -> dict[str, float]:
    named = {checks.one_line(stage[: checks.MAX_NAME]): seconds for stage, seconds in row.items()}
    return {stage: checks.number(named, stage, MAX_WORK) for stage in named}


def _failure(row: Row) -> Failure | None:
    if row.get("error") is None:
        return None
    error = checks.fields(row, "error")
    return Failure(
        code=checks.text(error, "code", most=checks.MAX_NAME), message=checks.sentence(error, "message")
    )


_ENGINE_FIELDS = ("name", "checkpoint", "device", "precision", "batch_size")


def _engine_to_dict(engine: EngineSpec) -> dict[str, Any]:
    return {**{key: getattr(engine, key) for key in _ENGINE_FIELDS}, **engine.options}


def _engine_from_dict(row: Row) -> EngineSpec:
    options = {key: value for key, value in row.items() if key not in _ENGINE_FIELDS}
    if not checks.shallow(options):
        raise ContractError(f"the engine's options nest more than {checks.MAX_DEPTH} deep")
    return EngineSpec(
        name=checks.text(row, "name", most=checks.MAX_NAME),
        checkpoint=checks.path(row, "checkpoint", ""),
        device=checks.text(row, "device", "auto", most=checks.MAX_NAME),
        precision=checks.text(row, "precision", "auto", most=checks.MAX_NAME),
        batch_size=checks.whole(row, "batch_size", 1, MAX_BATCH, 5),
        options=options,
    )


def _references_to_encode(document: Row) -> tuple[ReferenceSpec, ...]:
    references = tuple(
        _reference(row, _name(row, "speaker")) for row in checks.rows(document, "references", MAX_REFERENCES)
    )
    _refuse_clash("speakers", [reference.speaker for reference in references])
    _refuse_clash("codes", [reference.codes for reference in references])
    for reference in references:
        if not reference.codes.endswith(CODES_ENDINGS) or reference.codes == reference.audio:
            raise ContractError(
                f'"codes" must be a file of its own that ends in {", ".join(CODES_ENDINGS)}, '
                f"not {shown(reference.codes)}"
            )
    return references


def _reference(row: Row, speaker: str) -> ReferenceSpec:
    return ReferenceSpec(
        speaker=speaker,
        audio=checks.path(row, "audio", ""),
        text=checks.text(row, "text", ""),
        codes=checks.path(row, "codes", ""),
    )


def _segment(row: Row) -> SegmentSpec:
    return SegmentSpec(
        id=_name(row, "id"),
        text=checks.text(row, "text"),
        language=checks.text(row, "language", "en", most=checks.MAX_NAME),
        seed=checks.whole(row, "seed", 0, MAX_SEED, 0),
        max_seconds=optional(checks.number, row, "max_seconds"),
    )
