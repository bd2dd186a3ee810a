"""What a run was asked for, as its manifest keeps it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from voiceclone_cli.settings import TABLE, Settings
from voiceclone_cli.steps.request import RunRequest


def asked(request: RunRequest, engine: str) -> dict[str, Any]:
    """All that is needed to make the same run again."""
    return {"engine": engine, "request": request_row(request), "settings": settings_rows(request.settings)}


def request_row(request: RunRequest) -> dict[str, Any]:
    """Of a request what its settings do not say."""

    def absolute(path: Path | None) -> str | None:
        return None if path is None else str(path.absolute())

    return {
        "input": absolute(request.input),
        "script": absolute(request.script),
        "turns": absolute(request.turns),
        "references": {name: absolute(path) for name, path in request.references.items()},
        "speakers": asdict(request.speakers),
        "consent": absolute(request.consent),
        "keep_original_audio": request.keep_original_audio,
        "report": request.report,
        "working_dir": str(Path.cwd()),
    }


def settings_rows(settings: Settings) -> dict[str, Any]:
    """Without the token: a manifest is made to be passed on."""
    return {
        row.name: {"value": getattr(settings, row.name), "from": settings.sources[row.name]}
        for row in TABLE
        if not row.secret
    }
