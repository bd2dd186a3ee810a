"""English: numbers, signs and abbreviations in words, then hibari's phonemes.

hibari (Apache-2.0; misaki's rules, with which Kokoro was trained) reads plain numbers, years, most dates, times and
units well. ``english_rules`` has what it drops or reads wrong; a text without such signs stays as it is. ``spell_out``
writes down what both of them read, for a comparison with what was heard.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from fractions import Fraction
from functools import cache
from typing import Any

from voiceclone_worker.engines.kokoro.phonemes.alphabets import has_sound
from voiceclone_worker.engines.kokoro.phonemes.english_numbers import (
    cardinal,
    fraction_words,
    number_words,
    ordinal,
    year,
)
from voiceclone_worker.engines.kokoro.phonemes.english_rules import PRONOUN, in_readable_words
from voiceclone_worker.engines.kokoro.phonemes.registry import Foreign

_lock = threading.Lock()


def spell_out(text: str) -> str:
    """Return an English text with every number, sign and common abbreviation in words, as it is spoken."""
    spelled = _normalized(in_readable_words(text)).replace("%", " percent")
    spelled = _NUMBER.sub(_number, _SHORT.sub(lambda found: _LONG[found.group()], spelled))
    return re.sub(r" +([,.;:!?…])", r"\1", re.sub(r"\s+", " ", spelled)).strip()


_LONG = {"A.M.": "AM", "P.M.": "PM", "&": " and ", "Dr": "Doctor", "Mr": "Mister", "Mrs": "Missus"}
_SHORT = re.compile(r"\b[AP]\.M\.|&|\b(?:Dr|Mrs?)\b(?= [A-Z])")
"""What hibari's dictionary reads without a change of the text."""
_NUMBER = re.compile(
    r"(?P<digits>\d+(?:,\d{3})*(?:\.\d+)?|\.\d+)(?:(?P<ordinal>st|nd|rd|th)|(?P<plural>'?s))?(?![^\W\d_])|\d+"
)


def _number(found: re.Match[str]) -> str:
    """Return a number as hibari reads it: four digits without a comma are a year."""
    digits = found["digits"] or found.group()
    if found["ordinal"] and "." not in digits:
        words = ordinal(int(digits.replace(",", "")))
    elif len(digits) == 4 and digits.isdecimal():
        words = year(int(digits))
    else:
        words = number_words(digits)
    if found["plural"]:
        words = f"{words[:-1]}ies" if words.endswith("y") else f"{words}s"
    return f" {words} "


def to_phonemes(text: str, tag: str, foreign: Foreign) -> tuple[str, list[str]]:
    """Return an English text in Kokoro's alphabet, and the words and signs in it that have no reading."""
    from hibari.tts import Hibari

    british = tag in ("en-gb", "en-uk")
    spelled, skipped = _readable(in_readable_words(text, british=british))
    with (
        _lock
    ):  # the lexicon is loaded once, and its network for unknown words is not known to be thread-safe
        reader = _reader(british)
        sentences = [_sentence(reader, sentence) for sentence in Hibari.split_sentences(spelled)]
    phonemes = " ".join(read for read, _ in sentences if read)
    return phonemes, skipped + [word for _, words in sentences for word in words]


@cache
def _reader(british: bool) -> Any:
    from hibari.g2p import G2P

    return G2P(british=british)


_HIDDEN = "\ue001"


@cache
def _roman_contexts() -> re.Pattern[str]:
    """Return a pattern of the words behind which hibari takes letters for Roman numerals; those are in words already."""
    from hibari.g2p.normalize import ROMAN_CARDINAL, ROMAN_ORDINAL

    words = "|".join(re.escape(word) for word in (*ROMAN_CARDINAL, *ROMAN_ORDINAL))
    return re.compile(rf"\b({words}) (?=[IVXLC])")


def _sentence(reader: Any, sentence: str) -> tuple[str, list[str]]:
    """Return the phonemes as hibari joins them, and the words that it has none for."""
    tokens = reader.phonemize_tokens(reader.tokenize(_normalized(sentence)))
    phonemes = "".join((token.phonemes or "") + (" " if token.whitespace else "") for token in tokens)
    silent = [token.text for token in tokens if not token.phonemes and any(map(str.isalnum, token.text))]
    return phonemes.strip(), silent


def _normalized(text: str) -> str:
    """Return a text in the words in which hibari reads its dates, times, units and abbreviations."""
    from hibari.g2p.normalize import normalize

    # hibari sees a Roman numeral, zero, in "King Charles": a sign in front of the name hides it.
    normalized: str = normalize(_roman_contexts().sub(rf"\1 {_HIDDEN}", text))
    return normalized.replace(PRONOUN, "I").replace(_HIDDEN, "")


_LONGEST_WORD = 24
"""Letters that hibari's network for unknown words reads; it drops those after."""
_MARKUP_LINK = re.compile(r"\](?=\()")


def _readable(text: str) -> tuple[str, list[str]]:
    """Return the text in characters that hibari reads, and the letters and signs that are none."""
    skipped: list[str] = []
    kept = ""
    for character in text:
        if (character.isascii() and character != "$") or not has_sound(character):
            kept += character
        elif character.isalpha():
            kept += _latin(character, skipped)
        elif character.isnumeric():
            kept += f" {_numeric(character)} "
        else:
            skipped.append(character)
            kept += " "
    # hibari takes [text](/sounds/) for markup, and says nothing of the second part.
    kept = _MARKUP_LINK.sub("] ", kept)
    return re.sub(rf"[^\W\d_]{{{_LONGEST_WORD + 1},}}", _halved, kept), skipped


_NO_BASE = {
    "ł": "l", "Ł": "L", "ø": "o", "Ø": "O", "đ": "d", "Đ": "D", "ß": "ss", "ẞ": "SS", "æ": "ae", "Æ": "AE", "œ": "oe",
    "Œ": "OE", "þ": "th", "Þ": "TH", "ð": "th", "Ð": "TH", "ı": "i", "ħ": "h", "Ħ": "H", "ŋ": "ng",
}  # fmt: skip


def _latin(letter: str, skipped: list[str]) -> str:
    """Return a letter as hibari's network knows it, without its accents if need be."""
    if letter in _known_letters():
        return letter
    plain = _NO_BASE.get(letter) or unicodedata.normalize("NFKD", letter)[0]
    if plain.isascii() and plain.isalpha():
        return plain
    skipped.append(letter)
    return " "


@cache
def _known_letters() -> frozenset[str]:
    with _lock:
        return frozenset(_reader(False).oov.cin) | frozenset("’‘")


def _numeric(character: str) -> str:
    value = Fraction(unicodedata.numeric(character)).limit_denominator(1000)
    return cardinal(value.numerator) if value.denominator == 1 else fraction_words(value)


def _halved(word: re.Match[str]) -> str:
    letters = word.group()
    parts = -(-len(letters) // _LONGEST_WORD)
    size = -(-len(letters) // parts)
    return " ".join(letters[start : start + size] for start in range(0, len(letters), size))
