"""Lines to phonemes in Kokoro's alphabet, and phonemes to tokens.

Each language that Kokoro was trained on is read by its own module (``registry``), every other one by the espeak-ng
program where it is installed, with the nearest sounds. Words in another writing system are read by the rules of their
own language; a language's module reads the English words in its text with the English one.
"""

from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

from voiceclone_worker.engines.base import SegmentError
from voiceclone_worker.engines.kokoro.phonemes import alphabets, registry

_SENTENCE_END = re.compile(r"(?<=[.!?…])\s+")
_CLAUSE_END = re.compile(r"(?<=[,;:—])\s+")
_BLANK = re.compile(r"\s+")
_NEAREST = {
    "ɫ": "l", "ɭ": "l", "ʑ": "ʒ", "ʉ": "u", "ħ": "h", "ɦ": "h", "ʏ": "y", "ɵ": "ø", "ɱ": "m", "ʀ": "ʁ", "ɘ": "ɨ",
    "ɞ": "ɜ", "ʍ": "w", "ɮ": "l", "ɺ": "ɾ", "ɶ": "a", "ɓ": "b", "ɗ": "d", "ɠ": "ɡ", "ʕ": "ʔ", "ʐ": "ʒ",
}  # fmt: skip
"""Kokoro's symbols next to sounds that it has none for."""


Span = tuple[int, int]


class LinePart(NamedTuple):
    """A part of a reading: its tokens, and where those of its English words begin and end."""

    tokens: list[int]
    english: tuple[Span, ...]


@dataclass(frozen=True)
class Reading:
    """A text in phonemes, which of them an English voice says, and what of the text cannot be heard."""

    phonemes: str
    english: tuple[Span, ...] = ()
    """Where the English words of a Chinese text begin and end in ``phonemes``."""
    skipped: tuple[str, ...] = ()
    """Words and signs without a reading, as they stand in the text."""
    sounds: tuple[str, ...] = ()
    """Sounds that Kokoro has no symbol for; the nearest is spoken, or none."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences for the user; none for a text that is spoken in full."""
        found = []
        if self.skipped:
            found.append(f"It lacks {_listed(self.skipped)}, which kokoro cannot read here.")
        if self.sounds:
            found.append(f"It has the nearest sounds, or none, in place of {_listed(self.sounds)}.")
        return tuple(found)

    def parts(self, limit: int) -> list[LinePart]:
        """Return the reading in parts of at most ``limit`` tokens; see ``split``."""
        found, end = list[LinePart](), 0
        for part in split(self.phonemes, limit):
            # Without English words nothing is looked for: a part may differ from the whole in its blanks.
            start = self.phonemes.index(part, end) if self.english else end
            end = start + len(part)
            inside = [
                (max(first, start) - start, min(last, end) - start)
                for first, last in self.english
                if first < end and last > start
            ]
            if tokens := to_tokens(part):
                found.append(LinePart(tokens, tuple(inside)))
        return found


_MOST_LISTED = 20


def _listed(parts: tuple[str, ...]) -> str:
    more = f" and {len(parts) - _MOST_LISTED} more" if len(parts) > _MOST_LISTED else ""
    return ", ".join(f"{part:.100}" for part in parts[:_MOST_LISTED]) + more


def read(text: str, language: str) -> Reading:
    """Return the reading of ``text``. ``language`` is a BCP 47 code ("en", "en-GB", "es-MX", "fr").

    Raises SegmentError: "nothing_to_speak" for a text without a sound, "language" for an unsupported language.
    """
    words = " ".join(alphabets.clean(_MARKS.sub(" ", text)).split())
    if not any(map(alphabets.has_sound, words)):
        raise SegmentError("nothing_to_speak", f"there is nothing to speak in {text!r:.60}.")
    code = language.lower().replace("_", "-")
    parts: list[str] = []
    skipped: list[str] = []
    for run in alphabets.runs(words, registry.main_code(code)):
        try:
            phonemes, unread = _read_run(run.text, run.language or code, is_foreign=run.is_foreign)
        except SegmentError:
            if not run.is_foreign:
                raise
            phonemes, unread = "", [run.text]
        parts += [phonemes] if phonemes else []
        skipped += unread
    phonemes, english, sounds = _without_marks(re.sub(r" (?=[,.;:!?…])", "", " ".join(parts)))
    if not any(character.isalpha() for character in phonemes):
        if not skipped:
            raise SegmentError("nothing_to_speak", f"there is nothing to speak in {text!r:.60}.")
        raise SegmentError(
            "language",
            f'the kokoro engine cannot read {text!r:.60} as "{language}": give its --language, or use --engine fish.',
        )
    return Reading(phonemes, english, tuple(dict.fromkeys(skipped)), sounds)


