"""What is wrong with a translated line, found without knowing either language well."""

from __future__ import annotations

import re
import unicodedata

from voiceclone_cli.language_detection import TextLook, scripts_of, share_of_scripts
from voiceclone_cli.languages import main_language, name_of
from voiceclone_cli.script.parsers import clean_text
from voiceclone_cli.translation.context import TranslationContext
from voiceclone_cli.types import Segment
from voiceclone_worker.speech_units import speech_units
from voiceclone_worker.validation import MAX_TEXT, is_unicode

SURE, LETTERS = 0.9, 25
"""Probability and letters from which a line is in the language that it looks like."""
OF_SOURCE = 12
"""Letters that are enough where that is the language of the original."""
OWN_SCRIPT = 0.25
"""Share of the letters that are of the target's script at least; the others are names."""
LONGEST, ALLOWANCE = 4, 40
"""A translation has at most this many times the units of speech of its original, and these."""
SAME_WORDS = 2
"""Words of a line that may be the same in both languages: "No.", "Hotel Astoria"."""


def needs_translation(segment: Segment, target: str) -> bool:
    """Return whether a line has words, in another language than the target."""
    has_letters = any(character.isalpha() for character in segment.text)
    return has_letters and main_language(segment.language) != main_language(target)


def cleaned(text: str, segment: Segment) -> str:
    """Return a translation on one line, without the speaker's name that the translator may have put before it."""
    text = clean_text(text)
    if not is_unicode(text):
        return ""
    for label in (f"[{segment.speaker}]", f"{segment.speaker}:", f"{segment.speaker}："):
        if text.startswith(label) and not segment.text.startswith(label):
            text = text.removeprefix(label).lstrip(" :：")
    return text


def fault_of(text: str, segment: Segment, target: str, context: TranslationContext) -> str | None:
    """Return what is wrong with a translation, to follow "its translation"; None without a fault."""
    if not any(character.isalnum() for character in text):
        return "is empty"
    if len(text) > MAX_TEXT or speech_units(text) > LONGEST * speech_units(segment.text) + ALLOWANCE:
        return f"is {len(text):,} characters long, for {len(segment.text):,} of the original"
    if is_same(text, segment.text):
        return None if is_of_names(segment.text, context) else "is the same as the original"
    if (term := context.broken_term(segment.text, text)) is not None:
        if term.translation is None:
            return f"lacks {term.term!r}, which the glossary keeps"
        return f"has not {term.translation!r} for {term.term!r}, as the glossary says"
    if (language := _foreign_language(text, segment.language, target, context)) is not None:
        return f"looks like {language}, not {name_of(target)}"
    return None


def is_same(text: str, original: str) -> bool:
    """Return whether two texts have the same words."""
    return _words(text) == _words(original)


def may_be_same(text: str) -> bool:
    """Return whether a line is so short that both languages may have the same words for it."""
    return len(_words(text)) <= SAME_WORDS


def is_of_names(text: str, context: TranslationContext) -> bool:
    """Return whether a text consists of names, numbers, capitals and words that are never translated.

    One word with a capital is no name yet: it may begin a sentence. Nor is a whole sentence in capitals.
    """
    for term in context.terms_in([text]):
        if term.translation is None:
            text = re.sub(re.escape(term.term), " 0 ", text, flags=re.IGNORECASE)
    words = re.findall(r"\w[\w'’.-]*", text)
    capital = [word for word in words if word[0].isupper() or not any(map(str.isalpha, word))]
    named = [word for word in capital if word.isupper() or not any(map(str.isalpha, word))]
    if len(capital) < len(words):
        return False
    return len(named) < len(words) if len(words) > SAME_WORDS else len(words) > 1 or len(named) == len(words)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold())


def _foreign_language(text: str, source: str, target: str, context: TranslationContext) -> str | None:
    """Return the language that a translation is in, in words, where it is surely another one than the target."""
    scripts = scripts_of(target)
    share = share_of_scripts(text, scripts) if scripts else None
    if share is not None and share < OWN_SCRIPT and not is_of_names(text, context):
        look = TextLook.of([text])
        return look.words if look.best and look.contradicts(target) else "another script"
    if sum(map(str.isalpha, text)) < OF_SOURCE:
        return None
    look = TextLook.of([text])
    is_source = look.probability_of(source) >= SURE
    if look.letters < (OF_SOURCE if is_source else LETTERS) or look.probability < SURE:
        return None
    return look.words if look.contradicts(target) else None
