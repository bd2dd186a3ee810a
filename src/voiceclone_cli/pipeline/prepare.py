"""From a recording to everything that its synthesis needs: turns, script and references."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from voiceclone_cli.analysis.analyzer import (
    DIARIZE,
    LOCAL_ANALYZER,
    TRANSCRIBE,
    Analyzer,
    cached_transcript,
    concurrent_transcription,
    diarize_cached,
    identify_language_cached,
    transcribe_cached,
)
from voiceclone_cli.analysis.remote import SideBySideAnalyzer
from voiceclone_cli.analysis.turns import given_turns, write_rttm
from voiceclone_cli.audio.formats import MAX_MIX_CHANNELS
from voiceclone_cli.config import RAY
from voiceclone_cli.corrections import edits
from voiceclone_cli.engines.select import language_notes
from voiceclone_cli.errors import InputError
from voiceclone_cli.files import write_text_atomic
from voiceclone_cli.languages import main_language, name_of
from voiceclone_cli.mixing import fit, slots
from voiceclone_cli.mixing.timeline import mix_rate
from voiceclone_cli.pipeline.context import RunContext
from voiceclone_cli.pipeline.request import describe_request
from voiceclone_cli.pipeline.tasks import SPEECH_VERSIONS, SynthesisJob
from voiceclone_cli.provenance.consent import copy_consent
from voiceclone_cli.references import build
from voiceclone_cli.script import script_file
from voiceclone_cli.script.language import LanguageChoice, choose_language, transcribed_language
from voiceclone_cli.script.segmentation import segments_from_words
from voiceclone_cli.translation.job import TranslationOptions, translate
from voiceclone_cli.translation.result import ScriptTranslation
from voiceclone_cli.translation.translate import STAGE as TRANSLATION
from voiceclone_cli.types import Diarization, Recording, Reference, Script, Segment, Transcript, Until, Word
from voiceclone_worker.atomic import write_bytes_atomic
from voiceclone_worker.engines import ENGINES

_MAX_RATE = 44_100
"""Hz; the highest of any engine."""
_LENGTHS, _LENGTHS_VERSION = "lengths", 1
"""Stage of the expected lengths of lines; the version is to be counted up when the same texts give others."""
_OTHER_BYTES = 4 << 20
"""Bytes for references, notes and logs."""


def prepare(ctx: RunContext) -> SynthesisJob:
    """Find turns, script and references, as far as the request goes, with all corrections of `voiceclone redo`.

    What was found in earlier runs comes from the cache. What is later than ``until`` is empty in the result. Raises
    InputError and PreflightError.
    """
    request, until = ctx.request, ctx.request.until
    corrections = edits.read_corrections(ctx.run_dir.corrections)
    if ctx.run_dir.running() is not None:
        _claim(ctx)
    script, script_from, language = Script(()), "", LanguageChoice("", "")
    recognised: Transcript | None = None
    recording_language = ""
    references: dict[str, Reference] = {}
    consent = None
    translation: ScriptTranslation | None = None
    with _open_analyzer(ctx) as analyzer:
        # 1. Who speaks when.
        with ctx.clock.stage("diarization"):
            diarization = _diarize(ctx, analyzer)
            ctx.show(f"diarizer: {diarization.diarizer}, because {diarization.why}", shared=True)
            ctx.notes.extend(diarization.notes)
        # 2. Which words.
        if until is not Until.DIARIZATION:
            with ctx.clock.stage("script"):
                found, recognised, script_from, language = _find_script(
                    ctx, diarization, corrections, analyzer
                )
                if request.translation is not None:
                    translation, language = _translate(ctx, found, request.translation)
                    found = translation.script
                corrections, script = _correct(ctx, diarization, found, recognised, corrections)
                if translation is not None:
                    script = translation.in_target(script, corrections.rewritten)
                if recognised is not None:
                    recording_language = recognised.language
                elif until is not Until.SCRIPT:
                    recording_language = _identify_language(ctx, diarization, script, analyzer)
    # 3. In which voices.
    if until not in (Until.DIARIZATION, Until.SCRIPT):
        _claim(ctx)
        with ctx.resources.cpu_lock, ctx.clock.stage("casting"):
            words = recognised.words if recognised is not None else ()
            references = _build_references(ctx, diarization, words, recording_language, script, corrections)
    slot_ends = slots.slot_ends(script.segments, ctx.recording.seconds, request.settings.borrow)
    rates = _speech_rates(ctx, script.segments, references)
    fits = fit.line_fits(script.segments, slot_ends, rates, request.settings.max_stretch)
    if references:
        _check_free_space(ctx, script.segments, slot_ends, len(references))
    if until is not Until.DIARIZATION:
        speakers = {segment.speaker for segment in script.segments}
        consent, notes = copy_consent(
            request.consent, ctx.run_dir.consent, speakers, request.settings.encoding
        )
        ctx.notes.extend(notes)
    # 4. The documents of the run directory.
    turns = edits.rename_turns(diarization, corrections.name_of)
    write_text_atomic(ctx.run_dir.rttm, write_rttm(turns.turns, request.input.stem))
    if until is not Until.DIARIZATION:
        script_file.write_script(ctx.run_dir.script_json, script)
        script_file.write_script(ctx.run_dir.script_srt, script)
    return SynthesisJob(
        script,
        references,
        slot_ends,
        ctx.run_dir,
        ctx.engine,
        request.settings,
        diarization=turns,
        script_from=script_from,
        language=language,
        corrections=corrections.log,
        consent=consent,
        translation=translation,
        rates=rates,
        fits={line.id: line for line in fits},
    )


def _claim(ctx: RunContext) -> None:
    ctx.run_dir.claim(**describe_request(ctx.request, ctx.engine))


@contextmanager
def _open_analyzer(ctx: RunContext) -> Iterator[Analyzer]:
    """Yield the analyzer of a batch, or one that recognizes the words while it finds the turns."""
    request, own = ctx.request, ctx.resources.analyzer
    if own is not LOCAL_ANALYZER or request.script is not None or request.until is Until.DIARIZATION:
        yield own
        return
    words = partial(concurrent_transcription, ctx.recording, request.settings, ctx.progress, ctx.cache)
    with SideBySideAnalyzer(words, ctx.progress, ctx.resources.begin_speech) as analyzer:
        yield analyzer
    for stage, peak in (("diarization", analyzer.peak_mb[DIARIZE]), ("script", analyzer.peak_mb[TRANSCRIBE])):
        ctx.clock.peak_mb[stage] = max(peak, ctx.clock.peak_mb.get(stage, 0))


def _diarize(ctx: RunContext, analyzer: Analyzer) -> Diarization:
    request = ctx.request
    if request.turns is not None:
        return given_turns(request.turns, ctx.recording.seconds, request.settings.encoding)
    return diarize_cached(
        ctx.recording, request.settings, request.speakers, ctx.progress, ctx.cache, analyzer
    )


def _find_script(
    ctx: RunContext, diarization: Diarization, corrections: edits.Corrections, analyzer: Analyzer
) -> tuple[Script, Transcript | None, str, LanguageChoice]:
    """Return the script before corrections, what was recognised, where the script comes from, and its language."""
    request, settings = ctx.request, ctx.request.settings
    given_by = settings.origin("language") if settings.language else None
    recognised: Transcript | None
    if request.script is None:
        transcript, notes = transcribe_cached(
            ctx.recording, diarization, settings, ctx.progress, ctx.cache, analyzer
        )
        ctx.notes.extend(notes)
        script = segments_from_words(transcript, diarization, settings.language)
        recognised, script_from = transcript, transcript.model
        language = transcribed_language(transcript, given_by)
    else:
        # An earlier transcription still gives the words of the references, and the language of a script whose
        # own is not known.
        earlier = cached_transcript(diarization, settings, ctx.cache)
        read = script_file.read_script(
            request.script,
            diarization,
            language="",
            speakers={*request.references, *corrections.names, *corrections.names.values()},
            recording_seconds=ctx.recording.seconds,
            labels=settings.speaker_labels,
            sounds=settings.speak_sounds,
            tags=ctx.engine.keeps_tags,
            strict=settings.strict,
            encoding=settings.encoding,
        )
        script, language = choose_language(
            read,
            request.script,
            given=settings.language,
            given_by=given_by or "",
            earlier=earlier.language if earlier else None,
            encoding=settings.encoding,
        )
        recognised, script_from = earlier, str(request.script.absolute())
    if not script.segments:
        raise InputError(
            "the script has no line to speak; check it, or leave --script out", code="empty_script"
        )
    ctx.show(f"language: {language.code}, because {language.why}")
    for warning in language.warnings:
        ctx.warn(warning)
    return script, recognised, script_from, language


def _translate(
    ctx: RunContext, script: Script, options: TranslationOptions
) -> tuple[ScriptTranslation, LanguageChoice]:
    """Return the script in another language. What was answered is kept with the stages of the run directory."""
    with ctx.clock.stage(TRANSLATION):
        found = translate(
            script,
            options,
            ctx.request.settings,
            ctx.run_dir.stages / f"{TRANSLATION}.json",
            recording_seconds=ctx.recording.seconds,
            engine=ctx.engine.name,
            progress=ctx.progress,
        )
    for note in found.notes:
        ctx.warn(note)
    by = f" by {found.translator} ({found.destination})" if found.translator else ""
    return found, LanguageChoice(options.to, f"it was translated from {name_of(found.source)}{by}")


def _identify_language(ctx: RunContext, diarization: Diarization, script: Script, analyzer: Analyzer) -> str:
    """Return the language that is spoken in the recording, where voices depend on it; else, and in doubt, "".

    kokoro matches a voice more closely in lines of the language that its speaker speaks, and in English lines.
    """
    kokoro = ENGINES["kokoro"].languages or frozenset()
    languages = {main_language(segment.language) for segment in script.segments}
    if ctx.engine.name != "kokoro" or not languages & kokoro - {"en"}:
        return ""
    code = identify_language_cached(
        ctx.recording, diarization, ctx.request.settings, ctx.progress, ctx.cache, analyzer
    )
    if code:
        ctx.show(
            f"spoken in the recording: {name_of(code)}, as {ctx.request.settings.asr_model} recognised it"
        )
    return code


def _correct(
    ctx: RunContext,
    diarization: Diarization,
    found: Script,
    recognised: Transcript | None,
    saved: edits.Corrections,
) -> tuple[edits.Corrections, Script]:
    """Apply the corrections of earlier commands and of this one, which are kept from now on."""
    request = ctx.request
    speakers = {*diarization.speakers, *request.references}
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
        found,
        speakers,
        run_seed=request.settings.seed,
        at=datetime.now(UTC).isoformat(),
        recording_seconds=ctx.recording.seconds,
        recognised=recognised.words if recognised is not None else (),
    )
    if is_fed_back:
        _keep_given(ctx)
    if corrections != saved:
        edits.write_corrections(ctx.run_dir.corrections, corrections)
    if new := corrections.log[len(saved.log) :]:
        ctx.show(f"corrected: {edits.describe(new)}")
    elif corrections.log:
        ctx.show(f"corrections of earlier commands hold: {len(corrections.log)} (corrections.json)")
    script = corrections.apply(found)
    ctx.notes.extend(script.notes)
    ctx.notes.extend(
        f"{name} was renamed or merged, but is not among the speakers any more."
        for name in corrections.names_without_speaker(
            {*speakers, *(segment.speaker for segment in found.segments)}
        )
    )
    return corrections, script


def _is_fed_back(ctx: RunContext) -> bool:
    """Return whether the script is one that a run wrote into this directory, and a user may have edited."""
    path = ctx.request.script
    own = (ctx.request.run_dir / name.name for name in (ctx.run_dir.script_json, ctx.run_dir.script_srt))
    return path is not None and path.absolute().resolve() in [file.absolute().resolve() for file in own]


def _keep_given(ctx: RunContext) -> None:
    """Copy the script that was fed back, as the base of later corrections: this run overwrites the file."""
    path = ctx.request.script
    assert path is not None
    write_bytes_atomic(ctx.run_dir.script_given(path.suffix.lower()), path.read_bytes())


def _build_references(
    ctx: RunContext,
    diarization: Diarization,
    words: Sequence[Word],
    recording_language: str,
    script: Script,
    corrections: edits.Corrections,
) -> dict[str, Reference]:
    """Return a reference for each voice. ``words`` and ``recording_language`` of the recording, empty if not known.

    A voice whose segments were given to others keeps its reference: engines that fit all voices together would fit
    them differently without it.
    """
    given = ctx.request.references
    known = sorted({*diarization.speakers, *given}, reverse=True)
    first_names = {corrections.voice_of(name): name for name in known}
    speaking = {segment.speaker for segment in script.segments}
    voices = speaking | ({corrections.voice_of(name) for name in corrections.moved_from} & first_names.keys())
    references = build.cached_references(
        ctx.recording,
        edits.rename_turns(diarization, corrections.voice_of),
        words,
        language=recording_language,
        out=ctx.run_dir.speakers,
        given={corrections.voice_of(name): path for name, path in given.items()},
        speakers=sorted(voices, key=lambda voice: first_names.get(voice, voice)),
        first_names=first_names,
        cache=ctx.cache,
        progress=ctx.progress,
        encoding=ctx.request.settings.encoding,
    )
    for voice, reference in references.items():
        ctx.notes.extend(reference.warnings if voice in speaking else ())
    return references


def check_languages(ctx: RunContext, script: Script) -> None:
    """Note what the engine cannot speak, or not well, before anything is encoded.

    Raises InputError or PreflightError where it can speak no line at all.
    """
    lines = Counter(segment.language for segment in script.segments)
    is_remote = ctx.request.settings.executor == RAY
    languages = ctx.engine.languages
    for note in language_notes(ctx.engine.name, lines, is_remote=is_remote, languages=languages):
        ctx.warn(note)


def _speech_rates(
    ctx: RunContext, segments: Sequence[Segment], references: Mapping[str, Reference]
) -> fit.SpeechRates:
    """Return how long lines are expected to be. Of kokoro, what takes their phonemes is kept: to read them takes a second."""
    if ctx.engine.name != "kokoro" or not segments:
        return fit.load_speech_rates(ctx.engine.name, references)
    texts = sorted({(segment.text, segment.language) for segment in segments})
    inputs = {
        "phonemes": SPEECH_VERSIONS["kokoro"],
        "lines": texts,
        "references": [[name, each.text, each.language, each.seconds] for name, each in references.items()],
    }
    kept = ctx.cache.peek(_LENGTHS, _LENGTHS_VERSION, inputs)
    if kept is not None:
        lengths = dict(zip(texts, kept["lengths"], strict=True))
        return fit.load_speech_rates("kokoro", references, paces=kept["paces"], lengths=lengths)
    rates = fit.load_speech_rates("kokoro", references)
    found = [rates.typical_seconds(text, language) for text, language in texts]
    ctx.cache.save(_LENGTHS, _LENGTHS_VERSION, inputs, {"lengths": found, "paces": dict(rates.paces)})
    return replace(rates, lengths=dict(zip(texts, found, strict=True)))


def check_fit(ctx: RunContext, job: SynthesisJob) -> None:
    """Note how many lines are too long for their slots, before anything is spoken."""
    note = fit.too_long_note(job.fits.values(), ctx.request.settings.max_stretch)
    if note is not None:
        ctx.warn(note)


def bytes_of_run(
    recording: Recording, segments: Sequence[Segment], slot_ends: Mapping[str, float], speakers: int
) -> int:
    """Return about how many bytes the wavs of a run take at most: every slot filled, the mix, a stem per speaker.

    ``slot_ends``: seconds, by segment id. 16 bit, at the highest possible rate of the mix, which has the
    recording's channels; stems are mono.
    """
    rate = mix_rate(recording.source_rate, [_MAX_RATE])
    speech = sum(slot_ends[segment.id] - segment.start for segment in segments)
    tracks = speakers + (recording.channels if recording.channels <= MAX_MIX_CHANNELS else 1)
    return round(2 * (speech * _MAX_RATE + tracks * recording.seconds * rate)) + _OTHER_BYTES


def free_bytes(folder: Path) -> int | None:
    """Return the free space where ``folder`` is, or will be; None where the system does not report it."""
    existing = next((path for path in (folder.absolute(), *folder.absolute().parents) if path.exists()), None)
    try:
        return None if existing is None else shutil.disk_usage(existing).free
    except OSError:
        return None


def free_space_note(folder: Path, needed: int) -> str | None:
    """Return a sentence when fewer than ``needed`` bytes are free where ``folder`` is, or will be."""
    free = free_bytes(folder)
    if free is None or free >= needed:
        return None
    return (
        f"the disk of {folder} may become full: the run needs up to {needed / 1e6:.0f} MB and {free / 1e6:.0f} MB "
        "are free; if it does, make room and give the same command again"
    )


def _check_free_space(
    ctx: RunContext, segments: Sequence[Segment], slot_ends: Mapping[str, float], speakers: int
) -> None:
    """Warn early: a full disk does no harm, but costs the time until then."""
    needed = bytes_of_run(ctx.recording, segments, slot_ends, speakers)
    if ctx.run_dir.is_new and (note := free_space_note(ctx.run_dir.root, needed)):
        ctx.warn(note)
