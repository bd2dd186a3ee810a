"""From a recording to everything that speaking needs: who speaks when, which lines, with which references."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from voiceclone_cli import casting, media, script, timeline
from voiceclone_cli.atomic import write_text_atomic
from voiceclone_cli.desk import Desk
from voiceclone_cli.diarization import given_turns, write_rttm
from voiceclone_cli.errors import InputError
from voiceclone_cli.listening import hear_turns, hear_words, heard_before
from voiceclone_cli.segmentation import segments_from_words
from voiceclone_cli.space import bytes_of_run, free_space_note
from voiceclone_cli.tasks import Job
from voiceclone_cli.types import Diarization, Reference, Script, Until, Word


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is known of a recording before a line is spoken; what lies past ``until`` is empty."""

    diarization: Diarization
    script: Script = field(default_factory=lambda: Script(()))
    words: tuple[Word, ...] = ()
    """Those that were heard."""
    script_from: str = ""
    """A file's path, or the recogniser's name."""
    references: Mapping[str, Reference] = field(default_factory=dict)
    """By speaker."""

    def job(self, desk: Desk) -> Job:
        slots = timeline.slot_ends(self.script.segments, desk.recording.seconds)
        return Job(self.script, self.references, slots, desk.run_dir, desk.engine, desk.request.settings)


def prepare(desk: Desk) -> Prepared:
    """Diarization, script and casting, as far as the request wants them.

    Raises InputError and PreflightError; everything that is found is remembered in the run directory.
    """
    until = desk.request.until
    with desk.clock.stage("diarization"):
        diarization = _turns(desk)
        desk.tell(f"diarizer: {diarization.diarizer}, because {diarization.why}")
        desk.notes.extend(diarization.notes)
    desk.run_dir.claim()
    write_text_atomic(desk.run_dir.rttm, write_rttm(diarization.turns, desk.request.input.stem))
    if until is Until.DIARIZATION:
        return Prepared(diarization)
    with desk.clock.stage("script"):
        prepared = _with_script(desk, diarization)
    if until is Until.SCRIPT:
        _write_script(desk, prepared.script)
        return prepared
    with desk.clock.stage("casting"):
        prepared = _with_references(desk, prepared)
        _write_script(desk, prepared.script)
    _tell_space(desk, prepared)
    return prepared


def _turns(desk: Desk) -> Diarization:
    request = desk.request
    if request.turns is not None:
        return given_turns(request.turns, desk.recording.seconds)
    return hear_turns(desk.recording, request.settings, request.speakers, desk.progress, desk.stages)


def _with_script(desk: Desk, diarization: Diarization) -> Prepared:
    if desk.request.script is None:
        prepared = _heard(desk, diarization)
    else:
        prepared = _given(desk, desk.request.script, diarization)
    desk.notes.extend(prepared.script.notes)
    if not prepared.script.segments:
        raise InputError(
            "the script has no line to speak; check it, or leave --script out", code="empty_script"
        )
    return prepared


def _heard(desk: Desk, diarization: Diarization) -> Prepared:
    """The recording's own words."""
    settings = desk.request.settings
    transcript, notes = hear_words(desk.recording, diarization, settings, desk.progress, desk.stages)
    desk.notes.extend(notes)
    return Prepared(
        diarization, segments_from_words(transcript, diarization), transcript.words, transcript.model
    )


def _given(desk: Desk, path: Path, diarization: Diarization) -> Prepared:
    """A file's lines. What was heard here before still tells the words of the references, and the
    language of a script that does not name it."""
    request = desk.request
    transcript = heard_before(diarization, request.settings, desk.stages)
    language = request.settings.language or tag_of(path) or (transcript.language if transcript else "en")
    lines = script.read(
        path,
        diarization,
        language=language,
        speakers=request.references.keys(),
        recording_seconds=desk.recording.seconds,
    )
    return Prepared(diarization, lines, transcript.words if transcript else (), str(path.absolute()))


def tag_of(path: Path) -> str | None:
    """The language that a script's name gives in the manner of subtitles (``talk.es.srt``)."""
    tag = Path(path.stem).suffix.lstrip(".").lower()
    return tag if 2 <= len(tag.split("-")[0]) <= 3 and tag.replace("-", "").isalpha() else None


def _with_references(desk: Desk, prepared: Prepared) -> Prepared:
    references = casting.cast_or_recall(
        desk.recording,
        prepared.diarization,
        prepared.words,
        out=desk.run_dir.speakers,
        given=desk.request.references,
        read_spans=media.read_spans,
        speakers=sorted({segment.speaker for segment in prepared.script.segments}),
        stages=desk.stages,
        progress=desk.progress,
    )
    desk.notes.extend(warning for reference in references.values() for warning in reference.warnings)
    return Prepared(prepared.diarization, prepared.script, prepared.words, prepared.script_from, references)


def _write_script(desk: Desk, lines: Script) -> None:
    script.write(desk.run_dir.script_json, lines)
    script.write(desk.run_dir.script_srt, lines)


def _tell_space(desk: Desk, prepared: Prepared) -> None:
    job = prepared.job(desk)
    needed = bytes_of_run(desk.recording, job.script.segments, job.slot_ends, len(job.references))
    if desk.run_dir.is_new and (note := free_space_note(desk.run_dir.root, needed)):
        desk.notes.append(note)
        desk.tell(f"note: {note}")
