"""A translation as a command asks for it: its files are read, its translator is opened, and its script is translated."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from voiceclone_cli.config import SETTINGS, Settings
from voiceclone_cli.errors import InputError
from voiceclone_cli.files import fingerprint
from voiceclone_cli.languages import EXAMPLES, language_of
from voiceclone_cli.mixing.fit import load_speech_rates
from voiceclone_cli.mixing.slots import slot_ends
from voiceclone_cli.translation.cache import TranslationCache
from voiceclone_cli.translation.checks import needs_translation
from voiceclone_cli.translation.context import TranslationContext, read_context, read_glossary
from voiceclone_cli.translation.registry import open_translator
from voiceclone_cli.translation.result import LineStatus, ScriptTranslation
from voiceclone_cli.translation.translate import SlotFit, translate_script
from voiceclone_cli.translation.translator import Term, Tone
from voiceclone_cli.types import Progress, ProgressEvent, Script


class Asking(StrEnum):
    """Which lines a command asks a translator for."""

    MISSING = "missing"
    """All that have no translation yet, those that failed before among them."""
    NEW = "new"
    """All that were never asked for."""
    NONE = "none"


@dataclass(frozen=True, slots=True)
class TranslationOptions:
    """What a translation is made from, besides the settings."""

    to: str
    """BCP 47 tag."""
    context: Path | None = None
    """Text file: the title in its first line, notes in the others."""
    glossary: Path | None = None
    """Table of terms and their translations."""
    asking: Asking = Asking.MISSING


def parse_targets(text: str) -> tuple[str, ...]:
    """Return the tags of the languages in ``es,fr,zh-Hans``, each once. Raises InputError."""
    found: dict[str, None] = {}
    for part in text.split(","):
        tag = language_of(part)
        if tag is None:
            raise InputError(
                f"--to takes language codes such as {EXAMPLES}, several with commas between them, not {part.strip()!r:.60}.",
                code="bad_target_language",
            )
        found[tag] = None
    return tuple(found)


FIT_OFF, FIT_STRICT = "off", "strict"


def translate(
    script: Script,
    options: TranslationOptions,
    settings: Settings,
    cache_file: Path,
    *,
    recording_seconds: float,
    engine: str,
    progress: Progress,
) -> ScriptTranslation:
    """Return the script in the language of the options; what was answered is kept in ``cache_file``.

    ``engine``: name of the one that will speak it, for the length of its lines; empty where it is not known. The
    translator is opened only where a line is missing, or where another one is chosen than the last time. Progress:
    stage "translation", in lines; a note says where the lines go. Raises InputError for a file that cannot be used,
    PreflightError without a translator, and what ``translate_script`` raises.
    """
    context, guesses = _context(options, settings)
    cache = TranslationCache(cache_file)
    fit = _fit(script, settings, recording_seconds, engine)
    chosen = fingerprint({name: getattr(settings, name) for name in SETTINGS if _chooses(name)})

    def known(*, asks_failed: bool) -> ScriptTranslation:
        return translate_script(
            script, options.to, None, context=context, cache=cache, fit=fit, asks_failed=asks_failed
        )

    found: ScriptTranslation | None = None
    is_needed = any(needs_translation(segment, options.to) for segment in script.segments)
    if not is_needed or options.asking is not Asking.MISSING or cache.translator["chosen"] == chosen:
        found = known(asks_failed=options.asking is Asking.MISSING)
    if found is None or (options.asking is not Asking.NONE and found.with_status(LineStatus.PENDING)):

        def notify(sentence: str) -> None:
            progress(ProgressEvent("note", 1, 1, note=f"note: {sentence}"))

        with open_translator(settings, notify) as translator:
            cache.translator = {**cache.translator, "chosen": chosen}
            found = translate_script(
                script,
                options.to,
                translator,
                context=context,
                cache=cache,
                fit=fit,
                asks_failed=options.asking is Asking.MISSING,
                progress=progress,
            )
    return replace(found, notes=(*guesses, *found.notes))


def _chooses(name: str) -> bool:
    """Return whether a setting says which translator is asked."""
    others = ("translator_key", "translator_seconds", "translator_requests")
    return name.startswith(("translator", "argos")) and name not in others


def _context(options: TranslationOptions, settings: Settings) -> tuple[TranslationContext, tuple[str, ...]]:
    """Return what the translator is told, and what was guessed while its files were read."""
    title, notes = "", ""
    glossary: tuple[Term, ...] = ()
    guesses: tuple[str, ...] = ()
    if options.context is not None:
        title, notes, guesses = read_context(options.context, settings.encoding)
    if options.glossary is not None:
        glossary, more = read_glossary(options.glossary, settings.encoding)
        guesses += more
    tone = Tone(settings.tone) if settings.tone else None
    return TranslationContext(title, notes, glossary, tone), guesses


def _fit(script: Script, settings: Settings, recording_seconds: float, engine: str) -> SlotFit | None:
    if settings.fit == FIT_OFF:
        return None
    ends = slot_ends(script.segments, recording_seconds, settings.borrow)
    return SlotFit(
        ends,
        load_speech_rates(engine),
        1.0 if settings.fit == FIT_STRICT else settings.max_stretch,
    )
