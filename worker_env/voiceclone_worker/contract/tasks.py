"""Task files, written and read.

What a task file may do, since it may come from a stranger: have ``ID.wav`` written into its
``output_dir``, which is made where it is missing (an id cannot leave that folder, and a link of that
name is replaced, not followed); have its references' ``codes`` written, files that end in .npy, .npz or
.txt; and have its reference audio and its checkpoint read. Nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from voiceclone_worker.contract import checks
from voiceclone_worker.contract.checks import ContractError, Row, optional, shown
from voiceclone_worker.contract.filenames import clash, name_fault
from voiceclone_worker.contract.model import (
    MAX_REFERENCES,
    MAX_SEED,
    MAX_SEGMENTS,
    TASK_SCHEMA,
    EncodeTask,
    EngineSpec,
    ReferenceSpec,
    SegmentSpec,
    SynthesisTask,
    Task,
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
    document = checks.document(text, TASK_SCHEMA)
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
        take=checks.whole(row, "take", 0, MAX_SEED, 0),
    )
