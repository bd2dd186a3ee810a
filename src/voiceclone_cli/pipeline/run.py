"""The story of a run."""

from __future__ import annotations

from collections.abc import Sequence

from voiceclone_cli.config import LOCAL
from voiceclone_cli.pipeline.assemble import Mix, assemble, cached_mix, render_mix_and_video
from voiceclone_cli.pipeline.context import RunContext, open_run
from voiceclone_cli.pipeline.prepare import prepare
from voiceclone_cli.pipeline.request import RunRequest
from voiceclone_cli.pipeline.resources import LOCAL_RESOURCES, Resources
from voiceclone_cli.pipeline.results import RunResult, write_results
from voiceclone_cli.pipeline.synthesize import SynthesisResult, cached_speech, synthesize
from voiceclone_cli.pipeline.tasks import SynthesisJob
from voiceclone_cli.planning.estimate import record
from voiceclone_cli.types import Progress, Turn, Until, no_progress


def run(
    request: RunRequest, progress: Progress = no_progress, means: Resources = LOCAL_RESOURCES
) -> RunResult:
    """Speak a recording again, every line in its own speaker's voice; go on where an earlier run ended.

    ``means``: whose ears and voices; its own, where the run is alone.
    Raises InputError and PreflightError before a line is spoken, RunError when the run directory cannot be
    written; from the first segment on, whatever happens to a segment stands in the result.
    """
    with open_run(request, progress, means) as ctx:
        prepared = prepare(ctx)
        job = prepared.job(ctx)
        spoken = _spoken(ctx, job)
        mixed = _placed(ctx, job, spoken, prepared.diarization.turns)
        made = assemble(ctx, job, spoken, mixed)
        ctx.clock.stop()
        result = write_results(ctx, prepared, job, spoken, made)
        if means.undisturbed and request.settings.executor == LOCAL:
            record(ctx, prepared.diarization.diarizer, job, spoken)
        return result


def _spoken(ctx: RunContext, job: SynthesisJob) -> SynthesisResult:
    """The lines; of a request that ends before them those that were spoken before."""
    if ctx.request.until not in (None, Until.SPEAKING):
        return cached_speech(job, ctx.cache)
    with ctx.clock.stage("speaking"):
        return synthesize(
            job,
            ctx.progress,
            cache=ctx.cache,
            keep_tasks=ctx.request.keep_tasks,
            open_pool=ctx.means.voices,
        )


def _placed(ctx: RunContext, job: SynthesisJob, spoken: SynthesisResult, turns: Sequence[Turn]) -> Mix:
    """The mix; of a request that ends before it the one that was made before."""
    if ctx.request.until is not None:
        return cached_mix(ctx, job, spoken, turns)
    with ctx.means.computing, ctx.clock.stage("timeline"):
        return render_mix_and_video(ctx, job, spoken, turns)
