"""What a run makes besides the mix: the video, and the recording's sound for the report."""

from __future__ import annotations

from dataclasses import replace

from voiceclone_cli.errors import Stopped, VoicecloneError
from voiceclone_cli.media.original import STAGE as ORIGINAL
from voiceclone_cli.media.original import write_original
from voiceclone_cli.provenance.tags import container_tags
from voiceclone_cli.steps.desk import Desk
from voiceclone_cli.steps.placing import Made
from voiceclone_cli.steps.speaking import Spoken
from voiceclone_cli.tasks import Job
from voiceclone_cli.video import make_video_or_recall
from voiceclone_worker.contract import Failure


def finish(desk: Desk, job: Job, spoken: Spoken, made: Made) -> Made:
    """Both, where there is a mix. What keeps them from being written leaves the rest as it is, and stands with
    it in the manifest."""
    if not made.placements:
        return made
    try:
        if desk.video_suffix is not None:
            with desk.clock.stage("video"):
                made = _with_video(desk, job, made, desk.video_suffix)
        if desk.request.report:
            made = _with_original(desk, made)
    except VoicecloneError as error:
        spoken.errors.append(Failure(error.code, error.message))
    except Stopped as stop:
        spoken.stopped = stop
    return made


def _with_video(desk: Desk, job: Job, made: Made, suffix: str) -> Made:
    """The pictures of the input over the new mix."""
    source = desk.recording.path
    video = make_video_or_recall(
        source,
        job.run_dir.mix,
        job.run_dir.video(suffix),
        subtitles=job.script,
        language=job.script.language,
        keep_original_audio=desk.request.keep_original_audio,
        tags=container_tags(job.engine.name),
        stages=desk.stages,
        progress=desk.progress,
        audio_sha256=made.sha256.get(job.run_dir.mix.name),
    )
    # Of an earlier run that was asked for something else.
    for other in {".mp4", ".mkv"} - {suffix}:
        job.run_dir.video(other).unlink(missing_ok=True)
    desk.notes.extend(video.notes)
    return replace(made, video=video.path, sha256={**made.sha256, video.path.name: video.sha256})


def _with_original(desk: Desk, made: Made) -> Made:
    """The recording's sound, for the report to play."""
    out = desk.run_dir.original
    if desk.stages.recall(ORIGINAL, {}) is None:
        with desk.clock.stage(ORIGINAL):
            write_original(desk.recording.path, out, desk.progress)
        desk.stages.keep(ORIGINAL, {}, {}, large_files=[out])
    return replace(made, original=out)
