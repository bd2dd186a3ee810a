"""Two texts made comparable: what differs after this was said differently, not only written differently."""

from __future__ import annotations

import re
import unicodedata

from voiceclone_cli.checking.numbers import in_digits

_APOSTROPHE = re.compile(r"(?<=\w)['’ʼ`´](?=\w)")
_MONEY = re.compile(r"([$€£])\s?(\d[\d.,]*)")
_GROUPED = r"(?<=\d)[{}\u0020\u00a0\u202f](?=\d{{3}}(?!\d))"
_GROUPED_BY_COMMA, _GROUPED_BY_POINT = (re.compile(_GROUPED.format(mark)) for mark in (",", "."))
_DECIMAL_COMMA = re.compile(r"(?<=\d),(?=\d)")
_COMMA_IS_DECIMAL = frozenset((
    "cs", "da", "de", "el", "es", "fi", "fr", "hu", "id", "it",
    "nl", "no", "pl", "pt", "ro", "ru", "sv", "tr", "uk", "vi",
))  # fmt: skip

_SYMBOLS = {
    "en": {"%": "percent", "&": "and", "$": "dollars", "€": "euros", "£": "pounds"},
    "es": {"%": "por ciento", "&": "y", "$": "dólares", "€": "euros", "£": "libras"},
    "pt": {"%": "por cento", "&": "e", "$": "dólares", "€": "euros", "£": "libras"},
}
_WITHOUT_BLANKS = ("CJK UNIFIED", "CJK COMPATIBILITY", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER")
"""Begins of the names of characters of scripts that put no blank between words."""


def words_of(text: str, language: str) -> list[str]:
    """The words of a text as they are counted: no case, punctuation or apostrophes, numbers in digits.

    In scripts without blanks (Chinese, Japanese, Thai, ...) each character is a word. Numbers in words
    become digits in English, Spanish, Portuguese, Chinese and Japanese; numbers that follow each other
    are one word, so that "nineteen ninety nine" is "1999". ``language``: a code such as en or pt-br.
    """
    language = language.lower().replace("_", "-").split("-")[0]
    plain = unicodedata.normalize("NFKC", text).casefold()
    plain = _APOSTROPHE.sub("", _MONEY.sub(r"\2 \1", plain))
    for symbol, name in _SYMBOLS.get(language, {}).items():
        plain = plain.replace(symbol, f" {name} ")
    grouped = _GROUPED_BY_POINT if language in _COMMA_IS_DECIMAL else _GROUPED_BY_COMMA
    plain = _DECIMAL_COMMA.sub(".", grouped.sub("", plain))
    return _joined(in_digits(_split(unicodedata.normalize("NFC", plain)), language))


def _split(text: str) -> list[str]:
    """Runs of letters, runs of digits (with a decimal point), and single characters that are words."""
    words: list[str] = []
    kind = ""
    for place, character in enumerate(text):
        before, kind = kind, _kind(character)
        if kind == "invisible":
            kind = before
        elif (kind == "mark" and before) or (
            character == "." and before == "digit" and text[place + 1 : place + 2].isdecimal()
        ):
            words[-1] += character
            kind = before
        elif kind in ("letter", "digit") and kind == before:
            words[-1] += character
        elif kind in ("letter", "digit", "word"):
            words.append(character)
        else:
            kind = ""
    return words


def _kind(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Cf":
        return "invisible"
    if category == "Nd":
        return "digit"
    if category[0] == "M":
        # An accent, or a vowel sign: part of the letter before it.
        return "mark"
    if category[0] == "L":
        return "word" if unicodedata.name(character, "").startswith(_WITHOUT_BLANKS) else "letter"
    return "word" if character == "〇" else ""


def _joined(words: list[str]) -> list[str]:
    """Numbers that follow each other in one: how a row of digits is grouped is a matter of spelling."""
    joined: list[str] = []
    for word in words:
        if joined and joined[-1].isdecimal() and word.isdecimal():
            joined[-1] += word
        else:
            joined.append(word)
    return joined
