"""Protocol between a coordinator and its workers: events, tasks and results, written and read.

A task file may come from a stranger. It may have ``ID.wav`` written into its ``output_dir``, which is created where
missing (an id cannot leave that directory, and a link of that name is replaced, not followed); have the ``codes`` of
its references written, files that end in .npy, .npz or .txt; and have its reference audio and its checkpoint read.
Nothing else. Results come from the user's own workers and are checked for types and sizes.

Standard library only: both environments use it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from voiceclone_worker import validation

EVENT_TAG = "@voiceclone "
MAX_EVENT = 2**20
"""Characters of an event's line."""

TASK_SCHEMA = "voiceclone.task/1"
RESULT_SCHEMA = "voiceclone.result/1"
TOOL_SCHEMA = "voiceclone.tool/1"

MAX_TASK_BYTES = 64 * 2**20
MAX_SEGMENTS = 100_000
"""Of a task, and rows of a result."""
MAX_REFERENCES = 10_000
MAX_LANGUAGES = 1_000
"""Of a reference's lines."""
MAX_BATCH = 1024
MAX_SEED = validation.MAX_INTEGER
MAX_WARNINGS = 100
"""Of a segment."""
MAX_WORK = 1e9
"""Seconds of a stage, summed over workers."""
CODES_SUFFIXES = (".npy", ".npz", ".txt")
"""Files that a task may have an engine write beside speech."""


def event_line(event: str, **fields: Any) -> str:
    """Return an event as a tagged line of a worker's stderr."""
    return EVENT_TAG + validation.dump_json({"event": event, **fields})


def parse_event(line: str) -> dict[str, Any] | None:
    """Return the event in a line of stderr; None for a log line and for a damaged or overlong event."""
    if not line.startswith(EVENT_TAG) or len(line) > MAX_EVENT:
        return None
    try:
        event = validation.parse_json(line[len(EVENT_TAG) :])
    except validation.ContractError:
        return None
    return event if isinstance(event, dict) and isinstance(event.get("event"), str) else None


@dataclass(frozen=True)
class EngineSpec:
    """The engine of a task; ``options`` are the engine's own settings."""

    name: str
    checkpoint: str = ""
    device: str = "auto"
    precision: str = "auto"
    batch_size: int = 5
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ReferenceSpec:
    """A speaker's reference; ``codes`` is the file of what the engine makes of it."""

    speaker: str
    audio: str
    text: str
    codes: str
    language: str = ""
    """BCP 47 tag of the speech; empty where it is not known."""
    speaks: tuple[str, ...] = ()
    """BCP 47 tags of the languages that the voice is for; empty: English. For engines that fit a voice to each.

    Without English the English words of a Chinese line are said by the Chinese voice.
    """


@dataclass(frozen=True)
class SegmentSpec:
    """A segment to synthesize. ``max_seconds`` is the length of its slot, None without a limit.

    ``take``: 0 is an engine's plain reading, every other number is another reading; for engines that do not sample,
    and so have no use for the seed.
    """

    id: str
    text: str
    language: str
    seed: int
    max_seconds: float | None = None
    take: int = 0


@dataclass(frozen=True)
class SynthesisTask:
    """Segments of one speaker to synthesize."""

    speaker: str
    engine: EngineSpec
    reference: ReferenceSpec
    output_dir: str
    segments: tuple[SegmentSpec, ...]


@dataclass(frozen=True)
class EncodeTask:
    """References of all speakers of a recording, to be encoded together."""

    engine: EngineSpec
    references: tuple[ReferenceSpec, ...]


Task = SynthesisTask | EncodeTask


@dataclass(frozen=True)
class Failure:
    """Why something failed: a stable code and one sentence."""

    code: str
    message: str


@dataclass(frozen=True)
class SegmentRow:
    """The result of one segment. ``task`` counts the task files of the lease from 0; ``sha256`` is that of the file."""

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
    warnings: tuple[str, ...] = ()
    """Sentences for the user on a segment that is done: words that the engine could not read."""


@dataclass(frozen=True)
class ReferenceRow:
    """The result of encoding one reference."""

    task: int
    speaker: str
    status: str
    file: str | None = None
    seconds: float | None = None
    error: Failure | None = None


