"""From a recording to everything that speaking needs: who speaks when, which lines, with which references."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from voiceclone_cli.analysis.analyzer import cached_transcript, diarize_cached, transcribe_cached
from voiceclone_cli.analysis.turns import given_turns, write_rttm
from voiceclone_cli.audio.formats import MAX_MIX_CHANNELS
from voiceclone_cli.corrections.edits import (
    Corrections,
    describe,
    read_corrections,
    rename_turns,
    write_corrections,
)
from voiceclone_cli.errors import InputError
from voiceclone_cli.files import write_text_atomic
from voiceclone_cli.mixing import timeline
from voiceclone_cli.mixing.timeline import mix_rate
from voiceclone_cli.pipeline.context import RunContext
from voiceclone_cli.pipeline.request import describe_request
from voiceclone_cli.provenance.consent import copy_consent
from voiceclone_cli.references import build
from voiceclone_cli.script import script_file
from voiceclone_cli.script.segmentation import segments_from_words
from voiceclone_cli.types import Diarization, Recording, Reference, Script, Segment, Until, Word
from voiceclone_worker.atomic import write_bytes_atomic

# Whether a run will find room on its disk: a look ahead, since a full disk is survived but costs the wait.


_RATE = 44_100
"""Hz; the highest of any engine's."""
_SPARE = 4 << 20
"""Bytes for references, notes and logs."""


def bytes_of_run(
    recording: Recording, segments: Sequence[Segment], slot_ends: Mapping[str, float], voices: int
) -> int:
    """About what the wavs of a run take at most: every slot filled, the mix, and a stem for each voice.

    ``slot_ends``: seconds, by segment id. 16 bit, at the rate that is highest for the mix, which has the
    recording's channels; the stems are mono.
    """
    rate = mix_rate(recording.source_rate, [_RATE])
    spoken = sum(slot_ends[segment.id] - segment.start for segment in segments)
    tracks = voices + (recording.channels if recording.channels <= MAX_MIX_CHANNELS else 1)
    return round(2 * (spoken * _RATE + tracks * recording.seconds * rate)) + _SPARE


def free_bytes(folder: Path) -> int | None:
    """Where ``folder`` is, or will be; None where nobody can tell."""
    there = next((place for place in (folder.absolute(), *folder.absolute().parents) if place.exists()), None)
    try:
        return None if there is None else shutil.disk_usage(there).free
    except OSError:
        return None


def free_space_note(folder: Path, needed: int) -> str | None:
    """One sentence when fewer than ``needed`` bytes are free where ``folder`` is, or will be; None when all is
    well, or nobody can tell."""
    free = free_bytes(folder)
    if free is None or free >= needed:
        return None
    return (
        f"the disk of {folder} may become full: the run needs up to {needed / 1e6:.0f} MB and {free / 1e6:.0f} MB "
        "are free; if it does, make room and give the same command again"
    )


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
    corrections: Corrections = field(default_factory=Corrections)
    consent: Mapping[str, Any] | None = None
    """Who agreed to what; None where nothing was ever said of it."""


@dataclass(frozen=True, slots=True)
class _Analysis:
    """What a recording and a script file say, before corrections."""

    diarization: Diarization
    script: Script
    words: tuple[Word, ...]
    """Those that were heard."""
    script_from: str


def prepare(ctx: RunContext) -> Prepared:
    """Diarization, script and casting, as far as the request wants them, and as they were corrected.

    Raises InputError and PreflightError; everything that is found is remembered in the run directory.
    """
    until = ctx.request.until
    corrections = read_corrections(ctx.run_dir.corrections)
    if ctx.run_dir.running() is not None:
        _claim(ctx)
    with ctx.clock.stage("diarization"):
        diarization = _turns(ctx)
        ctx.show(f"diarizer: {diarization.diarizer}, because {diarization.why}", shared=True)
        ctx.notes.extend(diarization.notes)
    if until is Until.DIARIZATION:
        prepared = Prepared(rename_turns(diarization, corrections.name_of), corrections=corrections)
        _write_turns(ctx, prepared)
        return prepared
    with ctx.clock.stage("script"):
        found = _find_lines(ctx, diarization, corrections)
        prepared = _corrected(ctx, found, corrections)
    if until is not Until.SCRIPT:
        _claim(ctx)
        with ctx.resources.cpu_lock, ctx.clock.stage("casting"):
            prepared = replace(prepared, references=_references(ctx, found, prepared))
        _tell_space(ctx, prepared)
    prepared = replace(prepared, consent=_consent(ctx, prepared.script))
    _write_turns(ctx, prepared)
    _write_script(ctx, prepared.script)
    return prepared


def _claim(ctx: RunContext) -> None:
    ctx.run_dir.claim(**describe_request(ctx.request, ctx.engine.name))


def _turns(ctx: RunContext) -> Diarization:
    request = ctx.request
    if request.turns is not None:
        return given_turns(request.turns, ctx.recording.seconds)
    return diarize_cached(
        ctx.recording, request.settings, request.speakers, ctx.progress, ctx.cache, ctx.resources.analyzer
    )


def _find_lines(ctx: RunContext, diarization: Diarization, corrections: Corrections) -> _Analysis:
    if ctx.request.script is None:
        found = _heard(ctx, diarization)
    else:
        found = _given(ctx, ctx.request.script, diarization, corrections)
    if not found.script.segments:
        raise InputError(
            "the script has no line to speak; check it, or leave --script out", code="empty_script"
        )
    return found


def _heard(ctx: RunContext, diarization: Diarization) -> _Analysis:
    """The recording's own words."""
    settings = ctx.request.settings
    transcript, notes = transcribe_cached(
        ctx.recording, diarization, settings, ctx.progress, ctx.cache, ctx.resources.analyzer
    )
    ctx.notes.extend(notes)
    lines = segments_from_words(transcript, diarization)
    return _Analysis(diarization, lines, transcript.words, transcript.model)


