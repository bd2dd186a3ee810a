"""What a batch would do: the plan of each recording."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from voiceclone_cli.batch.types import FILES, Batch, BatchItem
from voiceclone_cli.errors import VoicecloneError
from voiceclone_cli.planning.plan import plan
from voiceclone_cli.types import Progress, ProgressEvent, no_progress

BATCH_PLAN_SCHEMA = "voiceclone.batch-plan/1"


def plan_batch(batch: Batch, progress: Progress = no_progress) -> dict[str, Any]:
    """What ``run_batch`` would do now, as ``voiceclone.batch-plan/1``: the plans one after the other, and their
    sums. A recording that cannot be planned has an error in its row."""
    for note in batch.notes:
        progress(ProgressEvent("note", 1, 1, note=note))
    rows = []
    for ended, item in enumerate(batch.items, 1):
        row = _row(item, progress)
        rows.append(row)
        note = row["error"]["message"] if row["error"] else "planned"
        progress(ProgressEvent(FILES, ended, len(batch.items), note=note, input=item.name))
    return {
        "schema": BATCH_PLAN_SCHEMA,
        "root": str(batch.root),
        "inputs": rows,
        "total": _total([row["plan"] for row in rows if row["plan"]]),
        "notes": list(batch.notes),
    }


def _row(item: BatchItem, progress: Progress) -> dict[str, Any]:
    def tell(event: ProgressEvent) -> None:
        progress(replace(event, input=item.name))

    found, code, reason = None, 0, None
    try:
        found = plan(item.request, tell)
    except VoicecloneError as error:
        code, reason = error.exit_code, {"code": error.code, "message": error.message}
    return {
        "name": item.name,
        "input": str(item.request.input),
        "exit_code": code,
        "plan": found,
        "error": reason,
    }


def _total(plans: list[dict[str, Any]]) -> dict[str, Any]:
    """Seconds as if they were run one after the other: a batch overlaps them."""
    seconds = {
        key: round(sum(found["total"][key] for found in plans), 3)
        for key in ("seconds", "seconds_low", "seconds_high")
    }
    return {
        "inputs": len(plans),
        "input_seconds": round(sum(found["input"]["seconds"] for found in plans), 3),
        "segments": sum(found["segments"]["total"] for found in plans),
        "to_speak": sum(len(found["segments"]["to_speak"]) for found in plans),
        **seconds,
        "measured": all(found["total"]["measured"] for found in plans),
        "disk_bytes": sum(found["disk"]["needed_bytes"] for found in plans),
    }
