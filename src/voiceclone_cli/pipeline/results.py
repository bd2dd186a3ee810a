"""The end of a run: its manifest and its report."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from voiceclone_cli import __version__
from voiceclone_cli.errors import VoicecloneError
from voiceclone_cli.mixing.render import Rendering
from voiceclone_cli.pipeline.context import RunContext
from voiceclone_cli.pipeline.request import describe_request
from voiceclone_cli.pipeline.synthesize import SynthesisResult
from voiceclone_cli.pipeline.tasks import SynthesisJob
from voiceclone_cli.report.page import write_report
from voiceclone_cli.rundir.manifest import (
    EXIT_CODES,
    PARTIAL,
    PLANNED,
    SUCCESS,
    Manifest,
    ManifestOmission,
    ManifestSegment,
    ManifestSpeaker,
)
from voiceclone_cli.translation.checks import needs_translation
from voiceclone_cli.translation.result import LineStatus
from voiceclone_cli.types import Placement, Script, Segment, Until
from voiceclone_cli.video.mux import Video
from voiceclone_worker.protocol import Failure, SegmentRow

_BEFORE_REFERENCES = (Until.DIARIZATION, Until.SCRIPT)


@dataclass(frozen=True, slots=True)
class RunResult:
    """A run that has ended: its manifest, and what it was made from."""

    manifest: Manifest
    exit_code: int
    ctx: RunContext
    job: SynthesisJob
    speech: SynthesisResult

    @property
    def document(self) -> dict[str, Any]:
        """The manifest as ``--json`` prints it."""
        return self.manifest.to_dict()


def write_results(
    ctx: RunContext,
    job: SynthesisJob,
    speech: SynthesisResult,
    mix: Rendering | None,
    video: Video | None = None,
    recording: Path | None = None,
) -> RunResult:
    """Write the manifest and the report of a run.

    A run that ends before it is known which segments of an earlier one are still valid leaves that one's manifest
    as it was. The result is returned also when the manifest cannot be written.
    """
    manifest = make_manifest(ctx, job, speech, mix, video, recording)
    if ctx.request.until is Until.REFERENCES and not mix:
        manifest.status = PLANNED  # also where every segment is there: the rest was not requested
    code = speech.exit_code or (EXIT_CODES[PARTIAL] if _untranslated(job) else 0)
    try:
        if not (ctx.request.until in _BEFORE_REFERENCES and job.run_dir.has_speech()):
            manifest.save(job.run_dir.root)
            if (ctx.request.until is None or mix) and not speech.stopped:
                if ctx.request.report:
                    _add_report(ctx, manifest)
                    manifest.save(job.run_dir.root)
                else:
                    job.run_dir.report.unlink(missing_ok=True)  # of an earlier run
    except VoicecloneError as error:
        manifest.add_failure(error)
        code = error.exit_code
    return RunResult(manifest, code, ctx, job, speech)


def _add_report(ctx: RunContext, manifest: Manifest) -> None:
    """Write the report of what the manifest says so far, and add it there. Raises RunError."""
    with ctx.clock.stage("report"):
        manifest.outputs["report"] = str(write_report(ctx.run_dir.root, ctx.progress))
    ctx.clock.stop()
    manifest.timing.update(ctx.clock.seconds)


def make_manifest(
    ctx: RunContext,
    job: SynthesisJob,
    speech: SynthesisResult,
    mix: Rendering | None,
    video: Video | None = None,
    recording: Path | None = None,
) -> Manifest:
    """Return the manifest of a run that has ended. Every segment of the script is in it."""
    clock, diarization = ctx.clock, job.diarization
    placements = {placement.segment_id: placement for placement in mix.placements} if mix else {}
    rate = mix.rate if mix else 0
    untranslated = _untranslated(job)
    reasons = {error["segment"]: error["message"] for error in untranslated}
    segments = [
        _segment(segment, job, speech, placements.get(segment.id), rate, reasons.get(segment.id))
        for segment in job.script.segments
    ]
    status = speech.status(len(segments))
    return Manifest(
        status=PARTIAL if untranslated and status == SUCCESS else status,
        run_dir=str(job.run_dir.root),
        engine_why=job.engine.why,
        mode=job.settings.mode,
        speakers=_speakers(job),
        segments=segments,
        omitted=omissions(job.script),
        speakers_found=dict(job.script.found_by),
        reused=len(speech.reused),
        reused_stages=list(ctx.cache.reused),
        turns=[
            {"start": turn.start, "end": turn.end, "speaker": turn.speaker, "margin": turn.margin}
            for turn in diarization.turns
        ],
        outputs=_outputs(job, mix, video, recording),
        hashes=_hashes(job, speech, mix, video),
        background=job.settings.background,
        watermark=job.watermark,
        consent=None if job.consent is None else dict(job.consent),
        history=list(job.corrections),
        timing={**clock.seconds, "workers": {k: round(v, 3) for k, v in speech.timing.items()}},
        peak_memory_mb={**clock.peak_mb, "largest worker": speech.peak_mb},
        errors=[*_errors(segments, speech), *untranslated],
        notes=list(dict.fromkeys([*ctx.notes, *speech.notes])),
        input=_input(ctx),
        diarizer=diarization.diarizer,
        diarizer_why=diarization.why,
        script_from=job.script_from,
        language=job.language.code,
        language_why=job.language.why,
        translation=None if job.translation is None else job.translation.document(),
        **describe_request(ctx.request, job.engine),
        versions=_versions(),
    )


def _segment(
    segment: Segment,
    job: SynthesisJob,
    speech: SynthesisResult,
    placement: Placement | None,
    rate: int,
    untranslated: str | None,
) -> ManifestSegment:
    row = speech.segments.get(segment.id, SegmentRow(0, segment.id, "planned"))
    fit = job.fits.get(segment.id)
    return {
        "id": segment.id,
        "speaker": segment.speaker,
        "start": segment.start,
        "end": segment.end,
        "text": segment.text,
        "original": segment.original,
        "language": segment.language,
        "slot_end": round(job.slot_ends[segment.id], 3),
        "expected_seconds": round(fit.seconds, 3) if fit else None,
        "expected_overflow_seconds": round(fit.over, 3) if fit else None,
        "status": row.status,
        "file": row.file,
        "seconds": row.seconds,
        "seed": row.seed,
        "attempts": row.attempts,
        "sha256": row.sha256,
        "error": asdict(row.error) if row.error else None,
        "placed_at": round(placement.start_frame / rate, 6) if placement else None,
        "placed_seconds": round(placement.frames / rate, 6) if placement else None,
        "stretch": placement.stretch if placement else None,
        "overflow_seconds": placement.overflow_seconds if placement else None,
        "gain_db": placement.gain_db if placement else None,
        "warnings": [
            *row.warnings,
            *(placement.warnings if placement else ()),
            *([f"It is in its original language: {untranslated}."] if untranslated else ()),
        ],
        "unmarked": speech.unmarked.get(segment.id),
    }


def omissions(script: Script) -> list[ManifestOmission]:
    """Return the text of a script that is not spoken, as the manifest has it."""
    return [
        {
            "where": omission.where,
            "start": omission.start,
            "end": omission.end,
            "text": omission.text,
            "reason": omission.reason,
        }
        for omission in script.omitted
    ]


def _speakers(job: SynthesisJob) -> list[ManifestSpeaker]:
    """Return the speakers of the script; a reference stays when its speaker was merged into another."""
    turns, speaking = job.diarization.turns, {segment.speaker for segment in job.script.segments}
    return [
        {
            "name": speaker,
            "speech_seconds": round(sum(turn.seconds for turn in turns if turn.speaker == speaker), 3),
            "segments": sum(segment.speaker == speaker for segment in job.script.segments),
            "reference": str(reference.audio),
            "reference_seconds": round(reference.seconds, 3),
            "reference_text": reference.text,
            "reference_spans": [list(span) for span in reference.spans],
            "warnings": list(reference.warnings),
        }
        for speaker, reference in job.references.items()
        if speaker in speaking
    ]


def _outputs(
    job: SynthesisJob, mix: Rendering | None, video: Video | None, recording: Path | None
) -> dict[str, Any]:
    run_dir = job.run_dir
    stems = sorted({segment.speaker for segment in job.script.segments}) if mix else []
    return {
        "mix": str(run_dir.mix) if mix else None,
        "video": str(video.path) if video else None,
        "rttm": str(run_dir.rttm),
        "script": str(run_dir.script_json),
        "subtitles": str(run_dir.script_srt),
        "stems": {speaker: str(run_dir.stems / f"{speaker}.wav") for speaker in stems},
        "original": str(recording) if recording else None,
        "report": None,
    }


def _hashes(
    job: SynthesisJob, speech: SynthesisResult, mix: Rendering | None, video: Video | None
) -> dict[str, str]:
    """Return the SHA-256 of all audio and video, by the file's name in the run directory."""
    folder = job.run_dir.segments.name
    segments = {f"{folder}/{id}.wav": row.sha256 for id, row in speech.done.items() if row.sha256}
    return {**(mix.sha256 if mix else {}), **({video.path.name: video.sha256} if video else {}), **segments}


