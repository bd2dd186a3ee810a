"""Writing systems: characters as the readers expect them, and a line in runs of one system each."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from functools import cache

HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
"""Chinese characters, for a class of a pattern: with all extensions and those for compatibility, without 〇 and 々."""
_SYSTEMS = {
    "LATIN": "latin", "GREEK": "greek", "CYRILLIC": "cyrillic", "ARABIC": "arabic", "HEBREW": "hebrew",
    "DEVANAGARI": "devanagari", "BENGALI": "bengali", "GURMUKHI": "gurmukhi", "GUJARATI": "gujarati", "TAMIL": "tamil",
    "TELUGU": "telugu", "KANNADA": "kannada", "MALAYALAM": "malayalam", "SINHALA": "sinhala", "THAI": "thai", "LAO": "lao",
    "MYANMAR": "burmese", "GEORGIAN": "georgian", "ARMENIAN": "armenian", "ETHIOPIC": "ethiopic", "KHMER": "khmer",
    "CJK": "han", "HIRAGANA": "kana", "KATAKANA": "kana", "KATAKANA-HIRAGANA": "kana", "HANGUL": "hangul",
    "BOPOMOFO": "han", "IDEOGRAPHIC": "han", "TIBETAN": "tibetan", "HALFWIDTH": "kana",
}  # fmt: skip
_SYSTEMS_OF_LANGUAGES = {
    **dict.fromkeys(("en", "es", "fr", "it", "pt"), ("latin",)),
    **dict.fromkeys(("ru", "uk", "bg", "be", "mk", "ky", "tg", "mn", "ba", "cv"), ("cyrillic",)),
    **dict.fromkeys(("sr", "kk", "uz", "tt", "az"), ("cyrillic", "latin")),
    **dict.fromkeys(("mr", "ne", "kok", "sa"), ("devanagari",)),
    **dict.fromkeys(("ar", "fa", "ur", "ug", "sd", "ps"), ("arabic",)),
    **dict.fromkeys(("he", "yi"), ("hebrew",)),
    "zh": ("han", "latin"), "ja": ("han", "kana", "latin"), "hi": ("devanagari", "latin"), "yue": ("han",), "ko": ("hangul", "han"), "el": ("greek",), "grc": ("greek",), "bn": ("bengali",),
    "as": ("bengali",), "pa": ("gurmukhi",), "gu": ("gujarati",), "ta": ("tamil",), "te": ("telugu",),
    "kn": ("kannada",), "ml": ("malayalam",), "si": ("sinhala",), "th": ("thai",), "my": ("burmese",),
    "ka": ("georgian",), "hy": ("armenian",), "am": ("ethiopic",),
}  # fmt: skip
"""The others write Latin letters, or else what a line without any has. The modules of Chinese, Japanese and Hindi read the
Latin letters in their text themselves: they are part of its units and names ("5 km", "Tシャツ")."""
_LANGUAGES_OF_SYSTEMS = {
    "latin": "en", "greek": "el", "cyrillic": "ru", "arabic": "ar", "hebrew": "he", "devanagari": "hi", "bengali": "bn",
    "gurmukhi": "pa", "gujarati": "gu", "tamil": "ta", "telugu": "te", "kannada": "kn", "malayalam": "ml",
    "sinhala": "si", "thai": "th", "burmese": "my", "georgian": "ka", "armenian": "hy", "ethiopic": "am",
    "han": "zh", "kana": "ja", "hangul": "ko",
}  # fmt: skip
"""Language by whose rules a foreign word is read."""
_LOOKALIKES = dict(zip("АВЕКМНОРСТХІЈЅаеорсухіјѕ", "ABEKMHOPCTXIJSaeopcyxijs", strict=True))
"""Cyrillic letters, and the Latin ones that look the same and are often typed for them."""


@dataclass(frozen=True)
class Run:
    """A part of a line in one writing system. ``language`` is empty in the line's own."""

    text: str
    language: str = ""

    @property
    def is_foreign(self) -> bool:
        """Whether it is written in another system than its line."""
        return bool(self.language)


def clean(text: str) -> str:
    """Return a text composed (NFC), in plain digits and Latin letters, without invisible characters."""
    if text.isascii():
        return text
    kept = ""
    for character in _FULL_WIDTH_MARK.sub(r"\g<0> ", unicodedata.normalize("NFC", text)):
        category = unicodedata.category(character)
        if character in "\u200c\u200d" and kept and system(kept[-1]) not in ("", "latin"):
            kept += character  # part of the spelling in Arabic and Indic systems
        elif category == "Cf" or "\ufe00" <= character <= "\ufe0f":
            continue
        elif "\uff01" <= character <= "\uff5e" or category in ("Lu", "Ll", "Nd"):
            plain = _plain(character)
            kept += plain if plain.isascii() or category == "Nd" else character
        elif category in ("Nl", "No", "So"):
            kept += _in_plain_characters(character)
        else:
            kept += {"。": ". ", "、": ", ", "।": ". ", "॥": ". "}.get(character, character)
    return kept