@dataclass(frozen=True)
class Result:
    """The result of a lease: a row for every segment and reference of its tasks."""

    segments: tuple[SegmentRow, ...] = ()
    references: tuple[ReferenceRow, ...] = ()
    timing: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    """Sentences for the user although nothing failed, such as a batch that was halved for lack of memory."""
    error: Failure | None = None
    lease: int = 0
    """Number of the lease among those of the worker, from 1; 0 where leases are not counted."""


def result_to_json(result: Result) -> str:
    """Return a result as one line."""
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
    """Return the result in a line. Raises ContractError."""
    document = validation.document(text, RESULT_SCHEMA)
    timing = {validation.one_line(stage): s for stage, s in validation.fields(document, "timing", {}).items()}
    notes = validation.items(document, "notes", MAX_SEGMENTS, [])
    return Result(
        segments=tuple(map(segment_row_from_dict, validation.rows(document, "segments", MAX_SEGMENTS))),
        references=tuple(
            map(reference_row_from_dict, validation.rows(document, "references", MAX_REFERENCES, []))
        ),
        timing={stage: validation.number(timing, stage, MAX_WORK) for stage in timing},
        notes=tuple(validation.sentence({"note": note}, "note") for note in notes),
        error=validation.optional(_failure, document, "error"),
        lease=validation.whole(document, "lease", default=0),
    )


def segment_row_from_dict(row: validation.Row) -> SegmentRow:
    """Return a row of a result, or of the event ``segment_done`` or ``segment_failed``. Raises ContractError."""
    return _read_row(SegmentRow, row)


def reference_row_from_dict(row: validation.Row) -> ReferenceRow:
    """Return a row of a result, or of the event ``encoded``. Raises ContractError."""
    return _read_row(ReferenceRow, row)


_RowType = TypeVar("_RowType", SegmentRow, ReferenceRow)


def _read_row(row_type: type[_RowType], row: validation.Row) -> _RowType:
    names = [each.name for each in fields(row_type)]
    required = {"id", "speaker", "status"}
    return row_type(
        **{
            "task": 0,
            **{
                name: _ROW_READERS[name](row, name)
                for name in names
                if name in required or row.get(name) is not None
            },
        }
    )


def _short_text(row: validation.Row, key: str, default: str | None = None) -> str:
    return validation.text(row, key, default, most=validation.MAX_NAME)


def _status(row: validation.Row, key: str) -> str:
    status = validation.text(row, key)
    if status not in ("done", "failed"):
        raise validation.ContractError(f'"{key}" must be "done" or "failed", not {validation.shown(status)}')
    return status


def _failure(row: validation.Row, key: str) -> Failure:
    error = validation.fields(row, key)
    return Failure(_short_text(error, "code"), validation.sentence(error, "message"))


def _warnings(row: validation.Row, key: str) -> tuple[str, ...]:
    # An event that comes from a node as an object, not as a line, has a tuple.
    found = validation.items({key: list(row[key])} if isinstance(row[key], tuple) else row, key, MAX_WARNINGS)
    return tuple(validation.sentence({key: warning}, key) for warning in found)


_ROW_READERS: Mapping[str, Callable[[validation.Row, str], Any]] = {
    **dict.fromkeys(("task", "frames", "seed", "attempts"), validation.whole),
    **dict.fromkeys(("id", "speaker", "sha256"), _short_text),
    "status": _status,
    "file": validation.path,
    "seconds": validation.number,
    "error": _failure,
    "warnings": _warnings,
}


