"""Spoken segments on the recording's timeline: the mix and the stems of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from voiceclone_cli import timeline
from voiceclone_cli.background import model_folders
from voiceclone_cli.errors import Stopped, VoicecloneError
from voiceclone_cli.provenance.tags import wav_info
from voiceclone_cli.rundir.directory import sweep
from voiceclone_cli.steps.desk import Desk
from voiceclone_cli.steps.speaking import Spoken
from voiceclone_cli.tasks import Job
from voiceclone_cli.types import Placement, Turn
from voiceclone_worker.contract import Failure


@dataclass(frozen=True, slots=True)
class Made:
    """What came out besides the segments."""

    placements: Sequence[Placement] = ()
    mix_rate: int = 0
    """Hz."""
    sha256: Mapping[str, str] = field(default_factory=dict)
    """By the file's name in the run directory."""
    video: Path | None = None
    original: Path | None = None


def placed_before(desk: Desk, job: Job, spoken: Spoken, turns: Sequence[Turn]) -> Made:
    """The mix that an earlier run made of just these segments, found out without changing anything: where it
    holds, a run that stops on the way lacks nothing."""
    rows = spoken.done
    known = None
    if rows and not spoken.stopped:
        known = timeline.recall(
            job.script.segments,
            rows,
            turns=turns,
            max_stretch=job.settings.max_stretch,
            background=job.settings.background,
            info=wav_info(job.engine.name),
            stages=desk.stages,
        )
    return Made() if known is None else Made(known.placements, known.rate, known.sha256)


def place(desk: Desk, job: Job, spoken: Spoken, turns: Sequence[Turn]) -> Made:
    """The mix and the stems, unless there is nothing to hear or nobody waits for it any more.

    What keeps them from being written leaves the segments as they are, and stands with them in the manifest.
    """
    rows = spoken.done
    if spoken.stopped:
        return Made()
    if not rows:
        job.run_dir.drop_mix()
        return Made()
    try:
        rendering = timeline.render_or_recall(
            job.script.segments,
            rows,
            desk.recording,
            mix=job.run_dir.mix,
            stems=job.run_dir.stems,
            turns=turns,
            max_stretch=job.settings.max_stretch,
            background=job.settings.background,
            models=model_folders(job.settings, desk.progress),
            threads=job.settings.threads,
            info=wav_info(job.engine.name),
            stages=desk.stages,
            progress=desk.progress,
        )
        sweep(job.run_dir.stems, {f"{segment.speaker}.wav" for segment in job.script.segments})
        return Made(rendering.placements, rendering.rate, rendering.sha256)
    except VoicecloneError as error:
        spoken.errors.append(Failure(error.code, error.message))
    except Stopped as stop:
        spoken.stopped = stop
    return Made()
