"""What a run makes besides the mix: the video, and the recording's sound for the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from voiceclone_cli.audio.writer import STAGE as ORIGINAL
from voiceclone_cli.audio.writer import VERSION as ORIGINAL_VERSION
from voiceclone_cli.audio.writer import write_original
from voiceclone_cli.errors import Stopped, VoicecloneError
from voiceclone_cli.mixing import render
from voiceclone_cli.pipeline.context import RunContext
from voiceclone_cli.pipeline.synthesize import SynthesisResult
from voiceclone_cli.pipeline.tasks import SynthesisJob
from voiceclone_cli.provenance.watermark import container_tags, wav_info
from voiceclone_cli.rundir.directory import remove_temporary_files
from voiceclone_cli.types import Placement, Turn
from voiceclone_cli.video.mux import cached_video
from voiceclone_worker.protocol import Failure

# Spoken segments on the recording's timeline: the mix and the stems of a run.


@dataclass(frozen=True, slots=True)
class Mix:
    """What came out besides the segments."""

    placements: Sequence[Placement] = ()
    mix_rate: int = 0
    """Hz."""
    sha256: Mapping[str, str] = field(default_factory=dict)
    """By the file's name in the run directory."""
    video: Path | None = None
    original: Path | None = None


def cached_mix(ctx: RunContext, job: SynthesisJob, spoken: SynthesisResult, turns: Sequence[Turn]) -> Mix:
    """The mix that an earlier run made of just these segments, found out without changing anything: where it
    holds, a run that stops on the way lacks nothing."""
    rows = spoken.done
    known = None
    if rows and not spoken.stopped:
        known = render.load_cached_render(
            job.script.segments,
            rows,
            turns=turns,
            settings=job.settings,
            info=wav_info(job.engine.name),
            cache=ctx.cache,
        )
    return Mix() if known is None else Mix(known.placements, known.rate, known.sha256)


def render_mix_and_video(
    ctx: RunContext, job: SynthesisJob, spoken: SynthesisResult, turns: Sequence[Turn]
) -> Mix:
    """The mix and the stems, unless there is nothing to hear or nobody waits for it any more.

    What keeps them from being written leaves the segments as they are, and stands with them in the manifest.
    """
    rows = spoken.done
    if spoken.stopped:
        return Mix()
    if not rows:
        job.run_dir.drop_mix()
        return Mix()
    try:
        rendering = render.cached_render(
            job.script.segments,
            rows,
            ctx.recording,
            paths=job.run_dir,
            turns=turns,
            settings=job.settings,
            info=wav_info(job.engine.name),
            cache=ctx.cache,
            progress=ctx.progress,
        )
        remove_temporary_files(
            job.run_dir.stems, {f"{segment.speaker}.wav" for segment in job.script.segments}
        )
        return Mix(rendering.placements, rendering.rate, rendering.sha256)
    except VoicecloneError as error:
        spoken.errors.append(Failure(error.code, error.message))
    except Stopped as stop:
        spoken.stopped = stop
    return Mix()


def assemble(ctx: RunContext, job: SynthesisJob, spoken: SynthesisResult, made: Mix) -> Mix:
    """Both, where there is a mix. What keeps them from being written leaves the rest as it is, and stands with
    it in the manifest."""
    if not made.placements:
        return made
    try:
        if ctx.video_suffix is not None:
            with ctx.clock.stage("video"):
                made = _with_video(ctx, job, made, ctx.video_suffix)
        if ctx.request.report:
            made = _with_original(ctx, made)
    except VoicecloneError as error:
        spoken.errors.append(Failure(error.code, error.message))
    except Stopped as stop:
        spoken.stopped = stop
    return made


def _with_video(ctx: RunContext, job: SynthesisJob, made: Mix, suffix: str) -> Mix:
    """The pictures of the input over the new mix."""
    source = ctx.recording.path
    video = cached_video(
        source,
        job.run_dir.mix,
        job.run_dir.video(suffix),
        subtitles=job.script,
        language=job.script.language,
        keep_original_audio=ctx.request.keep_original_audio,
        tags=container_tags(job.engine.name),
        cache=ctx.cache,
        progress=ctx.progress,
        audio_sha256=made.sha256.get(job.run_dir.mix.name),
    )
    # Of an earlier run that was asked for something else.
    for other in {".mp4", ".mkv"} - {suffix}:
        job.run_dir.video(other).unlink(missing_ok=True)
    ctx.notes.extend(video.notes)
    return replace(made, video=video.path, sha256={**made.sha256, video.path.name: video.sha256})


def _with_original(ctx: RunContext, made: Mix) -> Mix:
    """The recording's sound, for the report to play."""
    out = ctx.run_dir.original

    def write() -> Path:
        with ctx.clock.stage(ORIGINAL):
            return write_original(ctx.recording.path, out, ctx.progress)

    ctx.cache.cached(
        ORIGINAL,
        ORIGINAL_VERSION,
        {},
        write,
        serialize=lambda path: {},
        parse=lambda entry: out,
        large_files=lambda path: [path],
    )
    return replace(made, original=out)
