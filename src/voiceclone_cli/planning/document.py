"""A plan as a document."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from voiceclone_cli import models
from voiceclone_cli.background import KEEP, MODELS
from voiceclone_cli.planning.outlook import Ahead, Outlook
from voiceclone_cli.planning.room import Room, memory_note, room_for
from voiceclone_cli.planning.voices import judge
from voiceclone_cli.rates import Estimate
from voiceclone_cli.rundir.directory import RunDir
from voiceclone_cli.settings import models_home
from voiceclone_cli.steps.desk import Desk
from voiceclone_cli.steps.outcome import PLANNED
from voiceclone_cli.steps.preparing import Prepared
from voiceclone_cli.tasks import Job

PLAN_SCHEMA = "voiceclone.plan/1"


def document(desk: Desk, run_dir: RunDir, prepared: Prepared, job: Job, outlook: Outlook) -> dict[str, Any]:
    """``run_dir`` is that of the run to come. Times in seconds, memory in MB (10^6 bytes), disk in bytes."""
    settings, engine, recording = job.settings, desk.engine, desk.recording
    total = len(job.script.segments)
    room = room_for(job, recording, run_dir, outlook.memory_mb)
    return {
        "schema": PLAN_SCHEMA,
        "status": PLANNED,
        "run_dir": str(run_dir.root),
        "input": {
            "path": str(recording.path.absolute()),
            "sha256": desk.sha256,
            "seconds": round(recording.seconds, 3),
            "rate": recording.source_rate,
            "channels": recording.channels,
            "video": recording.has_video,
        },
        "engine": {
            "name": engine.name,
            "why": engine.why,
            "checkpoint": engine.checkpoint or None,
            "device": engine.device,
            "precision": engine.precision,
        },
        "mode": settings.mode,
        "workers": settings.pool_size,
        "threads_each": settings.threads_each,
        "batch_size": settings.batch_size,
        "background": settings.background,
        "watermark": job.watermark,
        "diarizer": prepared.diarization.diarizer,
        "diarizer_why": prepared.diarization.why,
        "script_from": prepared.script_from,
        "speakers": _speakers(desk, prepared, job, outlook),
        "segments": {
            "total": total,
            "kept": total - len(outlook.to_speak),
            "to_speak": [segment.id for segment in outlook.to_speak],
        },
        "stages": [_stage(stage) for stage in outlook.stages],
        "total": _total(outlook),
        **room.as_dict(),
        "notes": list(dict.fromkeys([*desk.notes, *_notes(desk, job, outlook, room)])),
        "timing": desk.clock.seconds,
    }


def _speakers(desk: Desk, prepared: Prepared, job: Job, outlook: Outlook) -> list[dict[str, Any]]:
    """Those who have lines; a reference may outlive its speaker's last one."""
    turns = prepared.diarization.turns
    rows = []
    for name in sorted({segment.speaker for segment in job.script.segments}):
        reference = job.references[name]
        voice = judge(reference, desk.recording, turns)
        rows.append(
            {
                "name": name,
                "speech_seconds": round(sum(turn.seconds for turn in turns if turn.speaker == name), 3),
                "segments": sum(segment.speaker == name for segment in job.script.segments),
                "to_speak": sum(segment.speaker == name for segment in outlook.to_speak),
                "reference_seconds": round(voice.seconds, 3),
                "reference_quality": voice.word,
                "reference_snr_db": voice.snr_db,
                "reference_clipped": voice.clipped,
                "warnings": list(reference.warnings),
            }
        )
    return rows


def _stage(ahead: Ahead) -> dict[str, Any]:
    return {
        "stage": ahead.stage,
        "state": ahead.state,
        "work": ahead.work or None,
        **_time(ahead.estimate),
        "memory_mb": ahead.estimate.memory_mb if ahead.estimate else None,
        "measured_runs": ahead.estimate.runs if ahead.estimate else None,
    }


def _time(estimate: Estimate | None) -> dict[str, float]:
    if estimate is None:
        return dict.fromkeys(("seconds", "seconds_low", "seconds_high"), 0.0)
    return {
        "seconds": round(estimate.seconds, 2),
        "seconds_low": round(estimate.low, 2),
        "seconds_high": round(estimate.high, 2),
    }


def _total(outlook: Outlook) -> dict[str, Any]:
    seconds, low, high = outlook.seconds
    return {
        "seconds": round(seconds, 2),
        "seconds_low": round(low, 2),
        "seconds_high": round(high, 2),
        "measured": outlook.is_measured,
    }


def _notes(desk: Desk, job: Job, outlook: Outlook, room: Room) -> list[str]:
    notes = []
    encoding_is_new = any(s.stage == "encoding" and s.state == "to do" for s in outlook.stages)
    if encoding_is_new and outlook.to_speak and any(desk.run_dir.segments.glob("*.json")):
        notes.append(
            "the references will be encoded anew: which of the lines that are there can be kept is known after that"
        )
    if lacking := _lacking(desk, job):
        notes.append(f"the run fetches first: {', '.join(lacking)}")
    if (note := memory_note(room)) is not None:
        notes.append(note)
    return notes


def _lacking(desk: Desk, job: Job) -> list[str]:
    """Models of the run that are not on this machine yet, with their sizes."""
    settings = desk.request.settings
    names = [
        *([job.watermark] if job.watermark else []),
        *(MODELS if settings.background == KEEP else []),
    ]
    found: Sequence[models.ModelStatus] = models.status(names, home=models_home(settings)) if names else ()
    return [
        f"{status.entry.name} ({models.megabytes(sum(file.size for file in status.lacking))})"
        for status in found
        if status.lacking
    ]
