"""The outputs of a run besides its segments: mix and stems, the video, and the recording's sound for the report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
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


@dataclass(frozen=True, slots=True)
class Mix:
    """What a run has made besides the segments; empty where there is no mix."""

    placements: Sequence[Placement] = ()
    rate: int = 0
    """Hz."""
    sha256: Mapping[str, str] = field(default_factory=dict)
    """By the file's name in the run directory."""
    video: Path | None = None
    original: Path | None = None


def cached_mix(ctx: RunContext, job: SynthesisJob, speech: SynthesisResult, turns: Sequence[Turn]) -> Mix:
    """Return the mix that an earlier run made of the same segments, without changing anything."""
    if not speech.done or speech.stopped:
        return Mix()
    known = render.load_cached_render(
        job.script.segments,
        speech.done,
        turns=turns,
        settings=job.settings,
        info=wav_info(job.engine.name),
        cache=ctx.cache,
    )
    return Mix() if known is None else Mix(known.placements, known.rate, known.sha256)


def render_mix(ctx: RunContext, job: SynthesisJob, speech: SynthesisResult, turns: Sequence[Turn]) -> Mix:
    """Write the mix and the stems, unless there is no speech or the run was stopped.

    An error is added to those of ``speech``, whose segments stay as they are.
    """
    if not speech.done and not speech.stopped:
        job.run_dir.delete_mix()
    if not speech.done or speech.stopped:
        return Mix()
    with _errors_added_to(speech):
        rendering = render.cached_render(
            job.script.segments,
            speech.done,
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
    return Mix()


def add_video_and_original(ctx: RunContext, job: SynthesisJob, speech: SynthesisResult, mix: Mix) -> Mix:
    """Write the video and the recording's sound where there is a mix. Errors are added to those of ``speech``."""
    if not mix.placements:
        return mix
    with _errors_added_to(speech):
        if ctx.video_suffix is not None:
            with ctx.clock.stage("video"):
                mix = _with_video(ctx, job, mix, ctx.video_suffix)
        if ctx.request.report:
            mix = _with_original(ctx, mix)
    return mix


@contextmanager
def _errors_added_to(speech: SynthesisResult) -> Iterator[None]:
    try:
        yield
    except VoicecloneError as error:
        speech.errors.append(Failure(error.code, error.message))
    except Stopped as stop:
        speech.stopped = stop


def _with_video(ctx: RunContext, job: SynthesisJob, mix: Mix, suffix: str) -> Mix:
    """Write the pictures of the input over the new mix."""
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
        audio_sha256=mix.sha256.get(job.run_dir.mix.name),
    )
    # Of an earlier run with another container.
    for other in {".mp4", ".mkv"} - {suffix}:
        job.run_dir.video(other).unlink(missing_ok=True)
    ctx.notes.extend(video.notes)
    return replace(mix, video=video.path, sha256={**mix.sha256, video.path.name: video.sha256})


def _with_original(ctx: RunContext, mix: Mix) -> Mix:
    """Write the recording's sound, for the report to play."""
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
    return replace(mix, original=out)
