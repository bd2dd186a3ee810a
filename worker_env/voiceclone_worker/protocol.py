"""Task files, written and read.

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

from voiceclone_worker import validation
from voiceclone_worker.validation import (
    ContractError,
    Row,
    clash,
    dump_json,
    name_fault,
    optional,
    parse_json,
    shown,
)

# Events: what a worker tells while it works, a tagged line of its stderr each.


EVENT_TAG = "@voiceclone "
MAX_EVENT = 2**20
"""Characters of an event's line."""


def event_line(event: str, **fields: Any) -> str:
    """One tagged line of the worker's stderr."""
    return EVENT_TAG + dump_json({"event": event, **fields})


def parse_event(line: str) -> dict[str, Any] | None:
    """The event in a line of stderr; None for a log line, and for an event that arrived torn or has no end."""
    if not line.startswith(EVENT_TAG) or len(line) > MAX_EVENT:
        return None
    try:
        event = parse_json(line[len(EVENT_TAG) :])
    except ContractError:
        return None
    return event if isinstance(event, dict) and isinstance(event.get("event"), str) else None


# The words of the contract: tasks, and the rows and results that answer them.


TASK_SCHEMA = "voiceclone.task/1"
RESULT_SCHEMA = "voiceclone.result/1"
TOOL_SCHEMA = "voiceclone.tool/1"

MAX_SEGMENTS = 100_000
"""Of a task, and rows of a result."""
MAX_REFERENCES = 10_000
MAX_SEED = 2**63 - 1


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
    """A line to speak. ``max_seconds`` is its slot; None where it may take its time.

    ``take``: 0 is an engine's plainest reading, every other number another one. For engines that do not
    sample, and so have no use for the seed.
    """

    id: str
    text: str
    language: str
    seed: int
    max_seconds: float | None = None
    take: int = 0


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


# Results: the answer of a worker to its lease, one line.


MAX_FRAMES = 2**40
MAX_WORK = 1e9
"""Seconds of a stage, summed over workers."""
MAX_COUNT = 2**31 - 1
"""Of task files in a lease, attempts, leases of a worker."""


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
    return validation.dump_json(document)


def result_from_json(text: str) -> Result:
    """The result in a line. Raises ContractError."""
    document = validation.document(text, RESULT_SCHEMA)
    notes = validation.items(document, "notes", MAX_SEGMENTS, [])
    return Result(
        segments=tuple(map(segment_row_from_dict, validation.rows(document, "segments", MAX_SEGMENTS))),
        references=tuple(
            map(reference_row_from_dict, validation.rows(document, "references", MAX_REFERENCES, []))
        ),
        timing=_timing(validation.fields(document, "timing", {})),
        notes=tuple(validation.sentence({"note": note}, "note") for note in notes),
        error=_failure(document),
        lease=validation.whole(document, "lease", 0, MAX_COUNT, 0),
    )


def segment_row_from_dict(row: Row) -> SegmentRow:
    return SegmentRow(
        task=validation.whole(row, "task", 0, MAX_COUNT, 0),
        id=validation.text(row, "id", most=validation.MAX_NAME),
        status=_status(row),
        file=optional(validation.path, row, "file"),
        seconds=optional(validation.number, row, "seconds"),
        frames=optional(validation.whole, row, "frames", 0, MAX_FRAMES),
        seed=optional(validation.whole, row, "seed", 0, MAX_SEED),
        attempts=validation.whole(row, "attempts", 0, MAX_COUNT, 1),
        sha256=optional(validation.text, row, "sha256"),
        error=_failure(row),
    )


def reference_row_from_dict(row: Row) -> ReferenceRow:
    return ReferenceRow(
        task=validation.whole(row, "task", 0, MAX_COUNT, 0),
        speaker=validation.text(row, "speaker", most=validation.MAX_NAME),
        status=_status(row),
        file=optional(validation.path, row, "file"),
        seconds=optional(validation.number, row, "seconds", MAX_WORK),
        error=_failure(row),
    )


def _status(row: Row) -> str:
    status = validation.text(row, "status")
    if status not in ("done", "failed"):
        raise ContractError(f'"status" must be "done" or "failed", not {shown(status)}')
    return status


