"""The story of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from voiceclone_cli import rates
from voiceclone_cli.errors import VoicecloneError
from voiceclone_cli.means import OWN, Means
from voiceclone_cli.settings import LOCAL
from voiceclone_cli.steps.desk import Desk, open_desk
from voiceclone_cli.steps.finishing import add_report, finish
from voiceclone_cli.steps.manifest import (
    PLANNED,
    Made,
    Source,
    document,
    exit_code,
    record_unwritten,
    request_row,
    write_manifest,
)
from voiceclone_cli.steps.placing import place, placed_before
from voiceclone_cli.steps.preparing import Prepared, prepare
from voiceclone_cli.steps.request import RunRequest
from voiceclone_cli.steps.speaking import Spoken, speak, spoken_before
from voiceclone_cli.tasks import Job
from voiceclone_cli.types import Progress, Until, no_progress

_BEFORE_CASTING = (Until.DIARIZATION, Until.SCRIPT)


@dataclass(frozen=True, slots=True)
class RunResult:
    document: dict[str, Any]
    exit_code: int


def run(request: RunRequest, progress: Progress = no_progress, means: Means = OWN) -> RunResult:
    """Speak a recording again, every line in its own speaker's voice; go on where an earlier run ended.

    ``means``: whose ears and voices; its own, where the run is alone.
    Raises InputError and PreflightError before a line is spoken, RunError when the run directory cannot be
    written; from the first segment on, whatever happens to a segment stands in the result.
    """
    with open_desk(request, progress, means) as desk:
        prepared = prepare(desk)
        job = prepared.job(desk)
        if request.until in (None, Until.SPEAKING):
            with desk.clock.stage("speaking"):
                spoken = speak(
                    job,
                    progress,
                    stages=desk.stages,
                    keep_tasks=request.keep_tasks,
                    open_voices=means.voices,
                )
        else:
            spoken = spoken_before(job, desk.stages)
        if request.until is None:
            with means.computing, desk.clock.stage("timeline"):
                made = place(desk, job, spoken, prepared.diarization.turns)
        else:
            made = placed_before(desk, job, spoken, prepared.diarization.turns)
        made = finish(desk, job, spoken, made)
        desk.clock.stop()
        result = settle(desk, prepared, job, spoken, made)
        if means.undisturbed and request.settings.executor == LOCAL:
            rates.record(desk, prepared.diarization.diarizer, job, spoken)
        return result


def settle(desk: Desk, prepared: Prepared, job: Job, spoken: Spoken, made: Made) -> RunResult:
    """What the run came to, kept in the run directory.

    A run that stopped before it knew what of an earlier one's speech still holds leaves that one's manifest as it
    was. The document is the caller's also where the disk does not take it.
    """
    source = Source(
        desk.recording,
        desk.sha256,
        prepared.diarization,
        prepared.script_from,
        request_row(desk.request),
        history=prepared.history.rows(),
        consent=prepared.consent,
    )
    content = document(source, job, spoken, made, desk.notes, desk.stages.reused, desk.clock)
    if desk.request.until is Until.CASTING and not made.placements:
        content["status"] = PLANNED  # also where every line is there: nobody asked for the rest yet
    if desk.request.until in _BEFORE_CASTING and job.run_dir.has_spoken():
        return RunResult(content, exit_code(spoken))
    try:
        write_manifest(job.run_dir, content)
        if (desk.request.until is None or made.placements) and not spoken.stopped:
            if desk.request.report:
                add_report(desk, content)
                write_manifest(job.run_dir, content)
            else:
                job.run_dir.report.unlink(missing_ok=True)  # an earlier run's
    except VoicecloneError as error:
        return RunResult(record_unwritten(content, error), error.exit_code)
    return RunResult(content, exit_code(spoken))
