"""A run from its recording to its manifest: every stage in its order."""

from __future__ import annotations

from voiceclone_cli.mixing import timeline
from voiceclone_cli.pipeline.assemble import add_video_and_original, cached_mix, render_mix
from voiceclone_cli.pipeline.context import open_run
from voiceclone_cli.pipeline.prepare import prepare
from voiceclone_cli.pipeline.request import RunRequest
from voiceclone_cli.pipeline.resources import Resources
from voiceclone_cli.pipeline.results import RunResult, write_results
from voiceclone_cli.pipeline.synthesize import cached_speech, synthesize
from voiceclone_cli.pipeline.tasks import SynthesisJob
from voiceclone_cli.types import Progress, Until, no_progress


def run(
    request: RunRequest, progress: Progress = no_progress, resources: Resources | None = None
) -> RunResult:
    """Synthesize a recording again, every line in its own speaker's voice; continue where an earlier run ended.

    ``resources``: analyzer and workers; by default those of this run alone. Raises InputError and PreflightError
    before the first segment is synthesized, RunError when the run directory cannot be written. From the first
    segment on, whatever happens to a segment is in the result.
    """
    with open_run(request, progress, resources or Resources()) as ctx:
        # 1. Turns, script, references (and the corrections of `voiceclone redo`).
        prepared = prepare(ctx)
        slot_ends = timeline.slot_ends(prepared.script.segments, ctx.recording.seconds)
        job = SynthesisJob(
            prepared.script, prepared.references, slot_ends, ctx.run_dir, ctx.engine, request.settings
        )
        # 2. One result per segment; where the run ends before, those of an earlier run.
        if request.until in (None, Until.SYNTHESIS):
            with ctx.clock.stage("speaking"):
                speech = synthesize(
                    job,
                    progress,
                    cache=ctx.cache,
                    keep_tasks=request.keep_tasks,
                    open_pool=ctx.resources.open_pool,
                )
        else:
            speech = cached_speech(job, ctx.cache)
        # 3. Mix and stems, video, and the recording's sound for the report.
        if request.until is None:
            with ctx.resources.cpu_lock, ctx.clock.stage("timeline"):
                mix = render_mix(ctx, job, speech, prepared.diarization.turns)
        else:
            mix = cached_mix(ctx, job, speech, prepared.diarization.turns)
        mix = add_video_and_original(ctx, job, speech, mix)
        ctx.clock.stop()
        # 4. Manifest and report.
        return write_results(ctx, prepared, job, speech, mix)