def _in_plain_characters(character: str) -> str:
    """Return a number, unit or word that is one character as it is written in several: Ⅱ, ①, ❶, ㎡, ㍿.

    Powers, indices and fractions are left to the languages.
    """
    kind = unicodedata.decomposition(character).partition(" ")[0]
    value = unicodedata.numeric(character, 0.5)
    if character in "№〇" or kind in ("<super>", "<sub>", "<fraction>"):  # "No" is a word in some languages
        return character
    if kind == "<square>":
        return re.sub("(?<=m)[23]", lambda power: "²³"[int(power.group()) - 2], _plain(character))
    if kind in ("<circle>", "<compat>") and not value.is_integer():
        return _plain(character)
    if value.is_integer():  # an item of a list, or a number of a bygone system
        numeral = _plain(character)
        return numeral if numeral.isascii() and numeral.isalpha() else f"{int(value)} "
    return character


def _plain(character: str) -> str:
    return unicodedata.normalize("NFKC", character)


_FULL_WIDTH_MARK = re.compile(r"[！，：；？](?!\d)|(?<!\d)[！，：；？](?=\d)")
"""Punctuation without a blank after it, as Chinese and Japanese write it; not that of a number or time."""


def has_sound(character: str) -> bool:
    """Return whether a character stands for a word: letters, digits, currencies, mathematics, percent.

    Punctuation, decoration and emoji are silent.
    """
    category = unicodedata.category(character)
    return category[0] in "LN" or category in ("Sc", "Sm") or character in "%‰@#&°§"


@cache
def system(character: str) -> str:
    """Return the writing system of a letter; empty for what belongs to any."""
    if not character.isalpha() and character != "〇":
        return ""
    return _SYSTEMS.get(unicodedata.name(character, "").partition(" ")[0], "")


def runs(text: str, language: str) -> list[Run]:
    """Part a line in runs of one writing system each.

    Blanks, apostrophes and hyphens between foreign letters belong to them, and so do digits that stick to a foreign word
    ("MP3"). A single Greek letter is a symbol of mathematics.
    """
    text = _without_lookalikes(text, _SYSTEMS_OF_LANGUAGES.get(language, ("latin",)))
    found = Counter(map(system, text))
    del found[""]
    own = _SYSTEMS_OF_LANGUAGES.get(language, ("latin",) if "latin" in found else tuple(found))
    if len(found) == 0 or found.keys() <= set(own):
        return [Run(text)]
    result: list[Run] = []
    position = 0
    for start, end in _foreign_spans(text, frozenset(own)):
        if before := text[position:start].strip():
            result.append(Run(before))
        result.append(Run(text[start:end], _language_of(text[start:end])))
        position = end
    if after := text[position:].strip():
        result.append(Run(after))
    return result


def _foreign_spans(text: str, own: frozenset[str]) -> list[tuple[int, int]]:
    """Return where the foreign parts of a line begin and end, each in one system."""
    kinds = ""
    for index, character in enumerate(text):
        name = system(character)
        around = system(text[index - 1] if index else "") or system(text[index + 1 : index + 2])
        is_symbol = name == "greek" and around != "greek"
        if name and name not in own and not is_symbol:
            # One sign for each system of the line, so that two of them are two parts. Japanese has two in a word.
            kinds += chr(0xE000 + _NAMES.index("kana" if name == "han" else name))
        elif unicodedata.category(character)[0] == "M" and kinds:
            kinds += kinds[-1]
        elif character.isdecimal():
            kinds += "0"
        else:
            kinds += character if character in " '’-.·・" else "\n"
    pattern = re.compile("([\ue000-\uf8ff])(?:(?:[ '’.·・-]|0)*\\1)*(?:-?0+)?")
    return [match.span() for match in pattern.finditer(kinds)]


_NAMES = sorted(set(_SYSTEMS.values()))


def _language_of(text: str) -> str:
    systems = Counter(filter(None, map(system, text)))
    name = "kana" if "kana" in systems else systems.most_common(1)[0][0]
    if name == "cyrillic" and re.search("[іїєґ]", text.lower()):
        return "uk"
    if name == "arabic" and re.search("[پچژگ]", text):
        return "fa"
    return _LANGUAGES_OF_SYSTEMS.get(name, "und")


def _without_lookalikes(text: str, own: tuple[str, ...]) -> str:
    """Return a text whose words are not Latin and Cyrillic at once where that is by letters that look the same."""

    def plain(word: re.Match[str]) -> str:
        letters = word.group()
        if set(filter(None, map(system, letters))) != {"latin", "cyrillic"}:
            return letters
        latin = "".join(_LOOKALIKES.get(letter, letter) for letter in letters)
        cyrillic = "".join(_FROM_LATIN.get(letter, letter) for letter in letters)
        for folded in (cyrillic, latin) if own[0] == "cyrillic" else (latin, cyrillic):
            if len(set(filter(None, map(system, folded)))) == 1:
                return folded
        return letters

    return text if text.isascii() else re.sub(r"\w+", plain, text)


_FROM_LATIN = {latin: cyrillic for cyrillic, latin in _LOOKALIKES.items()}


ROMAN = r"(?=[IVXL]+\b)(?:XL|L?X{0,3})(?:IX|IV|V?I{0,3})(?<=[IVXL])"
"""Pattern of a Roman numeral from 1 to 89; those with C, D and M are more often words ("MIX")."""
_ROMAN_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50}


def roman_value(numeral: str) -> int:
    """Return the value of a Roman numeral."""
    values = [_ROMAN_VALUES[letter] for letter in numeral]
    return sum(
        -value if value < following else value
        for value, following in zip(values, [*values[1:], 0], strict=True)
    )
