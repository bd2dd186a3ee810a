"""The end of a run: its manifest, and the report of what that says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from voiceclone_cli.errors import VoicecloneError
from voiceclone_cli.report import write_report
from voiceclone_cli.rundir.manifest import write_manifest
from voiceclone_cli.steps.desk import Desk
from voiceclone_cli.steps.manifest import document
from voiceclone_cli.steps.outcome import ERROR, PLANNED, exit_code
from voiceclone_cli.steps.placing import Made
from voiceclone_cli.steps.preparing import Prepared
from voiceclone_cli.steps.speaking import Spoken
from voiceclone_cli.tasks import Job
from voiceclone_cli.types import Until

_BEFORE_CASTING = (Until.DIARIZATION, Until.SCRIPT)


@dataclass(frozen=True, slots=True)
class RunResult:
    document: dict[str, Any]
    exit_code: int


def settle(desk: Desk, prepared: Prepared, job: Job, spoken: Spoken, made: Made) -> RunResult:
    """What the run came to, kept in the run directory.

    A run that stopped before it knew what of an earlier one's speech still holds leaves that one's manifest as it
    was. The document is the caller's also where the disk does not take it.
    """
    content = document(desk, prepared, job, spoken, made)
    if desk.request.until is Until.CASTING and not made.placements:
        content["status"] = PLANNED  # also where every line is there: nobody asked for the rest yet
    if desk.request.until in _BEFORE_CASTING and job.run_dir.has_spoken():
        return RunResult(content, exit_code(spoken))
    try:
        write_manifest(job.run_dir.root, content)
        if (desk.request.until is None or made.placements) and not spoken.stopped:
            if desk.request.report:
                _add_report(desk, content)
                write_manifest(job.run_dir.root, content)
            else:
                job.run_dir.report.unlink(missing_ok=True)  # an earlier run's
    except VoicecloneError as error:
        return RunResult(unwritten(content, error), error.exit_code)
    return RunResult(content, exit_code(spoken))


def _add_report(desk: Desk, content: dict[str, Any]) -> None:
    """Write the report of what the manifest says by now, and name it there. Raises RunError."""
    with desk.clock.stage("report"):
        content["outputs"]["report"] = str(write_report(desk.run_dir.root, desk.progress))
    desk.clock.stop()
    content["timing"].update(desk.clock.seconds)


def unwritten(content: Mapping[str, Any], error: VoicecloneError) -> dict[str, Any]:
    """The document of a run whose manifest or report could not be written."""
    reason = {"code": error.code, "message": error.message, "segment": None}
    others = [error for error in content["errors"] if error != reason]
    return {**content, "status": ERROR, "errors": [reason, *others]}
