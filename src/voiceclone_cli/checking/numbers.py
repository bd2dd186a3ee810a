"""Numbers in words, as digits: "twenty one" and "21" are the same words said."""

from __future__ import annotations

from collections.abc import Sequence

from voiceclone_cli.checking.numerals import LANGUAGES, Numerals

_MOST_DIGITS = 12
"""A longer one before "million" is no number that anybody says; Python refuses to read some thousands."""


def in_digits(words: Sequence[str], language: str) -> list[str]:
    """The words with every cardinal number of a known language as one word of digits; others as they are.

    A number in digits before "thousand" or "million" is taken with it.
    """
    numerals = LANGUAGES.get(language)
    if numerals is None:
        return list(words)
    out: list[str] = []
    at = 0
    while at < len(words):
        number, after = _cardinal(words, at, numerals)
        if number is None:
            out.append(words[at])
            at += 1
        else:
            decimals, at = _decimals(words, after, numerals)
            out.append(f"{number}{decimals}")
    return out


def _cardinal(words: Sequence[str], start: int, numerals: Numerals) -> tuple[int | None, int]:
    """The number that begins at ``start`` and where it ends; None where none begins."""
    total, hundreds, part = 0, 0, 0
    smallest_scale = 10**18
    at = start
    while at < len(words):
        value = _value(words, at, start, numerals)
        if value is not None:
            if part and not _fits_behind(value, part):
                break
            if value == 0:
                # Nothing follows a zero: "zero five" are two numbers.
                return 0, at + 1
            part += value
        elif (factor := numerals.within.get(words[at])) is not None:
            hundreds, part = hundreds + (part or 1) * factor, 0
        elif (scale := numerals.scales.get(words[at], smallest_scale)) < smallest_scale:
            total, hundreds, part = total + (hundreds + part or 1) * scale, 0, 0
            smallest_scale = scale
        elif not (at > start and words[at] in numerals.joiners and _goes_on(words, at + 1, part, numerals)):
            break
        at += 1
    return (None, start) if at == start else (total + hundreds + part, at)


def _value(words: Sequence[str], at: int, start: int, numerals: Numerals) -> int | None:
    """What a word adds to a number. A zero is one only by itself: "twenty" ends before it, and in Chinese it
    fills a gap (一百零五 is 105)."""
    word = words[at]
    begins_scale = (
        at == start and at + 1 < len(words) and words[at + 1] in {*numerals.within, *numerals.scales}
    )
    if begins_scale and word in numerals.articles:
        return 1
    if begins_scale and word.isdecimal() and len(word) <= _MOST_DIGITS:
        return int(word)
    value = numerals.small.get(word)
    return None if value == 0 and at > start else value


def _fits_behind(value: int, part: int) -> bool:
    """Whether "one" may follow "twenty" in one number, or "twenty one" "ciento"; not "nine" "nineteen"."""
    room = 1
    while part % (room * 10) == 0:
        room *= 10
    return 0 < value < room and part % 100 != 10


def _goes_on(words: Sequence[str], at: int, part: int, numerals: Numerals) -> bool:
    value = numerals.small.get(words[at]) if at < len(words) else None
    return value is not None and value > 0 and (part == 0 or _fits_behind(value, part))


def _decimals(words: Sequence[str], at: int, numerals: Numerals) -> tuple[str, int]:
    """The ".5" of "three point five" and where it ends."""
    digits = ""
    if at < len(words) and words[at] in numerals.points:
        for word in words[at + 1 :]:
            value = numerals.small.get(word, 10)
            if value > 9:
                break
            digits += str(value)
    return (f".{digits}", at + 1 + len(digits)) if digits else ("", at)
