"""The one document of a run: what ``--json`` prints and run.json keeps."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from voiceclone_cli import __version__
from voiceclone_cli.atomic import explain_write_errors, write_text_atomic
from voiceclone_cli.errors import PreflightError, RunError, Stopped, VoicecloneError
from voiceclone_cli.machine.clock import Clock
from voiceclone_cli.rundir.directory import RUN_SCHEMA, RunDir
from voiceclone_cli.settings import TABLE, Settings
from voiceclone_cli.steps.request import RunRequest
from voiceclone_cli.steps.speaking import Spoken
from voiceclone_cli.tasks import Job
from voiceclone_cli.types import Diarization, Placement, Recording, Segment
from voiceclone_worker.contract import SegmentRow, dump_json

SUCCESS, PARTIAL, ERROR, PLANNED = "success", "partial", "error", "planned"
EXIT_CODES = {SUCCESS: 0, PARTIAL: 3, ERROR: 1, PLANNED: 0}


@dataclass(frozen=True, slots=True)
class Source:
    """What a run was made from."""

    recording: Recording
    sha256: str
    diarization: Diarization
    script_from: str
    """A file's path, or the recogniser's name."""
    request: Mapping[str, Any] = field(default_factory=dict)
    """What was asked for besides the settings."""
    history: Sequence[Mapping[str, Any]] = ()
    """What was corrected since the first run."""
    consent: Mapping[str, Any] | None = None


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


def document(
    source: Source,
    job: Job,
    spoken: Spoken,
    made: Made,
    notes: Sequence[str],
    reused_stages: Sequence[str],
    clock: Clock,
) -> dict[str, Any]:
    """Everything a run came to, as ``voiceclone.run/1``. Paths are absolute; every planned segment
    has its row."""
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
        "speakers": _speakers(source.diarization, job),
        "segments": segments,
        "reused": spoken.reused,
        "reused_stages": list(reused_stages),
        "turns": [asdict(turn) for turn in source.diarization.turns],
        "outputs": _outputs(job, made),
        "hashes": _hashes(job, spoken, made),
        "background": job.settings.background,
        "watermark": job.watermark,
        "consent": source.consent,
        "history": list(source.history),
        "timing": {**clock.seconds, "workers": {k: round(v, 3) for k, v in spoken.timing.items()}},
        "peak_memory_mb": {**clock.peak_mb, "largest worker": spoken.peak_mb},
        "errors": _errors(segments, spoken),
        "notes": list(dict.fromkeys([*notes, *spoken.notes])),
        "input": _input(source),
        "diarizer": source.diarization.diarizer,
        "diarizer_why": source.diarization.why,
        "script_from": source.script_from,
        "request": dict(source.request),
        "settings": _settings(job.settings),
        "versions": _versions(),
    }


def failure_document(end: VoicecloneError | Stopped) -> dict[str, Any]:
    """What ``--json`` prints of a run that ended before a segment was spoken."""
    if isinstance(end, Stopped):
        code, message = "interrupted", "the run was stopped"
    else:
        code, message = end.code, end.message
    return {
        "schema": RUN_SCHEMA,
        "status": ERROR,
        "run_dir": None,
        "segments": [],
        "outputs": {},
        "errors": [{"code": code, "message": message, "segment": None}],
    }


def write_manifest(run_dir: RunDir, content: Mapping[str, Any]) -> None:
    """Raises RunError when it cannot be written."""
    with explain_write_errors(run_dir.root):
        write_text_atomic(run_dir.manifest, dump_json(content, indent=1) + "\n")


def asked(request: RunRequest, engine: str) -> dict[str, Any]:
    """All that is needed to make the same run again."""
    return {"engine": engine, "request": request_row(request), "settings": _settings(request.settings)}


def request_row(request: RunRequest) -> dict[str, Any]:
    """Of a request what its settings do not say."""

    def absolute(path: Path | None) -> str | None:
        return None if path is None else str(path.absolute())

    return {
        "input": absolute(request.input),
        "script": absolute(request.script),
        "turns": absolute(request.turns),
        "references": {name: absolute(path) for name, path in request.references.items()},
        "speakers": asdict(request.speakers),
        "consent": absolute(request.consent),
        "keep_original_audio": request.keep_original_audio,
        "report": request.report,
        "working_dir": str(Path.cwd()),
    }


def record_failure(run_dir: RunDir, end: VoicecloneError | Stopped) -> None:
    """Write the manifest of a run that ended before a segment was spoken, unless that of an earlier run
    still holds."""
    claim = run_dir.claimed()
    if claim is not None:
        owner = {"run_dir": str(run_dir.root), "input": {"sha256": run_dir.input_sha256}}
        content = {**claim, **failure_document(end), **owner}
        # Where the disk does not take it either, the claim stands: a run that was never finished.
        with contextlib.suppress(RunError):
            write_manifest(run_dir, content)


def record_unwritten(content: Mapping[str, Any], error: VoicecloneError) -> dict[str, Any]:
    """The document of a run whose manifest or report could not be written."""
    reason = {"code": error.code, "message": error.message, "segment": None}
    others = [error for error in content["errors"] if error != reason]
    return {**content, "status": ERROR, "errors": [reason, *others]}


def status(spoken: Spoken, planned: int) -> str:
    """Of a run with so many segments; those that have no row were not begun with, as nobody asked for it."""
    done = sum(row.status == "done" for row in spoken.rows.values())
    if done == len(spoken.rows) and not spoken.errors and not spoken.stopped:
        return SUCCESS if done and done == planned else PLANNED
    return PARTIAL if done else ERROR


def exit_code(spoken: Spoken) -> int:
    """What the command ends with. Work that was stopped as a whole before anything was spoken lacked
    something: an interpreter, a package, a checkpoint that loads."""
    if spoken.stopped is not None:
        return spoken.stopped.exit_code
    outcome = status(spoken, len(spoken.rows))
    if outcome == ERROR and spoken.errors:
        return PreflightError.exit_code
    return EXIT_CODES[outcome]


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


def _speakers(diarization: Diarization, job: Job) -> list[dict[str, Any]]:
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


def _outputs(job: Job, made: Made) -> dict[str, Any]:
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


def _hashes(job: Job, spoken: Spoken, made: Made) -> dict[str, str]:
    """SHA-256 of what can be heard, by its name in the run directory."""
    segments = {
        f"{job.run_dir.segments.name}/{segment_id}.wav": row.sha256
        for segment_id, row in spoken.rows.items()
        if row.status == "done" and row.sha256
    }
    return {**made.sha256, **segments}


def _errors(segments: Sequence[Mapping[str, Any]], spoken: Spoken) -> list[dict[str, Any]]:
    whole = [{**asdict(error), "segment": None} for error in spoken.errors]
    if spoken.stopped is not None:
        whole.append({"code": "interrupted", "message": "the run was stopped", "segment": None})
    of_segments = [{**row["error"], "segment": row["id"]} for row in segments if row["error"]]
    return [error for n, error in enumerate(whole) if error not in whole[:n]] + of_segments


def _input(source: Source) -> dict[str, Any]:
    recording = source.recording
    return {
        "path": str(recording.path.absolute()),
        "sha256": source.sha256,
        "seconds": round(recording.seconds, 6),
        "frames": recording.source_frames,
        "rate": recording.source_rate,
        "channels": recording.channels,
        "video": recording.has_video,
    }


def _settings(settings: Settings) -> dict[str, Any]:
    """Without the token: a manifest is made to be passed on."""
    return {
        row.name: {"value": getattr(settings, row.name), "from": settings.sources[row.name]}
        for row in TABLE
        if not row.secret
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
