"""Two texts made comparable: what still differs was said differently, not only spelled differently.

Numbers, signs and money are spelled out by the module that kokoro speaks the language with
(:mod:`voiceclone_worker.engines.kokoro.phonemes`); number words then become digits, since 1999 has several readings.
Chinese is compared by syllables (pypinyin), Japanese by kana (haqumei).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any

from voiceclone_cli.languages import language_of, main_language, name_of
from voiceclone_worker.engines.kokoro.phonemes import chinese, registry


def edit_distance(wanted: Sequence[str], found: Sequence[str]) -> int:
    """Return the fewest items to replace, remove or insert that turn one sequence into the other (Levenshtein)."""
    # distances[n]: from the items of ``wanted`` so far to the first n items of ``found``.
    distances = list(range(len(found) + 1))
    for row, item in enumerate(wanted, start=1):
        diagonal, distances[0] = distances[0], row
        for column, other in enumerate(found, start=1):
            replaced = diagonal + (item != other)
            diagonal = distances[column]
            distances[column] = min(replaced, diagonal + 1, distances[column - 1] + 1)
    return distances[-1]


@dataclass(frozen=True, slots=True)
class Numerals:
    """Number words of a language: ``small`` words add up; ``within`` and ``scales`` multiply what is before them."""

    small: Mapping[str, int]
    within: Mapping[str, int]
    """Factors within a scale: "two hundred" thousand."""
    scales: Mapping[str, int]
    joiners: frozenset[str] = frozenset()
    """Words between two parts of a number, without a value."""
    articles: frozenset[str] = frozenset()
    """Words for 1 before a factor or scale: "a hundred"."""
    points: frozenset[str] = frozenset()
    """Words before decimals: "three point five"."""
    short_tail: bool = False
    """Whether a digit right behind a factor counts tenths of it: 一百二 is 120."""


def _counted(words: str, first: int = 0, step: int = 1) -> dict[str, int]:
    """Return the values of words in the order of their values; "|" separates synonyms."""
    return {
        word: first + step * place for place, same in enumerate(words.split()) for word in same.split("|")
    }


_ENGLISH = Numerals(
    small={
        **_counted("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen"),
        **_counted("fifteen sixteen seventeen eighteen nineteen", 15),
        **_counted("twenty thirty forty|fourty fifty sixty seventy eighty ninety", 20, 10),
    },
    within={"hundred": 100},
    scales={"thousand": 10**3, "million": 10**6, "billion": 10**9},
    joiners=frozenset({"and"}),
    articles=frozenset({"a"}),
    points=frozenset({"point"}),
)
_SPANISH = Numerals(
    small={
        **_counted(
            "cero uno|un|una dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce"
        ),
        **_counted(
            "quince dieciséis diecisiete dieciocho diecinueve veinte veintiuno|veintiún|veintiuna", 15
        ),
        **_counted("veintidós veintitrés veinticuatro veinticinco veintiséis veintisiete veintiocho", 22),
        **_counted("veintinueve treinta", 29),
        **_counted("cuarenta cincuenta sesenta setenta ochenta noventa cien|ciento", 40, 10),
        **_counted("doscientos|doscientas trescientos|trescientas cuatrocientos|cuatrocientas", 200, 100),
        **_counted("quinientos|quinientas seiscientos|seiscientas setecientos|setecientas", 500, 100),
        **_counted("ochocientos|ochocientas novecientos|novecientas", 800, 100),
    },
    within={},
    scales={"mil": 10**3, "millón": 10**6, "millones": 10**6},
    joiners=frozenset({"y"}),
    points=frozenset({"coma", "punto"}),
)
_PORTUGUESE = Numerals(
    small={
        **_counted("zero um|uma dois|duas três quatro cinco seis sete oito nove dez onze doze treze"),
        **_counted("catorze|quatorze quinze dezesseis|dezasseis dezessete|dezassete dezoito", 14),
        **_counted("dezenove|dezanove vinte", 19),
        **_counted("trinta quarenta cinquenta sessenta setenta oitenta noventa cem|cento", 30, 10),
        **_counted("duzentos|duzentas trezentos|trezentas quatrocentos|quatrocentas", 200, 100),
        **_counted("quinhentos|quinhentas seiscentos|seiscentas setecentos|setecentas", 500, 100),
        **_counted("oitocentos|oitocentas novecentos|novecentas", 800, 100),
    },
    within={},
    scales={"mil": 10**3, "milhão": 10**6, "milhões": 10**6},
    joiners=frozenset({"e"}),
    points=frozenset({"vírgula", "ponto"}),
)
_CHINESE = Numerals(
    small=_counted("零|〇 一 二|两|兩 三 四 五 六 七 八 九"),
    within={"十": 10, "百": 100, "千": 1000},
    scales={"万": 10**4, "萬": 10**4, "亿": 10**8, "億": 10**8},
    joiners=frozenset({"零", "〇"}),
    points=frozenset({"点", "點"}),
    short_tail=True,
)

_NUMERALS: Mapping[str, Numerals] = {
    "en": _ENGLISH,
    "es": _SPANISH,
    "pt": _PORTUGUESE,
    "zh": _CHINESE,
    "yue": _CHINESE,
    "ja": _CHINESE,
}


_MOST_DIGITS = 12
"""Longer ones before "million" are not number words; Python refuses to parse some thousands."""


def in_digits(words: Sequence[str], language: str) -> list[str]:
    """Return the words with every cardinal number of a known language as one word of digits.

    A number in digits before "thousand" or "million" belongs to it.
    """
    numerals = _NUMERALS.get(language)
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
            scale = numerals.scales.get(words[at], 0) if decimals and at < len(words) else 0
            if scale:
                # "three point five million" is 3500000, as "three million five hundred thousand" is.
                number, decimals, at = int(Decimal(f"{number}{decimals}") * scale), "", at + 1
            out.append(f"{number}{decimals}")
    return out


def _cardinal(words: Sequence[str], start: int, numerals: Numerals) -> tuple[int | None, int]:
    """Return the number that begins at ``start`` and where it ends; None where none begins."""
    total, hundreds, part = 0, 0, 0
    smallest_scale = 10**18
    factor_before = 0
    at = start
    while at < len(words):
        value = _value(words, at, start, numerals)
        if value is not None:
            if part and not _may_follow(value, part):
                break
            if value == 0:
                # Nothing follows a zero: "zero five" are two numbers.
                return 0, at + 1
            part += value
        elif (factor := numerals.within.get(words[at])) is not None:
            hundreds, part, factor_before = hundreds + (part or 1) * factor, 0, factor
        elif (scale := numerals.scales.get(words[at], smallest_scale)) < smallest_scale:
            total, hundreds, part = total + (hundreds + part or 1) * scale, 0, 0
            smallest_scale = factor_before = scale
        elif at > start and words[at] in numerals.joiners and _continues(words, at + 1, part, numerals):
            factor_before = 0
        else:
            break
        at += 1
    if numerals.short_tail and factor_before >= 100 and part < 10:
        part *= factor_before // 10
    return (None, start) if at == start else (total + hundreds + part, at)


def _value(words: Sequence[str], at: int, start: int, numerals: Numerals) -> int | None:
    """Return the value that a word adds to a number.

    A zero is a number only by itself: "twenty" ends before it, and in Chinese it fills a gap (一百零五 is 105).
    """
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


def _may_follow(value: int, part: int) -> bool:
    """Return whether a value may follow: "one" after "twenty", "twenty one" after "ciento"; not "nineteen" after "nine"."""
    room = 1
    while part % (room * 10) == 0:
        room *= 10
    return 0 < value < room and part % 100 != 10


def _continues(words: Sequence[str], at: int, part: int, numerals: Numerals) -> bool:
    value = numerals.small.get(words[at]) if at < len(words) else None
    return value is not None and value > 0 and (part == 0 or _may_follow(value, part))


def _decimals(words: Sequence[str], at: int, numerals: Numerals) -> tuple[str, int]:
    """Return the ".5" of "three point five", and where it ends."""
    digits = ""
    if at < len(words) and words[at] in numerals.points:
        for word in words[at + 1 :]:
            value = numerals.small.get(word, 10)
            if value > 9:
                break
            digits += str(value)
        if digits and words[at + 1 + len(digits) : at + 2 + len(digits)] in [
            [each] for each in numerals.within
        ]:
            return "", at  # 两点三十 is a time
    return (f".{digits}", at + 1 + len(digits)) if digits else ("", at)


WER, CER = "WER", "CER"
"""Word error rate; character error rate, of languages that are written without blanks between words."""

_APOSTROPHE = re.compile(r"(?<=\w)['’ʼ`´](?=\w)")
_OTHER_DIGIT = re.compile(r"(?![0-9])\d")
_GROUPED = r"(?<=\d)[{}\u0020\u00a0\u202f](?=\d{{3}}(?!\d))"
_GROUPED_BY_COMMA, _GROUPED_BY_POINT = (re.compile(_GROUPED.format(mark)) for mark in (",", "."))
_DECIMAL_COMMA = re.compile(r"(?<=\d),(?=\d)")
_COMMA_IS_DECIMAL = frozenset((
    "cs", "da", "de", "el", "es", "fi", "fr", "hu", "id", "it",
    "nl", "no", "pl", "pt", "ro", "ru", "sv", "tr", "uk", "vi",
))  # fmt: skip

_CHINESE_LANGUAGES = frozenset(("zh", "yue", "wuu", "nan", "hak", "gan"))
_BY_CHARACTERS = _CHINESE_LANGUAGES | {"ja", "th", "lo", "km", "my"}
_WITHOUT_BLANKS = (
    "CJK UNIFIED",
    "CJK COMPATIBILITY",
    "HIRAGANA",
    "KATAKANA",
    "THAI",
    "LAO",
    "KHMER",
    "MYANMAR",
)
"""First words of the Unicode names of characters in scripts without blanks between words."""
_BY_READINGS = {"zh": ("pypinyin", "syllables"), "ja": ("haqumei", "kana")}
"""Languages that are compared by how they are read: the package that reads them, and what they become."""


def error_rate_of(language: str) -> str:
    """Return what an error rate of a language counts: WER or CER."""
    return CER if _main(language) in _BY_CHARACTERS else WER


def comparison_notes(languages: Iterable[str]) -> list[str]:
    """Return sentences for the user on languages that are compared by letters, as a package is not installed."""
    notes = []
    for language in sorted({_main(tag) for tag in languages} & _BY_READINGS.keys()):
        package, units = _BY_READINGS[language]
        if missing := [each for each in registry.missing_packages(language) if each.startswith(package)]:
            notes.append(
                f"{name_of(language)} was compared by its characters, so that two spellings of one sound count as "
                f"errors: pip install {missing[0]} compares {units}"
            )
    return notes


@lru_cache(maxsize=4096)
def units_of(text: str, language: str) -> tuple[str, ...]:
    """Return what is counted of a text: its words, or the characters of a language without blanks.

    In Chinese all characters of one reading, with its tone, are one character (她 is 他), and in Japanese a text is its
    kana (子供 is コドモ); without pypinyin and haqumei they stay as they are. Otherwise as :func:`words_of`.
    """
    main = _main(language)
    if main == "ja" and (reader := _japanese_reader()) is not None:
        return _kana(text, reader)
    words = words_of(text, language)
    if main == "zh" and len(words):
        readings = _first_of_reading()
        return tuple(readings.get(word, word) for word in words)
    return tuple(words)


def words_of(text: str, language: str) -> list[str]:
    """Return the words of a text as they are compared: no case, punctuation or apostrophes, numbers in digits.

    In scripts without blanks (Chinese, Japanese, Thai, ...) each character is a word; Chinese is in simplified
    characters. Signs and digits become words in the languages that kokoro speaks, and words of numbers become digits
    in English, Spanish, Portuguese, Chinese and Japanese; numbers that follow each other are one word, so that
    "nineteen ninety nine" is "1999". ``language``: a code such as en or pt-br.
    """
    main = _main(language)
    plain = _narrow(text)
    if main in _CHINESE_LANGUAGES:
        plain = chinese.simplified(plain)
    plain = _OTHER_DIGIT.sub(lambda digit: str(unicodedata.decimal(digit.group())), plain)
    plain = unicodedata.normalize("NFKC", registry.spell_out(plain, main))
    plain = _APOSTROPHE.sub("", plain.casefold())
    grouped = _GROUPED_BY_POINT if main in _COMMA_IS_DECIMAL else _GROUPED_BY_COMMA
    plain = _DECIMAL_COMMA.sub(".", grouped.sub("", plain))
    return _joined(in_digits(_split(unicodedata.normalize("NFC", plain)), main))


_WIDTH = re.compile(r"[\u3000\uff01-\uffef]+")


def _narrow(text: str) -> str:
    """Return a text without full-width letters and half-width kana; ª and ² stay, which the spelling knows."""
    return _WIDTH.sub(lambda found: unicodedata.normalize("NFKC", found.group()), text)


def _main(language: str) -> str:
    return main_language(language_of(language) or language.replace("_", "-"))


_PARTICLES = {"得": "的", "地": "的"}
"""Written as they are meant, and all said "de". Where they are read otherwise, they are hardly taken for each other."""


@cache
def _first_of_reading() -> dict[str, str]:
    """Return, for each Chinese character, the first one that has its commonest reading; empty without pypinyin."""
    try:
        from pypinyin.pinyin_dict import pinyin_dict
    except ImportError:
        return {}
    first: dict[str, str] = {}
    found = {
        chr(code): first.setdefault(readings.partition(",")[0], chr(code))
        for code, readings in pinyin_dict.items()
    }
    return found | {sign: found[same] for sign, same in _PARTICLES.items()}


@cache
def _japanese_reader() -> Any:
    """Return haqumei's reader, which several threads may use; None where it is not installed."""
    try:
        from haqumei import Haqumei
    except ImportError:
        return None
    return Haqumei()


_NUMBER_IN_KANJI = re.compile("[〇零一二三四五六七八九十百千万億]{2,}")


def _kana(text: str, reader: Any) -> tuple[str, ...]:
    """Return the sounds of a Japanese text, and what of it has none in kana, character by character."""
    plain = registry.spell_out(_narrow(text), "ja")
    # Numbers of several characters in digits: 二十歳 has another reading than 20歳.
    plain = _NUMBER_IN_KANJI.sub(lambda number: "".join(in_digits(number.group(), "ja")), plain)
    return tuple(character for character in reader.g2k(plain).casefold() if character.isalnum())


def _split(text: str) -> list[str]:
    """Split a text into runs of letters, runs of digits (with a decimal point), and characters that are words."""
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
    """Join numbers that follow each other: how digits are grouped is a matter of spelling."""
    joined: list[str] = []
    for word in words:
        if joined and joined[-1].isdecimal() and word.isdecimal():
            joined[-1] += word
        else:
            joined.append(word)
    return joined