def _timing(row: Row) -> dict[str, float]:
    named = {validation.one_line(stage[: validation.MAX_NAME]): seconds for stage, seconds in row.items()}
    return {stage: validation.number(named, stage, MAX_WORK) for stage in named}


def _failure(row: Row) -> Failure | None:
    if row.get("error") is None:
        return None
    error = validation.fields(row, "error")
    return Failure(
        code=validation.text(error, "code", most=validation.MAX_NAME),
        message=validation.sentence(error, "message"),
    )


MAX_TASK_BYTES = 64 * 2**20
MAX_BATCH = 1024
CODES_ENDINGS = (".npy", ".npz", ".txt")
"""What a task may have an engine write beside speech."""


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
    return validation.dump_json(document, indent=1) + "\n"


def read_task(path: str | Path) -> Task:
    """The task in a file of at most MAX_TASK_BYTES.

    Raises ContractError when it cannot be read or is not a task.
    """
    name = validation.one_line(str(path))
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
    document = validation.document(text, TASK_SCHEMA)
    engine = _engine_from_dict(validation.fields(document, "engine"))
    operation = document.get("op", "synthesize")
    if operation == "encode":
        return EncodeTask(engine=engine, references=_references_to_encode(document))
    if operation != "synthesize":
        raise ContractError(f'"op" must be "encode" or "synthesize", not {shown(operation)}')
    segments = tuple(_segment(row) for row in validation.rows(document, "segments", MAX_SEGMENTS))
    _refuse_clash("segment ids", [segment.id for segment in segments])
    # Without a segment a task only loads its engine: it needs no speaker and no folder.
    speaker = _name(document, "speaker") if segments else validation.text(document, "speaker", "", most=100)
    return SynthesisTask(
        speaker=speaker,
        engine=engine,
        reference=_reference(validation.fields(document, "reference"), speaker),
        output_dir=validation.path(document, "output_dir", None if segments else ""),
        segments=segments,
    )


def _name(row: Row, key: str) -> str:
    """A segment's id or a speaker's name: it names files."""
    name: str = validation.text(row, key)
    fault = name_fault(name)
    if fault is not None:
        raise ContractError(f'"{key}" {shown(name)} cannot name a file: it {fault}')
    return name


def _refuse_clash(what: str, names: Sequence[str]) -> None:
    pair = clash(names)
    if pair is not None:
        raise ContractError(f"the {what} {shown(pair[0])} and {shown(pair[1])} would name one file")


_ENGINE_FIELDS = ("name", "checkpoint", "device", "precision", "batch_size")


def _engine_to_dict(engine: EngineSpec) -> dict[str, Any]:
    return {**{key: getattr(engine, key) for key in _ENGINE_FIELDS}, **engine.options}


def _engine_from_dict(row: Row) -> EngineSpec:
    options = {key: value for key, value in row.items() if key not in _ENGINE_FIELDS}
    if not validation.shallow(options):
        raise ContractError(f"the engine's options nest more than {validation.MAX_DEPTH} deep")
    return EngineSpec(
        name=validation.text(row, "name", most=validation.MAX_NAME),
        checkpoint=validation.path(row, "checkpoint", ""),
        device=validation.text(row, "device", "auto", most=validation.MAX_NAME),
        precision=validation.text(row, "precision", "auto", most=validation.MAX_NAME),
        batch_size=validation.whole(row, "batch_size", 1, MAX_BATCH, 5),
        options=options,
    )


def _references_to_encode(document: Row) -> tuple[ReferenceSpec, ...]:
    references = tuple(
        _reference(row, _name(row, "speaker"))
        for row in validation.rows(document, "references", MAX_REFERENCES)
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
        audio=validation.path(row, "audio", ""),
        text=validation.text(row, "text", ""),
        codes=validation.path(row, "codes", ""),
    )


def _segment(row: Row) -> SegmentSpec:
    return SegmentSpec(
        id=_name(row, "id"),
        text=validation.text(row, "text"),
        language=validation.text(row, "language", "en", most=validation.MAX_NAME),
        seed=validation.whole(row, "seed", 0, MAX_SEED, 0),
        max_seconds=optional(validation.number, row, "max_seconds"),
        take=validation.whole(row, "take", 0, MAX_SEED, 0),
    )
