"""From a recording to everything that speaking needs: who speaks when, which lines, with which references."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from voiceclone_cli import casting, script, timeline
from voiceclone_cli.atomic import write_bytes_atomic, write_text_atomic
from voiceclone_cli.correcting import History, Names, correct_lines, read_history, write_history
from voiceclone_cli.correcting.corrections import Correction, describe
from voiceclone_cli.correcting.granting import Uncorrected, grant
from voiceclone_cli.diarization import given_turns, write_rttm
from voiceclone_cli.errors import InputError
from voiceclone_cli.listening import hear_turns, hear_words, heard_before
from voiceclone_cli.provenance.consent import keep_consent
from voiceclone_cli.script.segmentation import segments_from_words
from voiceclone_cli.steps.asked import asked
from voiceclone_cli.steps.desk import Desk
from voiceclone_cli.steps.space import bytes_of_run, free_space_note
from voiceclone_cli.tasks import Job
from voiceclone_cli.types import Diarization, Reference, Script, Until, Word


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is known of a recording before a line is spoken; what lies past ``until`` is empty.

    Corrections are in it: speakers have today's names, lines their last words.
    """

    diarization: Diarization
    script: Script = field(default_factory=lambda: Script(()))
    script_from: str = ""
    """A file's path, or the recogniser's name."""
    references: Mapping[str, Reference] = field(default_factory=dict)
    """By voice: those of the script's speakers, and of those whose lines others have by now."""
    history: History = field(default_factory=History)
    consent: Mapping[str, Any] | None = None
    """Who agreed to what; None where nothing was ever said of it."""

    def job(self, desk: Desk) -> Job:
        slots = timeline.slot_ends(self.script.segments, desk.recording.seconds)
        return Job(self.script, self.references, slots, desk.run_dir, desk.engine, desk.request.settings)


@dataclass(frozen=True, slots=True)
class _Found:
    """What a recording and a script file say, before corrections."""

    diarization: Diarization
    script: Script
    words: tuple[Word, ...]
    """Those that were heard."""
    script_from: str


def prepare(desk: Desk) -> Prepared:
    """Diarization, script and casting, as far as the request wants them, and as they were corrected.

    Raises InputError and PreflightError; everything that is found is remembered in the run directory.
    """
    until = desk.request.until
    history = read_history(desk.run_dir.corrections)
    if desk.run_dir.claimed() is not None:
        _claim(desk)
    with desk.clock.stage("diarization"):
        diarization = _turns(desk)
        desk.tell(f"diarizer: {diarization.diarizer}, because {diarization.why}")
        desk.notes.extend(diarization.notes)
    if until is Until.DIARIZATION:
        prepared = Prepared(Names(history.corrections).of_speakers(diarization), history=history)
        _write_turns(desk, prepared)
        return prepared
    with desk.clock.stage("script"):
        found = _find_lines(desk, diarization, Names(history.corrections))
        prepared = _corrected(desk, found, history)
    if until is not Until.SCRIPT:
        _claim(desk)
        with desk.means.computing, desk.clock.stage("casting"):
            prepared = replace(prepared, references=_references(desk, found, prepared))
        _tell_space(desk, prepared)
    prepared = replace(prepared, consent=_consent(desk, prepared.script))
    _write_turns(desk, prepared)
    _write_script(desk, prepared.script)
    return prepared


def _claim(desk: Desk) -> None:
    desk.run_dir.claim(asked(desk.request, desk.engine.name))


def _turns(desk: Desk) -> Diarization:
    request = desk.request
    if request.turns is not None:
        return given_turns(request.turns, desk.recording.seconds)
    return hear_turns(
        desk.recording, request.settings, request.speakers, desk.progress, desk.stages, desk.means.ears
    )


def _find_lines(desk: Desk, diarization: Diarization, names: Names) -> _Found:
    if desk.request.script is None:
        found = _heard(desk, diarization)
    else:
        found = _given(desk, desk.request.script, diarization, names)
    if not found.script.segments:
        raise InputError(
            "the script has no line to speak; check it, or leave --script out", code="empty_script"
        )
    return found


def _heard(desk: Desk, diarization: Diarization) -> _Found:
    """The recording's own words."""
    settings = desk.request.settings
    transcript, notes = hear_words(
        desk.recording, diarization, settings, desk.progress, desk.stages, desk.means.ears
    )
    desk.notes.extend(notes)
    lines = segments_from_words(transcript, diarization)
    return _Found(diarization, lines, transcript.words, transcript.model)


def _given(desk: Desk, path: Path, diarization: Diarization, names: Names) -> _Found:
    """A file's lines. What was heard here before still tells the words of the references, and the
    language of a script that does not name it."""
    request = desk.request
    transcript = heard_before(diarization, request.settings, desk.stages)
    language = request.settings.language or tag_of(path) or (transcript.language if transcript else "en")
    lines = script.read(
        path,
        diarization,
        language=language,
        speakers={*request.references, *names.ever},
        recording_seconds=desk.recording.seconds,
    )
    return _Found(diarization, lines, transcript.words if transcript else (), str(path.absolute()))


