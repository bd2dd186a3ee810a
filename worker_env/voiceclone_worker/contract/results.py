"""Results: the answer of a worker to its lease, one line."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from voiceclone_worker.contract import checks
from voiceclone_worker.contract.checks import ContractError, Row, optional, shown
from voiceclone_worker.contract.model import (
    MAX_REFERENCES,
    MAX_SEED,
    MAX_SEGMENTS,
    RESULT_SCHEMA,
    Failure,
    ReferenceRow,
    Result,
    SegmentRow,
)

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
    return checks.dump_json(document)


def result_from_json(text: str) -> Result:
    """The result in a line. Raises ContractError."""
    document = checks.document(text, RESULT_SCHEMA)
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