def to_phonemes(text: str, language: str) -> str:
    """Return the phonemes of ``read``."""
    return read(text, language).phonemes


def _read_run(text: str, language: str, *, is_foreign: bool) -> tuple[str, list[str]]:
    """Return the phonemes of a text in one writing system, and what is not in them."""
    if not any(map(alphabets.has_sound, text)):
        return "".join(mark for mark in text if mark in vocabulary()).strip(), []
    if registry.find(language):
        is_chinese = registry.main_code(language) == "zh"
        foreign = _marked_english if is_chinese else _read_english
        return registry.module_of(language).to_phonemes(text, language, foreign)
    if registry.main_code(language) in registry.UNREADABLE:
        raise SegmentError(
            "language", f'the kokoro engine cannot read "{language}": use --engine fish for this language.'
        )
    from voiceclone_worker.engines.kokoro.phonemes.espeak import espeak_phonemes

    return espeak_phonemes(text, language)


def _read_english(text: str) -> tuple[str, list[str]]:
    return registry.module_of("en").to_phonemes(text, "en", _read_english)


_START, _END = "\ue000", "\ue001"
_MARKS = re.compile(f"[{_START}{_END}]")


def _marked_english(text: str) -> tuple[str, list[str]]:
    """Return the phonemes of English words between marks, by which they are found again in those of the line."""
    phonemes, skipped = _read_english(text)
    return f"{_START}{phonemes}{_END}" if phonemes else "", skipped


def _without_marks(marked: str) -> tuple[str, tuple[Span, ...], tuple[str, ...]]:
    """Return phonemes in symbols that Kokoro knows, where they were marked, and the sounds that it has no symbol for."""
    if _START not in marked:
        phonemes, sounds = _in_vocabulary(marked)
        return phonemes, (), sounds
    phonemes, english, sounds = "", list[Span](), ()
    # Every second one was between marks.
    for index, marked_part in enumerate(_MARKS.split(marked)):
        known, lacking = _in_vocabulary(marked_part)
        known = re.sub(" +", " ", known)
        start = len(phonemes)
        phonemes += known.lstrip() if not phonemes or phonemes[-1] == " " else known
        sounds = tuple(dict.fromkeys(sounds + lacking))
        if index % 2 and len(phonemes) > start:
            english.append((start, len(phonemes)))
    return phonemes, tuple(english), sounds


def _in_vocabulary(phonemes: str) -> tuple[str, tuple[str, ...]]:
    """Return phonemes in symbols that Kokoro knows, and the sounds that it has none for."""
    known, kept, sounds = vocabulary(), "", []
    for symbol in phonemes:
        for sound in symbol if symbol in known else unicodedata.normalize("NFD", symbol):
            if sound in known:
                kept += sound
            elif unicodedata.category(sound) in ("Ll", "Lu", "Lo"):  # others only colour a sound
                kept += _NEAREST.get(sound, "")
                sounds.append(sound)
    return kept, tuple(dict.fromkeys(sounds))


def to_tokens(phonemes: str) -> list[int]:
    """Return the ids of the symbols that Kokoro knows, without the others."""
    ids = vocabulary()
    return [ids[symbol] for symbol in phonemes if symbol in ids]


def split(phonemes: str, limit: int) -> list[str]:
    """Split ``phonemes`` into parts of at most ``limit`` symbols.

    They are cut at sentence ends, else at clause ends, else at blanks, and inside a word only when it alone is longer.
    """
    return _split(phonemes.strip(), limit, (_SENTENCE_END, _CLAUSE_END, _BLANK))


@cache
def vocabulary() -> dict[str, int]:
    """Return the ids of Kokoro's symbols."""
    path = Path(__file__).parents[1] / "data" / "vocab.json"
    symbols: dict[str, int] = json.loads(path.read_text(encoding="utf-8"))
    return symbols


def _split(phonemes: str, limit: int, cuts: tuple[re.Pattern[str], ...]) -> list[str]:
    if len(phonemes) <= limit:
        return [phonemes] if phonemes else []
    if not cuts:
        return [phonemes[start : start + limit] for start in range(0, len(phonemes), limit)]
    joined: list[str] = []
    for part in cuts[0].split(phonemes):
        if joined and len(joined[-1]) + 1 + len(part) <= limit:
            joined[-1] = f"{joined[-1]} {part}"
        else:
            joined += _split(part, limit, cuts[1:])
    return joined
