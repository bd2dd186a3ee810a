"""The story of a run."""

from __future__ import annotations

from collections.abc import Sequence

from voiceclone_cli.means import OWN, Means
from voiceclone_cli.planning.estimate import record
from voiceclone_cli.settings import LOCAL
from voiceclone_cli.steps.desk import Desk, open_desk
from voiceclone_cli.steps.finishing import finish
from voiceclone_cli.steps.placing import Made, place, placed_before
from voiceclone_cli.steps.preparing import prepare
from voiceclone_cli.steps.request import RunRequest
from voiceclone_cli.steps.settling import RunResult, settle
from voiceclone_cli.steps.speaking import Spoken, speak, spoken_before
from voiceclone_cli.tasks import Job
from voiceclone_cli.types import Progress, Turn, Until, no_progress


def run(request: RunRequest, progress: Progress = no_progress, means: Means = OWN) -> RunResult:
    """Speak a recording again, every line in its own speaker's voice; go on where an earlier run ended.

    ``means``: whose ears and voices; its own, where the run is alone.
    Raises InputError and PreflightError before a line is spoken, RunError when the run directory cannot be
    written; from the first segment on, whatever happens to a segment stands in the result.
    """
    with open_desk(request, progress, means) as desk:
        prepared = prepare(desk)
        job = prepared.job(desk)
        spoken = _spoken(desk, job)
        mixed = _placed(desk, job, spoken, prepared.diarization.turns)
        made = finish(desk, job, spoken, mixed)
        desk.clock.stop()
        result = settle(desk, prepared, job, spoken, made)
        if means.undisturbed and request.settings.executor == LOCAL:
            record(desk, prepared.diarization.diarizer, job, spoken)
        return result


def _spoken(desk: Desk, job: Job) -> Spoken:
    """The lines; of a request that ends before them those that were spoken before."""
    if desk.request.until not in (None, Until.SPEAKING):
        return spoken_before(job, desk.stages)
    with desk.clock.stage("speaking"):
        return speak(
            job,
            desk.progress,
            stages=desk.stages,
            keep_tasks=desk.request.keep_tasks,
            open_voices=desk.means.voices,
        )


def _placed(desk: Desk, job: Job, spoken: Spoken, turns: Sequence[Turn]) -> Made:
    """The mix; of a request that ends before it the one that was made before."""
    if desk.request.until is not None:
        return placed_before(desk, job, spoken, turns)
    with desk.means.computing, desk.clock.stage("timeline"):
        return place(desk, job, spoken, turns)
