"""The manifest of a run that ended before a segment was spoken."""

from __future__ import annotations

import contextlib
from typing import Any

from voiceclone_cli.errors import RunError, Stopped, VoicecloneError
from voiceclone_cli.rundir.directory import RunDir
from voiceclone_cli.rundir.manifest import RUN_SCHEMA, write_manifest
from voiceclone_cli.steps.outcome import ERROR


def failure_document(end: VoicecloneError | Stopped) -> dict[str, Any]:
    """What ``--json`` prints of it."""
    if isinstance(end, Stopped):
        code, message = "interrupted", "the run was stopped"
    else:
        code, message = end.code, end.message
    return {
        "schema": RUN_SCHEMA,
        "status": ERROR,
        "run_dir": None,
        "segments": [],
        "outputs": {},
        "errors": [{"code": code, "message": message, "segment": None}],
    }


def record_failure(run_dir: RunDir, end: VoicecloneError | Stopped) -> None:
    """Write it, unless that of an earlier run still holds."""
    claim = run_dir.claimed()
    if claim is not None:
        owner = {"run_dir": str(run_dir.root), "input": {"sha256": run_dir.input_sha256}}
        content = {**claim, **failure_document(end), **owner}
        # Where the disk does not take it either, the claim stands: a run that was never finished.
        with contextlib.suppress(RunError):
            write_manifest(run_dir.root, content)