def _given(ctx: RunContext, path: Path, diarization: Diarization, corrections: Corrections) -> _Analysis:
    """A file's lines. What was heard here before still tells the words of the references, and the
    language of a script that does not name it."""
    request = ctx.request
    transcript = cached_transcript(diarization, request.settings, ctx.cache)
    language = (
        request.settings.language
        or language_tag_of_script(path)
        or (transcript.language if transcript else "en")
    )
    lines = script_file.read_script(
        path,
        diarization,
        language=language,
        speakers={*request.references, *corrections.speakers},
        recording_seconds=ctx.recording.seconds,
    )
    return _Analysis(diarization, lines, transcript.words if transcript else (), str(path.absolute()))


def language_tag_of_script(path: Path) -> str | None:
    """The language that a script's name gives in the manner of subtitles (``talk.es.srt``)."""
    tag = Path(path.stem).suffix.lstrip(".").lower()
    return tag if 2 <= len(tag.split("-")[0]) <= 3 and tag.replace("-", "").isalpha() else None


def _corrected(ctx: RunContext, found: _Analysis, saved: Corrections) -> Prepared:
    """Apply the corrections of earlier commands and of this one, which are kept from now on."""
    request = ctx.request
    speakers = {*found.diarization.speakers, *request.references}
    is_fed_back = _is_fed_back(ctx)
    if (
        is_fed_back
        or request.script is None
        or request.script.absolute() != ctx.run_dir.script_given(request.script.suffix)
    ):
        corrections = saved.in_script(is_fed_back)
    else:
        corrections = saved
    corrections = corrections.edited(
        request.edits,
        found.script,
        speakers,
        run_seed=request.settings.seed,
        at=datetime.now(UTC).isoformat(),
    )
    if is_fed_back:
        _keep_given(ctx)
    if corrections != saved:
        write_corrections(ctx.run_dir.corrections, corrections)
    if new := corrections.log[len(saved.log) :]:
        ctx.show(f"corrected: {describe(new)}")
    elif corrections.log:
        ctx.show(f"corrections of earlier commands hold: {len(corrections.log)} (corrections.json)")
    script = corrections.apply(found.script)
    ctx.notes.extend(script.notes)
    ctx.notes.extend(
        f"{name} was renamed or merged, but is not among the speakers any more."
        for name in corrections.names_without_speaker(
            {*speakers, *(segment.speaker for segment in found.script.segments)}
        )
    )
    turns = rename_turns(found.diarization, corrections.name_of)
    return Prepared(turns, script, found.script_from, corrections=corrections)


def _is_fed_back(ctx: RunContext) -> bool:
    """Return whether the script is one that a run wrote into this directory, and a user may have edited."""
    path = ctx.request.script
    own = (ctx.request.run_dir / name.name for name in (ctx.run_dir.script_json, ctx.run_dir.script_srt))
    return path is not None and path.absolute().resolve() in [file.absolute().resolve() for file in own]


def _keep_given(ctx: RunContext) -> None:
    """The script as it was fed back, to start from when it is corrected later: this run writes its own in
    the file's place."""
    path = ctx.request.script
    assert path is not None
    write_bytes_atomic(ctx.run_dir.script_given(path.suffix.lower()), path.read_bytes())


def _references(ctx: RunContext, found: _Analysis, prepared: Prepared) -> dict[str, Reference]:
    """A reference for each voice. One whose lines others have by now keeps its own: engines that fit all
    voices together would make other ones without it."""
    corrections, given = prepared.corrections, ctx.request.references
    known = sorted({*found.diarization.speakers, *given}, reverse=True)
    first_names = {corrections.voice_of(name): name for name in known}
    speaking = {segment.speaker for segment in prepared.script.segments}
    voices = speaking | ({corrections.voice_of(name) for name in corrections.moved_from} & first_names.keys())
    references = build.cached_references(
        ctx.recording,
        rename_turns(found.diarization, corrections.voice_of),
        found.words,
        out=ctx.run_dir.speakers,
        given={corrections.voice_of(name): path for name, path in given.items()},
        speakers=sorted(voices, key=lambda voice: first_names.get(voice, voice)),
        first_names=first_names,
        cache=ctx.cache,
        progress=ctx.progress,
    )
    for voice, reference in references.items():
        ctx.notes.extend(reference.warnings if voice in speaking else ())
    return references


def _write_turns(ctx: RunContext, prepared: Prepared) -> None:
    text = write_rttm(prepared.diarization.turns, ctx.request.input.stem)
    write_text_atomic(ctx.run_dir.rttm, text)


def _consent(ctx: RunContext, lines: Script) -> dict[str, Any] | None:
    speakers = {segment.speaker for segment in lines.segments}
    document, notes = copy_consent(ctx.request.consent, ctx.run_dir.consent, speakers)
    ctx.notes.extend(notes)
    return document


def _write_script(ctx: RunContext, lines: Script) -> None:
    script_file.write_script(ctx.run_dir.script_json, lines)
    script_file.write_script(ctx.run_dir.script_srt, lines)


def _tell_space(ctx: RunContext, prepared: Prepared) -> None:
    slot_ends = timeline.slot_ends(prepared.script.segments, ctx.recording.seconds)
    needed = bytes_of_run(ctx.recording, prepared.script.segments, slot_ends, len(prepared.references))
    if ctx.run_dir.is_new and (note := free_space_note(ctx.run_dir.root, needed)):
        ctx.notes.append(note)
        ctx.show(f"note: {note}")
