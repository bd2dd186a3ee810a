"""The story of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from voiceclone_cli import casting, media, script, timeline
from voiceclone_cli.atomic import write_text_atomic
from voiceclone_cli.clock import Clock
from voiceclone_cli.diarization import SpeakerCount, write_rttm
from voiceclone_cli.engines import choose_engine
from voiceclone_cli.errors import InputError, PreflightError
from voiceclone_cli.listening import hear_turns, hear_words
from voiceclone_cli.manifest import Source, document, exit_code, write_manifest
from voiceclone_cli.rundir import RunDir, file_sha256, open_run_dir, sweep
from voiceclone_cli.segmentation import segments_from_words
from voiceclone_cli.settings import Settings
from voiceclone_cli.speaking import Spoken, speak
from voiceclone_cli.tasks import Job
from voiceclone_cli.types import (
    Diarization,
    Placement,
    Progress,
    ProgressEvent,
    Recording,
    Script,
    Word,
    no_progress,
)


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What the user asks for."""

    input: Path
    settings: Settings
    out: Path | None = None
    """None: ``<name of the input>.voiceclone`` in the working directory."""
    script: Path | None = None
    """None: the words of the recording itself."""
    references: Mapping[str, Path] = field(default_factory=dict)
    speakers: SpeakerCount = field(default_factory=SpeakerCount)
    keep_tasks: bool = False


@dataclass(frozen=True, slots=True)
class RunResult:
    document: dict[str, Any]
    exit_code: int


def run(request: RunRequest, progress: Progress = no_progress) -> RunResult:
    """Speak a recording again, every line in its own speaker's voice.

    Raises InputError and PreflightError before anything is left on disk; from the first segment on,
    whatever happens to a segment stands in the result.
    """
    clock, notes, settings = Clock(), list[str](), request.settings
    with clock.stage("media"):
        recording = media.read_recording(request.input, progress)
        sha256 = file_sha256(request.input)
    with clock.stage("preflight"):
        engine = choose_engine(settings, progress)
        _tell(progress, f"engine: {engine.why}")
        notes += engine.notes
    with clock.stage("diarization"):
        diarization = hear_turns(recording, settings, request.speakers, progress)
        _tell(progress, f"diarizer: {diarization.diarizer}, because {diarization.why}")
        notes += diarization.notes
    with clock.stage("script"):
        lines, words, script_from = _script(request, recording, diarization, progress, notes)
    run_dir = open_run_dir(request.out or Path(f"{request.input.stem}.voiceclone"), sha256)
    try:
        with clock.stage("casting"):
            references = casting.cast(
                recording,
                diarization,
                words,
                out=run_dir.speakers,
                given=request.references,
                read_spans=media.read_spans,
                progress=progress,
                speakers=sorted({segment.speaker for segment in lines.segments}),
            )
            _write_script(run_dir, diarization, lines, request.input.stem)
        slots = timeline.slot_ends(lines.segments, recording.seconds)
        job = Job(lines, references, slots, run_dir, engine, settings)
        with clock.stage("speaking"):
            spoken = speak(job, progress, keep_tasks=request.keep_tasks)
        with clock.stage("timeline"):
            placements = _place(job, recording, spoken, progress)
    except (InputError, PreflightError):
        run_dir.discard()
        raise
    notes += [w for reference in references.values() for w in reference.warnings]
    clock.stop()
    source = Source(recording, sha256, diarization, script_from)
    content = document(source, job, spoken, placements, notes, clock)
    write_manifest(job, content)
    return RunResult(content, exit_code(spoken))


def _script(
    request: RunRequest,
    recording: Recording,
    diarization: Diarization,
    progress: Progress,
    notes: list[str],
) -> tuple[Script, tuple[Word, ...], str]:
    """The lines to speak, the words that were heard (none with a script), and where the lines came from."""
    settings = request.settings
    if request.script is None:
        transcript, heard_notes = hear_words(recording, diarization, settings, progress)
        lines = segments_from_words(transcript, diarization)
        words, script_from = transcript.words, transcript.model
        notes += heard_notes
    else:
        lines = script.read(
            request.script,
            diarization,
            language=settings.language or language_of(request.script),
            speakers=request.references.keys(),
            recording_seconds=recording.seconds,
        )
        words, script_from = (), str(request.script.absolute())
    notes += lines.notes
    if not lines.segments:
        raise InputError(
            "the script has no line to speak; check it, or leave --script out", code="empty_script"
        )
    return lines, words, script_from


def language_of(path: Path) -> str:
    """The language that a script's name gives in the manner of subtitles (``talk.es.srt``), else English."""
    tag = Path(path.stem).suffix.lstrip(".").lower()
    return tag if 2 <= len(tag.split("-")[0]) <= 3 and tag.replace("-", "").isalpha() else "en"


def _write_script(run_dir: RunDir, diarization: Diarization, lines: Script, uri: str) -> None:
    write_text_atomic(run_dir.rttm, write_rttm(diarization.turns, uri))
    script.write(run_dir.script_json, lines)
    script.write(run_dir.script_srt, lines)


def _place(job: Job, recording: Recording, spoken: Spoken, progress: Progress) -> tuple[Placement, ...]:
    """The mix and the stems, unless there is nothing to hear or nobody waits for it any more."""
    files = {row.id: Path(row.file) for row in spoken.rows.values() if row.file is not None}
    if not files or spoken.stopped:
        return ()
    placements = timeline.render(
        job.script.segments,
        files,
        recording,
        mix=job.run_dir.mix,
        stems=job.run_dir.stems,
        max_stretch=job.settings.max_stretch,
        progress=progress,
    )
    sweep(job.run_dir.stems, {f"{segment.speaker}.wav" for segment in job.script.segments})
    return placements


def _tell(progress: Progress, sentence: str) -> None:
    progress(ProgressEvent("note", 1, 1, note=sentence))
