"""The story of a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from voiceclone_cli import casting, media, script, timeline
from voiceclone_cli.atomic import explain_write_errors, write_text_atomic
from voiceclone_cli.clock import Clock
from voiceclone_cli.diarization import SpeakerCount, given_turns, write_rttm
from voiceclone_cli.engines import choose_engine
from voiceclone_cli.errors import InputError, RunError, Stopped, VoicecloneError
from voiceclone_cli.fingerprints import file_sha256
from voiceclone_cli.listening import hear_turns, hear_words
from voiceclone_cli.manifest import (
    Source,
    document,
    exit_code,
    record_failure,
    record_unwritten,
    write_manifest,
)
from voiceclone_cli.rundir import RunDir, open_run_dir, sweep
from voiceclone_cli.segmentation import segments_from_words
from voiceclone_cli.settings import Settings
from voiceclone_cli.space import bytes_of_run, free_space_note
from voiceclone_cli.speaking import Spoken, speak
from voiceclone_cli.stages import Stages
from voiceclone_cli.tasks import Job
from voiceclone_cli.types import (
    Diarization,
    Placement,
    Progress,
    ProgressEvent,
    Recording,
    Reference,
    Script,
    Word,
    no_progress,
)
from voiceclone_worker.contract import Failure


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What the user asks for."""

    input: Path
    settings: Settings
    out: Path | None = None
    """None: ``<name of the input>.voiceclone`` in the working directory."""
    script: Path | None = None
    """None: the words of the recording itself."""
    turns: Path | None = None
    """RTTM; None: who speaks when is found out."""
    references: Mapping[str, Path] = field(default_factory=dict)
    speakers: SpeakerCount = field(default_factory=SpeakerCount)
    keep_tasks: bool = False
    force: bool = False
    """Do everything again, whatever an earlier run has left."""


@dataclass(frozen=True, slots=True)
class RunResult:
    document: dict[str, Any]
    exit_code: int


def run(request: RunRequest, progress: Progress = no_progress) -> RunResult:
    """Speak a recording again, every line in its own speaker's voice; go on where an earlier run ended.

    Raises InputError and PreflightError before a line is spoken, RunError when the run directory cannot be
    written; from the first segment on, whatever happens to a segment stands in the result.
    """
    clock, notes, settings = Clock(), list(request.settings.notes), request.settings
    with clock.stage("media"):
        recording = media.read_recording(request.input, progress)
        sha256 = _sha256_of(request.input)
    with clock.stage("preflight"):
        engine = choose_engine(settings, progress)
        _tell(progress, f"engine: {engine.why}")
        notes += engine.notes
    with _run_dir(request, sha256) as run_dir:
        stages = Stages(run_dir.root, sha256)
        with clock.stage("diarization"):
            diarization = _turns(request, recording, stages, progress)
            _tell(progress, f"diarizer: {diarization.diarizer}, because {diarization.why}")
            notes += diarization.notes
        with clock.stage("script"):
            lines, words, script_from = _script(request, recording, diarization, stages, progress, notes)
        run_dir.claim()
        with clock.stage("casting"):
            references = _cast(request, recording, diarization, words, lines, run_dir, stages, progress)
            _write_script(run_dir, diarization, lines, request.input.stem)
            notes += [warning for reference in references.values() for warning in reference.warnings]
        slots = timeline.slot_ends(lines.segments, recording.seconds)
        needed = bytes_of_run(recording, lines.segments, slots, len(references))
        if run_dir.is_new and (short_of_space := free_space_note(run_dir.root, needed)):
            notes.append(short_of_space)
            _tell(progress, f"note: {short_of_space}")
        job = Job(lines, references, slots, run_dir, engine, settings)
        with clock.stage("speaking"):
            spoken = speak(job, progress, stages=stages, keep_tasks=request.keep_tasks)
        with clock.stage("timeline"):
            placements = _place(job, recording, spoken, stages, progress)
        clock.stop()
        source = Source(recording, sha256, diarization, script_from)
        content = document(source, job, spoken, placements, notes, stages.reused, clock)
        return _result(job, content, exit_code(spoken))


@contextmanager
def _run_dir(request: RunRequest, sha256: str) -> Iterator[RunDir]:
    """The run directory, and what stays in it when the run comes to nothing."""
    with open_run_dir(request.out or Path(f"{request.input.stem}.voiceclone"), sha256) as run_dir:
        try:
            with explain_write_errors(run_dir.root):
                if request.force:
                    run_dir.forget()
                yield run_dir
        except (VoicecloneError, Stopped) as end:
            if isinstance(end, VoicecloneError) and run_dir.is_new and not run_dir.remembers():
                run_dir.discard()
            else:
                record_failure(run_dir, end)
            raise


def _sha256_of(path: Path) -> str:
    try:
        return file_sha256(path)
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror or error}).", code="media_unreadable"
        ) from error


def _turns(request: RunRequest, recording: Recording, stages: Stages, progress: Progress) -> Diarization:
    if request.turns is not None:
        return given_turns(request.turns, recording.seconds)
    return hear_turns(recording, request.settings, request.speakers, progress, stages)


def _cast(
    request: RunRequest,
    recording: Recording,
    diarization: Diarization,
    words: tuple[Word, ...],
    lines: Script,
    run_dir: RunDir,
    stages: Stages,
    progress: Progress,
) -> dict[str, Reference]:
    return casting.cast_or_recall(
        recording,
        diarization,
        words,
        out=run_dir.speakers,
        given=request.references,
        read_spans=media.read_spans,
        speakers=sorted({segment.speaker for segment in lines.segments}),
        stages=stages,
        progress=progress,
    )


def _script(
    request: RunRequest,
    recording: Recording,
    diarization: Diarization,
    stages: Stages,
    progress: Progress,
    notes: list[str],
) -> tuple[Script, tuple[Word, ...], str]:
    """The lines to speak, the words that were heard (none with a script), and where the lines came from."""
    settings = request.settings
    if request.script is None:
        transcript, heard_notes = hear_words(recording, diarization, settings, progress, stages)
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


def _place(
    job: Job, recording: Recording, spoken: Spoken, stages: Stages, progress: Progress
) -> tuple[Placement, ...]:
    """The mix and the stems, unless there is nothing to hear or nobody waits for it any more.

    What keeps them from being written leaves the segments as they are, and stands with them in the manifest.
    """
    rows = {id: row for id, row in spoken.rows.items() if row.status == "done"}
    if spoken.stopped:
        return ()
    if not rows:
        job.run_dir.drop_mix()
        return ()
    try:
        placements = timeline.render_or_recall(
            job.script.segments,
            rows,
            recording,
            mix=job.run_dir.mix,
            stems=job.run_dir.stems,
            max_stretch=job.settings.max_stretch,
            stages=stages,
            progress=progress,
        )
        sweep(job.run_dir.stems, {f"{segment.speaker}.wav" for segment in job.script.segments})
        return placements
    except RunError as error:
        spoken.errors.append(Failure(error.code, error.message))
    except Stopped as stop:
        spoken.stopped = stop
    return ()


def _result(job: Job, content: dict[str, Any], code: int) -> RunResult:
    """The document is the caller's also where the disk does not take it."""
    try:
        write_manifest(job.run_dir, content)
    except RunError as error:
        return RunResult(record_unwritten(content, error), error.exit_code)
    return RunResult(content, code)


def _tell(progress: Progress, sentence: str) -> None:
    progress(ProgressEvent("note", 1, 1, note=sentence))
