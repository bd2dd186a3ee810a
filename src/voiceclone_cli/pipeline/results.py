"""The end of a run: its manifest, and the report of what that says."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Any

from voiceclone_cli import __version__
from voiceclone_cli.errors import VoicecloneError
from voiceclone_cli.pipeline.assemble import Mix
from voiceclone_cli.pipeline.context import RunContext
from voiceclone_cli.pipeline.prepare import Prepared
from voiceclone_cli.pipeline.request import request_row, settings_rows
from voiceclone_cli.pipeline.synthesize import ERROR, PLANNED, SynthesisResult, exit_code, status
from voiceclone_cli.pipeline.tasks import SynthesisJob
from voiceclone_cli.report.page import write_report
from voiceclone_cli.rundir.manifest import RUN_SCHEMA, write_manifest
from voiceclone_cli.types import Diarization, Placement, Segment, Until
from voiceclone_worker.protocol import SegmentRow

# The one document of a run: what ``--json`` prints and run.json keeps.


def manifest_document(
    ctx: RunContext, prepared: Prepared, job: SynthesisJob, spoken: SynthesisResult, made: Mix
) -> dict[str, Any]:
    """Everything a run came to, as ``voiceclone.run/1``. Paths are absolute; every planned segment
    has its row."""
    diarization, clock = prepared.diarization, ctx.clock
    by_id = {placement.segment_id: placement for placement in made.placements}
    segments = [
        _segment(segment, job.slot_ends[segment.id], spoken.rows.get(segment.id, _planned(segment)))
        | _placement(by_id.get(segment.id), made.mix_rate)
        | {"unmarked": spoken.unmarked.get(segment.id)}
        for segment in job.script.segments
    ]
    return {
        "schema": RUN_SCHEMA,
        "status": status(spoken, len(segments)),
        "run_dir": str(job.run_dir.root),
        "engine": job.engine.name,
        "engine_why": job.engine.why,
        "mode": job.settings.mode,
        "speakers": _speakers(diarization, job),
        "segments": segments,
        "reused": spoken.reused,
        "reused_stages": list(ctx.cache.reused),
        "turns": [asdict(turn) for turn in diarization.turns],
        "outputs": _outputs(job, made),
        "hashes": _hashes(job, spoken, made),
        "background": job.settings.background,
        "watermark": job.watermark,
        "consent": prepared.consent,
        "history": prepared.history.rows(),
        "timing": {**clock.seconds, "workers": {k: round(v, 3) for k, v in spoken.timing.items()}},
        "peak_memory_mb": {**clock.peak_mb, "largest worker": spoken.peak_mb},
        "errors": _errors(segments, spoken),
        "notes": list(dict.fromkeys([*ctx.notes, *spoken.notes])),
        "input": _input(ctx),
        "diarizer": diarization.diarizer,
        "diarizer_why": diarization.why,
        "script_from": prepared.script_from,
        "request": request_row(ctx.request),
        "settings": settings_rows(job.settings),
        "versions": _versions(),
    }


def _planned(segment: Segment) -> SegmentRow:
    """Of a segment that nobody was asked to speak yet."""
    return SegmentRow(0, segment.id, "planned")


def _segment(segment: Segment, slot_end: float, row: SegmentRow) -> dict[str, Any]:
    return {
        **asdict(segment),
        "slot_end": round(slot_end, 3),
        "status": row.status,
        "file": row.file,
        "seconds": row.seconds,
        "seed": row.seed,
        "attempts": row.attempts,
        "sha256": row.sha256,
        "error": asdict(row.error) if row.error else None,
    }


def _placement(placement: Placement | None, rate: int) -> dict[str, Any]:
    """Where a segment is heard in the mix, in seconds."""
    if placement is None:
        nothing = ("placed_at", "placed_seconds", "stretch", "overflow_seconds", "gain_db")
        return {**dict.fromkeys(nothing), "warnings": []}
    return {
        "placed_at": round(placement.start_frame / rate, 6),
        "placed_seconds": round(placement.frames / rate, 6),
        "stretch": placement.stretch,
        "overflow_seconds": placement.overflow_seconds,
        "gain_db": placement.gain_db,
        "warnings": list(placement.warnings),
    }


def _speakers(diarization: Diarization, job: SynthesisJob) -> list[dict[str, Any]]:
    heard = {segment.speaker for segment in job.script.segments}
    return [
        {
            "name": speaker,
            "speech_seconds": round(sum(t.seconds for t in diarization.turns if t.speaker == speaker), 3),
            "segments": sum(segment.speaker == speaker for segment in job.script.segments),
            "reference": str(reference.audio),
            "reference_seconds": round(reference.seconds, 3),
            "reference_text": reference.text,
            "reference_spans": [list(span) for span in reference.spans],
            "warnings": list(reference.warnings),
        }
        for speaker, reference in job.references.items()
        # There may be the voice of somebody who was merged into another.
        if speaker in heard
    ]


def _outputs(job: SynthesisJob, made: Mix) -> dict[str, Any]:
    run_dir, rendered = job.run_dir, bool(made.placements)
    stems = sorted({segment.speaker for segment in job.script.segments}) if rendered else []
    return {
        "mix": str(run_dir.mix) if rendered else None,
        "video": str(made.video) if made.video else None,
        "rttm": str(run_dir.rttm),
        "script": str(run_dir.script_json),
        "subtitles": str(run_dir.script_srt),
        "stems": {speaker: str(run_dir.stems / f"{speaker}.wav") for speaker in stems},
        "original": str(made.original) if made.original else None,
        "report": None,
    }


def _hashes(job: SynthesisJob, spoken: SynthesisResult, made: Mix) -> dict[str, str]:
    """SHA-256 of what can be heard, by its name in the run directory."""
    segments = {
        f"{job.run_dir.segments.name}/{segment_id}.wav": row.sha256
        for segment_id, row in spoken.done.items()
        if row.sha256
    }
    return {**made.sha256, **segments}


def _errors(segments: Sequence[Mapping[str, Any]], spoken: SynthesisResult) -> list[dict[str, Any]]:
    whole = [{**asdict(error), "segment": None} for error in spoken.errors]
    if spoken.stopped is not None:
        whole.append({"code": "interrupted", "message": "the run was stopped", "segment": None})
    of_segments = [{**row["error"], "segment": row["id"]} for row in segments if row["error"]]
    return [error for n, error in enumerate(whole) if error not in whole[:n]] + of_segments


def _input(ctx: RunContext) -> dict[str, Any]:
    recording = ctx.recording
    return {
        "path": str(recording.path.absolute()),
        "sha256": ctx.sha256,
        "seconds": round(recording.seconds, 6),
        "frames": recording.source_frames,
        "rate": recording.source_rate,
        "channels": recording.channels,
        "video": recording.has_video,
    }


def _versions() -> dict[str, str]:
    packages = ("pyannote.audio", "torch", "faster-whisper", "onnxruntime", "numpy")
    found = {"voiceclone": __version__, "python": platform.python_version()}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


_BEFORE_CASTING = (Until.DIARIZATION, Until.SCRIPT)


@dataclass(frozen=True, slots=True)
class RunResult:
    document: dict[str, Any]
    exit_code: int


def write_results(
    ctx: RunContext, prepared: Prepared, job: SynthesisJob, spoken: SynthesisResult, made: Mix
) -> RunResult:
    """What the run came to, kept in the run directory.

    A run that stopped before it knew what of an earlier one's speech still holds leaves that one's manifest as it
    was. The document is the caller's also where the disk does not take it.
    """
    content = manifest_document(ctx, prepared, job, spoken, made)
    if ctx.request.until is Until.CASTING and not made.placements:
        content["status"] = PLANNED  # also where every line is there: nobody asked for the rest yet
    if ctx.request.until in _BEFORE_CASTING and job.run_dir.has_spoken():
        return RunResult(content, exit_code(spoken))
    try:
        write_manifest(job.run_dir.root, content)
        if (ctx.request.until is None or made.placements) and not spoken.stopped:
            if ctx.request.report:
                _add_report(ctx, content)
                write_manifest(job.run_dir.root, content)
            else:
                job.run_dir.report.unlink(missing_ok=True)  # an earlier run's
    except VoicecloneError as error:
        return RunResult(missing_outputs(content, error), error.exit_code)
    return RunResult(content, exit_code(spoken))


def _add_report(ctx: RunContext, content: dict[str, Any]) -> None:
    """Write the report of what the manifest says by now, and name it there. Raises RunError."""
    with ctx.clock.stage("report"):
        content["outputs"]["report"] = str(write_report(ctx.run_dir.root, ctx.progress))
    ctx.clock.stop()
    content["timing"].update(ctx.clock.seconds)


def missing_outputs(content: Mapping[str, Any], error: VoicecloneError) -> dict[str, Any]:
    """The document of a run whose manifest or report could not be written."""
    reason = {"code": error.code, "message": error.message, "segment": None}
    others = [error for error in content["errors"] if error != reason]
    return {**content, "status": ERROR, "errors": [reason, *others]}
