"""A run from its recording to its manifest: every stage in its order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from voiceclone_cli.pipeline.assemble import cached_mix, render_mix, write_recording, write_video
from voiceclone_cli.pipeline.context import RunContext, open_run
from voiceclone_cli.pipeline.prepare import check_fit, check_languages, prepare
from voiceclone_cli.pipeline.request import RunRequest
from voiceclone_cli.pipeline.resources import Resources, open_resources
from voiceclone_cli.pipeline.results import RunResult, write_results
from voiceclone_cli.pipeline.synthesize import cached_speech, synthesize
from voiceclone_cli.types import Progress, Until, no_progress


def run(
    request: RunRequest, progress: Progress = no_progress, resources: Resources | None = None
) -> RunResult:
    """Synthesize a recording again, every line in its own speaker's voice; continue where an earlier run ended.

    ``resources``: analyzer and workers; by default those of this run alone. Raises InputError and PreflightError
    before the first segment is synthesized, RunError when the run directory cannot be written. From the first
    segment on, whatever happens to a segment is in the result.
    """
    with open_run(request, progress, resources) as opened, _with_resources(opened, resources) as ctx:
        # 1. Turns, script and references, with the corrections of `voiceclone redo`.
        job = prepare(ctx)
        # 2. One result per segment; where the run ends before, those of an earlier run.
        if request.until in (None, Until.SYNTHESIS):
            check_languages(ctx, job.script)
            check_fit(ctx, job)
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
        # 3. Mix and stems; then the video, and the recording's sound for the report.
        if request.until is None:
            with ctx.resources.cpu_lock, ctx.clock.stage("timeline"):
                mix = render_mix(ctx, job, speech)
        else:
            mix = cached_mix(ctx, job, speech)
        video = write_video(ctx, job, speech, mix) if mix else None
        recording = write_recording(ctx, speech) if mix else None
        ctx.clock.stop()
        # 4. Manifest and report.
        return write_results(ctx, job, speech, mix, video, recording)


@contextmanager
def _with_resources(ctx: RunContext, own: Resources | None) -> Iterator[RunContext]:
    """Yield the context with what the run computes with; the workers of a run alone end with the block."""
    request = ctx.request
    if request.until not in (None, Until.SYNTHESIS):
        yield ctx
        return
    with open_resources(
        own, request.settings, ctx.engine, ctx.run_dir, keep_tasks=request.keep_tasks
    ) as resources:
        yield replace(ctx, resources=resources)