def _errors(segments: Sequence[ManifestSegment], speech: SynthesisResult) -> list[dict[str, Any]]:
    """Return each error of the whole run once, then those of segments."""
    whole = [{**asdict(error), "segment": None} for error in speech.errors]
    if speech.stopped is not None:
        whole.append({"code": "interrupted", "message": "the run was stopped", "segment": None})
    of_segments = [{**row["error"], "segment": row["id"]} for row in segments if row["error"]]
    return [error for n, error in enumerate(whole) if error not in whole[:n]] + of_segments


def _untranslated(job: SynthesisJob) -> list[dict[str, Any]]:
    """Return an error for each line that is in its original language because its translation failed.

    A line that `voiceclone redo` made of such lines has the language that they have.
    """
    if job.translation is None:
        return []
    lines = {line.segment.id: line for line in job.translation.lines}
    found = []
    for segment in job.script.segments:
        line = lines.get(segment.id)
        if line is None and needs_translation(segment, job.translation.target):
            reason = "it was made of a line that is not translated"
        elif (
            line is not None
            and line.status is LineStatus.FAILED
            and segment.language == line.segment.language
        ):
            reason = line.reason
        else:
            continue
        found.append({**asdict(Failure("not_translated", reason)), "segment": segment.id})
    return found


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
        "audio": asdict(recording.audio),
        "moved_frames": recording.moved_frames,
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
