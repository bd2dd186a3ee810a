"""English numbers in words: cardinals, ordinals, decimals and fractions."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from fractions import Fraction

_ONES = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
    "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
]  # fmt: skip
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_SCALES = ["", "thousand", "million", "billion", "trillion"]
MOST_DIGITS = 15
"""Longer numbers are read digit by digit."""


def cardinal(number: int) -> str:
    """Return a number from 0 in English words; digit by digit from 10**15."""
    if number >= 10**MOST_DIGITS:
        return digits_words(str(number))
    if number < 20:
        return _ONES[number]
    if number < 100:
        tens, unit = divmod(number, 10)
        return _TENS[tens - 2] + (f" {_ONES[unit]}" if unit else "")
    if number < 1000:
        hundreds, rest = divmod(number, 100)
        return f"{_ONES[hundreds]} hundred" + (f" {cardinal(rest)}" if rest else "")
    words: list[str] = []
    scale = 0
    while number:
        number, group = divmod(number, 1000)
        if group:
            words.insert(0, f"{cardinal(group)} {_SCALES[scale]}".strip())
        scale += 1
    return " ".join(words)


_ORDINALS = {
    "one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth",
    "twelve": "twelfth",
}  # fmt: skip


def ordinal(number: int) -> str:
    """Return an ordinal number in English words."""
    head, _, last = cardinal(number).rpartition(" ")
    regular = f"{last[:-1]}ieth" if last.endswith("y") else f"{last}th"
    return f"{head} {_ORDINALS.get(last, regular)}".strip()


def year(number: int) -> str:
    """Return a year of four digits in English words, "nineteen oh five"; others than years are read the same."""
    century, rest = divmod(number, 100)
    if century % 10 == 0 and rest < 10:
        return cardinal(number)
    if rest == 0:
        return f"{cardinal(century)} hundred"
    return f"{cardinal(century)} {'oh ' if rest < 10 else ''}{cardinal(rest)}"


def number_words(digits: str) -> str:
    """Return a number as it is written ("1,234.50", "007", ".5") in words: a count, never a year."""
    whole, _, decimals = digits.replace(",", "").partition(".")
    if len(whole) > MOST_DIGITS or (len(whole) > 1 and whole[0] == "0"):
        words = digits_words(whole)
    else:
        words = cardinal(int(whole)) if whole else ""
    return f"{words} point {digits_words(decimals)}".strip() if decimals else words


def digits_words(digits: Iterable[str]) -> str:
    """Return digits in words, one after the other."""
    return " ".join(_ONES[int(digit)] for digit in digits if digit.isdecimal())


_PARTS = {2: ("half", "halves"), 4: ("quarter", "quarters")}


def fraction_words(value: Fraction, top: int | None = None, bottom: int | None = None) -> str:
    """Return a fraction in words, "three quarters"; ``top`` and ``bottom`` where it is not in lowest terms."""
    top, bottom = top or value.numerator, bottom or value.denominator
    one, many = _PARTS.get(bottom) or (ordinal(bottom), f"{ordinal(bottom)}s")
    return f"{cardinal(top)} {one if top == 1 else many}"


def with_article(fraction: str) -> str:
    """Return a fraction as it follows a whole number: "a half"."""
    return "a half" if fraction == "one half" else fraction


VULGAR = "¼½¾⅐⅑⅒⅓⅔⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞"
"""Fractions that are one character."""


def mixed_number(digits: str) -> str:
    """Return a number that may have a fraction: "5", "5½", "5 1/4"."""
    if "/" in digits:
        whole, _, fraction = digits.rpartition(" ")
        top, bottom = map(int, fraction.split("/"))
        words = fraction_words(Fraction(top, max(1, bottom)), top, max(1, bottom))
        return f"{number_words(whole)} and {with_article(words)}" if whole else words
    if digits[-1].isdecimal():
        return number_words(digits)
    fraction = fraction_words(Fraction(unicodedata.numeric(digits[-1])).limit_denominator(100))
    return f"{number_words(digits[:-1])} and {with_article(fraction)}" if digits[:-1] else fraction
