"""How near generation comes to what the memory allows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from voiceclone_cli.engines import EngineChoice
from voiceclone_cli.errors import PreflightError
from voiceclone_cli.settings import Settings
from voiceclone_cli.types import Progress, ProgressEvent
from voiceclone_cli.workers.local.environment import worker_command
from voiceclone_cli.workers.local.tool import ask_tool

STAGE = "roofline"
PATIENCE_SECONDS = 7200.0


def measure_roofline(
    engine: EngineChoice, settings: Settings, folder: Path, progress: Progress
) -> dict[str, Any]:
    """What the worker's ``roofline`` tool answers (see there); ``{"error": {"code", "message"}}`` where
    it could not be measured, which takes nothing from the modes."""
    spec = engine.spec(batch_size=settings.batch_size, threads=settings.threads)
    job = folder / "roofline.json"
    job.write_text(
        json.dumps(
            {
                "checkpoint": spec.checkpoint,
                "source": spec.options.get("source", ""),
                "device": spec.device,
                "precision": spec.precision,
                "compile": bool(spec.options.get("compile", False)),
                "batch_sizes": sorted({1, spec.batch_size}),
            },
            ensure_ascii=False,
        ),
        encoding="utf-8",
    )
    progress(ProgressEvent(STAGE, 0, 1))
    command = worker_command(engine.python, threads=settings.threads)
    try:
        answer = ask_tool(command, "roofline", [str(job)], seconds=PATIENCE_SECONDS)
    except PreflightError as error:
        answer = {"error": {"code": error.code, "message": error.message}}
    progress(ProgressEvent(STAGE, 1, 1))
    return answer
