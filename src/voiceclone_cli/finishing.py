"""From spoken segments to what a run hands over besides the mix: the video, the report, the record of consent."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from voiceclone_cli.atomic import write_text_atomic
from voiceclone_cli.desk import Desk
from voiceclone_cli.errors import InputError, RunError, Stopped
from voiceclone_cli.manifest import Made
from voiceclone_cli.media.original import STAGE as ORIGINAL
from voiceclone_cli.media.original import write_original
from voiceclone_cli.provenance.consent import read_consent
from voiceclone_cli.provenance.tags import container_tags
from voiceclone_cli.report import write_report
from voiceclone_cli.speaking import Spoken
from voiceclone_cli.tasks import Job
from voiceclone_cli.types import Script
from voiceclone_cli.video import make_video_or_recall
from voiceclone_worker.contract import Failure, dump_json


def finish(desk: Desk, job: Job, spoken: Spoken, made: Made) -> Made:
    """Everything that is made of the mix. What keeps it from being written leaves the rest as it is, and
    stands with it in the manifest."""
    if not made.placements:
        return made
    try:
        if desk.video_suffix is not None:
            with desk.clock.stage("video"):
                made = _with_video(desk, job, made, desk.video_suffix)
        if desk.request.report:
            made = _with_original(desk, made)
    except (InputError, RunError) as error:
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
        language=main_language(job.script),
        keep_original_audio=desk.request.keep_original_audio,
        tags=container_tags(job.engine.name),
        stages=desk.stages,
        progress=desk.progress,
        audio_sha256=made.sha256.get(job.run_dir.mix.name),
    )
    desk.notes.extend(video.notes)
    return replace(made, video=video.path, sha256={**made.sha256, video.path.name: video.sha256})


def main_language(lines: Script) -> str | None:
    """That of most lines."""
    counted = Counter(segment.language for segment in lines.segments)
    return counted.most_common(1)[0][0] if counted else None


def _with_original(desk: Desk, made: Made) -> Made:
    """The recording's sound, for the report to play."""
    out = desk.run_dir.original
    if desk.stages.recall(ORIGINAL, {}) is None:
        with desk.clock.stage(ORIGINAL):
            write_original(desk.recording.path, out, desk.progress)
        desk.stages.keep(ORIGINAL, {}, {}, large_files=[out])
    return replace(made, original=out)


def add_report(desk: Desk, content: dict[str, Any]) -> None:
    """Write the report of what the manifest says by now, and name it there. Raises RunError."""
    with desk.clock.stage("report"):
        content["outputs"]["report"] = str(write_report(desk.run_dir.root, desk.progress))
    desk.clock.stop()
    content["timing"].update(desk.clock.seconds)


def consent_of(desk: Desk, lines: Script) -> dict[str, Any] | None:
    """Who agreed to what: the file that was given, kept in the run directory, else what an earlier run kept."""
    kept = desk.run_dir.consent
    if desk.request.consent is None:
        return _kept_consent(kept)
    document, notes = read_consent(desk.request.consent, {segment.speaker for segment in lines.segments})
    desk.notes.extend(notes)
    write_text_atomic(kept, dump_json(document, indent=1) + "\n")
    return document


def _kept_consent(path: Path) -> dict[str, Any] | None:
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} cannot be read ({error}): remove it, and give the record again with --consent.",
            code="consent_unreadable",
        ) from error
    return document
