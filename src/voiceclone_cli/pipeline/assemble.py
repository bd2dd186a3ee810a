"""The outputs of a run besides its segments: mix and stems, the video, and the recording's sound for the report."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from voiceclone_cli.audio.writer import STAGE as ORIGINAL
from voiceclone_cli.audio.writer import VERSION as ORIGINAL_VERSION
from voiceclone_cli.audio.writer import write_original
from voiceclone_cli.errors import Stopped, VoicecloneError
from voiceclone_cli.mixing import render
from voiceclone_cli.mixing.render import Rendering
from voiceclone_cli.pipeline.context import RunContext
from voiceclone_cli.pipeline.synthesize import SynthesisResult
from voiceclone_cli.pipeline.tasks import SynthesisJob
from voiceclone_cli.provenance.watermark import container_tags, wav_info
from voiceclone_cli.rundir.directory import remove_temporary_files
from voiceclone_cli.video.mux import Dub, Video, cached_video
from voiceclone_worker.protocol import Failure


def cached_mix(ctx: RunContext, job: SynthesisJob, speech: SynthesisResult) -> Rendering | None:
    """Return the mix that an earlier run made of the same segments, without changing anything."""
    if not speech.done or speech.stopped:
        return None
    return render.load_cached_render(
        job.script.segments,
        speech.done,
        turns=job.diarization.turns,
        settings=job.settings,
        info=wav_info(job.engine.name),
        cache=ctx.cache,
    )


def render_mix(ctx: RunContext, job: SynthesisJob, speech: SynthesisResult) -> Rendering | None:
    """Write the mix and the stems, unless there is no speech or the run was stopped.

    An error is added to those of ``speech``, whose segments stay as they are.
    """
    if not speech.done and not speech.stopped:
        job.run_dir.delete_mix()
    if not speech.done or speech.stopped:
        return None
    with _errors_added_to(speech):
        mix = render.cached_render(
            job.script.segments,
            speech.done,
            ctx.recording,
            paths=job.run_dir,
            turns=job.diarization.turns,
            settings=job.settings,
            info=wav_info(job.engine.name),
            cache=ctx.cache,
            progress=ctx.progress,
        )
        remove_temporary_files(
            job.run_dir.stems, {f"{segment.speaker}.wav" for segment in job.script.segments}
        )
        return mix
    return None


def write_video(ctx: RunContext, job: SynthesisJob, speech: SynthesisResult, mix: Rendering) -> Video | None:
    """Write the pictures of the input over the new mix. An error is added to those of ``speech``."""
    if ctx.video_suffix is None or speech.stopped:
        return None
    with _errors_added_to(speech), ctx.clock.stage("video"):
        video = cached_video(
            ctx.recording.path,
            [
                Dub(
                    job.run_dir.mix,
                    job.script.language,
                    job.script,
                    mix.sha256.get(job.run_dir.mix.name),
                )
            ],
            job.run_dir.video(ctx.video_suffix),
            keep_original_audio=ctx.request.keep_original_audio,
            tags=container_tags(job.engine.name),
            cache=ctx.cache,
            progress=ctx.progress,
            audio_track=ctx.recording.audio.track,
        )
        # Of an earlier run with another container.
        for other in {".mp4", ".mkv"} - {ctx.video_suffix}:
            job.run_dir.video(other).unlink(missing_ok=True)
        ctx.notes.extend(video.notes)
        return video
    return None


def write_recording(ctx: RunContext, speech: SynthesisResult) -> Path | None:
    """Write the recording's sound for the report. An error is added to those of ``speech``."""
    if not ctx.request.report or speech.stopped:
        return None

    def write() -> Path:
        with ctx.clock.stage(ORIGINAL):
            return write_original(ctx.recording.path, ctx.run_dir.original, ctx.progress, ctx.recording.audio)

    with _errors_added_to(speech):
        return ctx.cache.cached(
            ORIGINAL,
            ORIGINAL_VERSION,
            {},
            write,
            serialize=lambda path: {},
            parse=lambda entry: ctx.run_dir.original,
            large_files=lambda path: [path],
        )
    return None


@contextmanager
def _errors_added_to(speech: SynthesisResult) -> Iterator[None]:
    try:
        yield
    except VoicecloneError as error:
        speech.errors.append(Failure(error.code, error.message))
    except Stopped as stop:
        speech.stopped = stop