def tag_of(path: Path) -> str | None:
    """The language that a script's name gives in the manner of subtitles (``talk.es.srt``)."""
    tag = Path(path.stem).suffix.lstrip(".").lower()
    return tag if 2 <= len(tag.split("-")[0]) <= 3 and tag.replace("-", "").isalpha() else None


def _corrected(desk: Desk, found: _Found, remembered: History) -> Prepared:
    """What was found, with the corrections of earlier commands and of this one, which are kept from now on."""
    request = desk.request
    history = replace(remembered, in_script=_in_script(desk, remembered))
    speakers = {*found.diarization.speakers, *request.references}
    base = Uncorrected(found.script, speakers, request.settings.seed)
    history = grant(request.corrections, history, base, datetime.now(UTC).isoformat())
    if _is_fed_back(desk):
        _keep_given(desk)
    if history != remembered:
        write_history(desk.run_dir.corrections, history)
    _tell_corrections(desk, history.corrections[len(remembered.corrections) :], history)
    lines = correct_lines(found.script, history.corrections, in_script=history.in_script)
    names = Names(history.corrections)
    desk.notes.extend(lines.notes)
    desk.notes.extend(
        f"{name} was renamed or merged, but is not among the speakers any more."
        for name in names.unheard(speakers | {line.speaker for line in found.script.segments})
    )
    return Prepared(names.of_speakers(found.diarization), lines, found.script_from, history=history)


def _tell_corrections(desk: Desk, new: Sequence[Correction], history: History) -> None:
    if new:
        more = f" and {len(new) - 10} more" if len(new) > 10 else ""
        desk.tell(f"corrected: {', '.join(map(describe, new[:10]))}{more}")
    elif history.corrections:
        desk.tell(f"corrections of earlier commands hold: {len(history.corrections)} (corrections.json)")


def _in_script(desk: Desk, history: History) -> int:
    """How many corrections the script holds already: one that this directory wrote holds all that there
    were then."""
    path = desk.request.script
    if _is_fed_back(desk):
        return len(history.corrections)
    own = path is not None and path.absolute() == desk.run_dir.script_given(path.suffix)
    return history.in_script if own else 0


def _is_fed_back(desk: Desk) -> bool:
    """Whether the script is one that a run wrote into its directory, where a hand has edited it."""
    path = desk.request.script
    own = (desk.request.run_dir / name.name for name in (desk.run_dir.script_json, desk.run_dir.script_srt))
    return path is not None and path.absolute().resolve() in [file.absolute().resolve() for file in own]


def _keep_given(desk: Desk) -> None:
    """The script as it was fed back, to start from when it is corrected later: this run writes its own in
    the file's place."""
    path = desk.request.script
    assert path is not None
    write_bytes_atomic(desk.run_dir.script_given(path.suffix.lower()), path.read_bytes())


def _references(desk: Desk, found: _Found, prepared: Prepared) -> dict[str, Reference]:
    """A reference for each voice. One whose lines others have by now keeps its own: engines that fit all
    voices together would make other ones without it."""
    names, given = Names(prepared.history.corrections), desk.request.references
    heard = sorted({*found.diarization.speakers, *given}, reverse=True)
    first_names = {names.voice(name): name for name in heard}
    speaking = {segment.speaker for segment in prepared.script.segments}
    voices = speaking | (names.lent() & first_names.keys())
    references = casting.cast_or_recall(
        desk.recording,
        names.of_voices(found.diarization),
        found.words,
        out=desk.run_dir.speakers,
        given={names.voice(name): path for name, path in given.items()},
        speakers=sorted(voices, key=lambda voice: first_names.get(voice, voice)),
        first_names=first_names,
        stages=desk.stages,
        progress=desk.progress,
    )
    for voice, reference in references.items():
        desk.notes.extend(reference.warnings if voice in speaking else ())
    return references


def _write_turns(desk: Desk, prepared: Prepared) -> None:
    text = write_rttm(prepared.diarization.turns, desk.request.input.stem)
    write_text_atomic(desk.run_dir.rttm, text)


def _consent(desk: Desk, lines: Script) -> dict[str, Any] | None:
    speakers = {segment.speaker for segment in lines.segments}
    document, notes = keep_consent(desk.request.consent, desk.run_dir.consent, speakers)
    desk.notes.extend(notes)
    return document


def _write_script(desk: Desk, lines: Script) -> None:
    script.write(desk.run_dir.script_json, lines)
    script.write(desk.run_dir.script_srt, lines)


def _tell_space(desk: Desk, prepared: Prepared) -> None:
    job = prepared.job(desk)
    needed = bytes_of_run(desk.recording, job.script.segments, job.slot_ends, len(job.references))
    if desk.run_dir.is_new and (note := free_space_note(desk.run_dir.root, needed)):
        desk.notes.append(note)
        desk.tell(f"note: {note}")
