"""English: numbers, signs and abbreviations in words, then hibari's phonemes.

hibari (Apache-2.0; misaki's rules, with which Kokoro was trained) has a normaliser, which reads plain numbers, years,
most dates, times and units well. ``english_rules`` has what it drops or reads wrong; a text without such signs stays as
it is.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from fractions import Fraction
from functools import cache
from typing import Any

from voiceclone_worker.engines.kokoro.phonemes.alphabets import has_sound
from voiceclone_worker.engines.kokoro.phonemes.english_numbers import cardinal, fraction_words
from voiceclone_worker.engines.kokoro.phonemes.english_rules import PRONOUN, spell_out
from voiceclone_worker.engines.kokoro.phonemes.registry import Foreign

_lock = threading.Lock()


def to_phonemes(text: str, tag: str, foreign: Foreign) -> tuple[str, list[str]]:
    """Return an English text in Kokoro's alphabet, and the words and signs in it that have no reading."""
    from hibari.tts import Hibari

    british = tag in ("en-gb", "en-uk")
    spelled, skipped = _readable(spell_out(text, british=british))
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
    from hibari.g2p.normalize import normalize

    # hibari sees a Roman numeral, zero, in "King Charles": a sign in front of the name hides it.
    normalized = normalize(_roman_contexts().sub(rf"\1 {_HIDDEN}", sentence))
    normalized = normalized.replace(PRONOUN, "I").replace(_HIDDEN, "")
    tokens = reader.phonemize_tokens(reader.tokenize(normalized))
    phonemes = "".join((token.phonemes or "") + (" " if token.whitespace else "") for token in tokens)
    silent = [token.text for token in tokens if not token.phonemes and any(map(str.isalnum, token.text))]
    return phonemes.strip(), silent


_LONGEST_WORD = 24
"""Letters that hibari's network for unknown words reads; it drops those after."""
_MARKUP_LINK = re.compile(r"\](?=\()")


def _readable(text: str) -> tuple[str, list[str]]:
    """Return the text in characters that hibari reads, and the letters and signs that are none."""
    skipped: list[str] = []
    kept = ""
    for character in text:
        if character.isascii() or not has_sound(character):
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


_NO_BASE = dict(
    zip(
        "łŁøØđĐßẞæÆœŒþÞðÐıħĦŋ",
        [
            "l",
            "L",
            "o",
            "O",
            "d",
            "D",
            "ss",
            "SS",
            "ae",
            "AE",
            "oe",
            "OE",
            "th",
            "TH",
            "th",
            "TH",
            "i",
            "h",
            "H",
            "ng",
        ],
        strict=True,
    )
)


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