def task_to_json(task: Task) -> str:
    """Return a task as the text of its file."""
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
    """Return the task in a file of at most MAX_TASK_BYTES. Raises ContractError."""
    name = validation.one_line(str(path))
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_TASK_BYTES + 1)
        if len(data) > MAX_TASK_BYTES:
            raise validation.ContractError(f"larger than {MAX_TASK_BYTES // 2**20} MB; split it")
        return task_from_json(data.decode("utf-8"))
    except validation.ContractError as error:
        raise validation.ContractError(f"task file {name}: {error}") from error
    except OSError as error:
        raise validation.ContractError(f"task file {name}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise validation.ContractError(f"task file {name} is not UTF-8 text") from error
    except ValueError as error:  # a path that is invalid on every system
        raise validation.ContractError(f"task file {name}: {error}") from error


def task_from_json(text: str) -> Task:
    """Return the task in a text. Raises ContractError."""
    document = validation.document(text, TASK_SCHEMA)
    engine = _engine_from_dict(validation.fields(document, "engine"))
    operation = document.get("op", "synthesize")
    if operation == "encode":
        return EncodeTask(engine=engine, references=_references_to_encode(document))
    if operation != "synthesize":
        raise validation.ContractError(
            f'"op" must be "encode" or "synthesize", not {validation.shown(operation)}'
        )
    segments = tuple(_segment(row) for row in validation.rows(document, "segments", MAX_SEGMENTS))
    _refuse_clash("segment ids", [segment.id for segment in segments])
    # A task without segments only loads its engine: it needs no speaker and no directory.
    speaker = _name(document, "speaker") if segments else validation.text(document, "speaker", "", most=100)
    return SynthesisTask(
        speaker=speaker,
        engine=engine,
        reference=_reference(validation.fields(document, "reference"), speaker),
        output_dir=validation.path(document, "output_dir", None if segments else ""),
        segments=segments,
    )


def _name(row: validation.Row, key: str) -> str:
    """Return a segment's id or a speaker's name, which names files."""
    name = validation.text(row, key)
    fault = validation.name_fault(name)
    if fault is not None:
        raise validation.ContractError(f'"{key}" {validation.shown(name)} cannot name a file: it {fault}')
    return name


def _refuse_clash(what: str, names: Sequence[str]) -> None:
    pair = validation.clash(names)
    if pair is not None:
        raise validation.ContractError(
            f"the {what} {validation.shown(pair[0])} and {validation.shown(pair[1])} would name one file"
        )


_ENGINE_FIELDS = ("name", "checkpoint", "device", "precision", "batch_size")


def _engine_to_dict(engine: EngineSpec) -> dict[str, Any]:
    return {**{key: getattr(engine, key) for key in _ENGINE_FIELDS}, **engine.options}


def _engine_from_dict(row: validation.Row) -> EngineSpec:
    options = {key: value for key, value in row.items() if key not in _ENGINE_FIELDS}
    if not validation.shallow(options):
        raise validation.ContractError(f"the engine's options nest more than {validation.MAX_DEPTH} deep")
    return EngineSpec(
        name=_short_text(row, "name"),
        checkpoint=validation.path(row, "checkpoint", ""),
        device=_short_text(row, "device", "auto"),
        precision=_short_text(row, "precision", "auto"),
        batch_size=validation.whole(row, "batch_size", 1, MAX_BATCH, 5),
        options=options,
    )


def _references_to_encode(document: validation.Row) -> tuple[ReferenceSpec, ...]:
    references = tuple(
        _reference(row, _name(row, "speaker"))
        for row in validation.rows(document, "references", MAX_REFERENCES)
    )
    _refuse_clash("speakers", [reference.speaker for reference in references])
    _refuse_clash("codes", [reference.codes for reference in references])
    for reference in references:
        if not reference.codes.endswith(CODES_SUFFIXES) or reference.codes == reference.audio:
            raise validation.ContractError(
                f'"codes" must be a separate file that ends in {", ".join(CODES_SUFFIXES)}, '
                f"not {validation.shown(reference.codes)}"
            )
    return references


def _reference(row: validation.Row, speaker: str) -> ReferenceSpec:
    return ReferenceSpec(
        speaker=speaker,
        audio=validation.path(row, "audio", ""),
        text=validation.text(row, "text", ""),
        codes=validation.path(row, "codes", ""),
        language=_short_text(row, "language", ""),
        speaks=tuple(
            _short_text({"speaks": tag}, "speaks")
            for tag in validation.items(row, "speaks", MAX_LANGUAGES, [])
        ),
    )


def _segment(row: validation.Row) -> SegmentSpec:
    return SegmentSpec(
        id=_name(row, "id"),
        text=validation.text(row, "text"),
        language=_short_text(row, "language", "en"),
        seed=validation.whole(row, "seed", default=0),
        max_seconds=validation.optional(validation.number, row, "max_seconds"),
        take=validation.whole(row, "take", default=0),
    )
