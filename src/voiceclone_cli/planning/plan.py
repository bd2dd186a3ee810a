"""The story of a plan."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from voiceclone_cli import rates
from voiceclone_cli.errors import InputError
from voiceclone_cli.planning.document import document
from voiceclone_cli.planning.outlook import look_ahead
from voiceclone_cli.planning.shadow import careful
from voiceclone_cli.steps.desk import open_desk
from voiceclone_cli.steps.placing import placed_before
from voiceclone_cli.steps.preparing import prepare
from voiceclone_cli.steps.request import RunRequest
from voiceclone_cli.steps.settling import settle
from voiceclone_cli.steps.speaking import spoken_before
from voiceclone_cli.types import Progress, Until, no_progress


def plan(request: RunRequest, progress: Progress = no_progress) -> dict[str, Any]:
    """What ``run`` would do with this request now, as ``voiceclone.plan/1``.

    Turns, script and references are found out as a run does, and remembered in the run directory for it;
    no engine is loaded and no worker started. Of a finished run nothing is changed: neither its manifest nor
    anything that it tells of. With ``force`` the plan is that of a run that keeps nothing; the plan itself keeps
    what is there. Raises InputError and PreflightError as ``run`` does.
    """
    if request.until is not None:
        raise InputError("a plan is of the whole run: leave --until out", code="plan_until")
    looking = replace(request, until=Until.CASTING, force=False)
    with open_desk(looking, progress) as real, careful(real) as desk:
        prepared = prepare(desk)
        job = prepared.job(desk)
        spoken = spoken_before(job, desk.stages)
        made = placed_before(desk, job, spoken, prepared.diarization.turns)
        desk.clock.stop()
        if desk is real:
            settle(desk, prepared, job, spoken, made)
        rates.record(desk, prepared.diarization.diarizer, job, spoken)
        outlook = look_ahead(
            desk, prepared, job, spoken.kept, mix_is_kept=bool(made.placements), again=request.force
        )
        return document(desk, real.run_dir, prepared, job, outlook)
