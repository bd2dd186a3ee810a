"""Registry of the languages that Kokoro was trained on: the module that reads each, its voices, how long its lines are, its probe.

A language is found by its BCP 47 tag ("pt-BR", "zh-Hant") or by another code of it ("cmn", "jpn"). Its module has the
three functions of ``LanguageModule`` and is imported when it is first asked for. Standard library only: checking and
``doctor`` read this registry too.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import NamedTuple, Protocol, cast

Foreign = Callable[[str], tuple[str, list[str]]]
"""Reads English words inside a text of another language: their phonemes, and what has no reading."""


class LanguageModule(Protocol):
    """The functions of a language's module: pure, and safe to call from several threads."""

    def to_phonemes(self, text: str, tag: str, foreign: Foreign) -> tuple[str, list[str]]:
        """Return a text in Kokoro's alphabet, and the words and signs in it that have no reading.

        ``tag``: BCP 47, in lower case ("pt-pt").
        """
        ...

    def spell_out(self, text: str) -> str:
        """Return a text with its numbers, signs, units, dates, times and abbreviations in words."""
        ...

    def cardinal(self, number: int) -> str:
        """Return a number from 0 in words; digit by digit where the language has no word for its size."""
        ...


class Probe(NamedTuple):
    """Sentences that a voice says to be compared with a speaker: for the least effort, and for the others.

    ``typical`` has more of the language's sounds; a voice says it if it does not sound clean in the first one.
    """

    short: str
    long: str
    typical: str


class Rates(NamedTuple):
    """Tokens a second of a language's voices at speed 1, pauses of 0.15 s and more left out.

    Means of all voices (of every third English one, without af_nicole, who whispers), as the front of the network plans
    them; of the sound, 2 % more is measured. A single sentence is read at another pace than a longer text.
    """

    text: float
    """Of five texts of two sentences."""
    short: float
    long: float
    """Of the probes."""


class Length(NamedTuple):
    """How long a line of a language's voices is at speed 1: linear in its tokens, signs and blanks among them.

    Fitted to the tuned sentences, their first words and pairs of them, with all voices (of every third English one), as
    the front of the network plans them (benchmarks/fit.py, with the errors on held-out sentences).
    """

    line: float
    """Seconds of a line beyond its tokens."""
    token: float
    """Seconds."""
    tokens: float
    """Tokens of a character of text, signs and blanks among them."""


@dataclass(frozen=True)
class Language:
    """A language that Kokoro was trained on."""

    name: str
    module: str
    """Name of the module in this package."""
    voices: str
    """First letters of the names of its native voices: "ab" for ``af_heart`` and ``bm_george``."""
    rates: Rates
    length: Length
    probe: Probe
    packages: Mapping[str, str]
    """Python packages that the module needs: the requirement for pip, by the name that is imported."""
    other_codes: tuple[str, ...] = ()
    """Codes of ISO 639-2 and 639-3, and what is written instead of them."""


LANGUAGES: Mapping[str, Language] = {
    "en": Language(
        "English", "english", "ab", Rates(20.3, 17.0, 19.6), Length(0.31, 0.048, 1.15),
        Probe(
            "We were away a year ago.", "We were away a year ago, and nothing much has changed.",
            "Two boys play by the old bridge, and the dog sleeps at home.",
        ),
        {"hibari": "hibari-tts==0.2.1"}, ("eng",),
    ),
    "es": Language(
        "Spanish", "spanish", "e", Rates(21.2, 15.8, 19.2), Length(0.218, 0.05, 1.23),
        Probe(
            "Nos fuimos hace un año.", "Nos fuimos hace un año, y no ha cambiado casi nada.",
            "Mi hija busca dos libros, pero la tienda ya cerró.",
        ),
        {}, ("spa",),
    ),
    "fr": Language(
        "French", "french", "f", Rates(18.7, 22.7, 20.3), Length(0.248, 0.05, 1.05),
        Probe(
            "Nous étions loin il y a un an.", "Nous étions loin il y a un an, et presque rien n'a changé.",
            "Le vieux pêcheur chante sous la pluie, et sa fille dort dans la cuisine.",
        ),
        {}, ("fra", "fre"),
    ),
    "hi": Language(
        "Hindi", "hindi", "h", Rates(20.8, 20.7, 20.9), Length(0.297, 0.052, 1.56),
        Probe(
            "हम एक साल पहले चले गए थे।", "हम एक साल पहले चले गए थे, और तब से ज़्यादा कुछ नहीं बदला।",
            "मेरी बेटी दो किताबें ढूँढ रही है, पर दुकान बंद है।",
        ),
        {}, ("hin",),
    ),
    "it": Language(
        "Italian", "italian", "i", Rates(18.9, 16.3, 18.7), Length(0.336, 0.052, 1.23),
        Probe(
            "Eravamo lontani un anno fa.", "Eravamo lontani un anno fa, e non è cambiato quasi nulla.",
            "Mia sorella cerca una casa grande vicino al vecchio porto.",
        ),
        {}, ("ita",),
    ),
    "ja": Language(
        "Japanese", "japanese", "j", Rates(17.6, 17.6, 18.3), Length(0.271, 0.061, 2.74),
        Probe(
            "一年前に離れました。", "一年前にそこを離れましたが、あまり何も変わっていません。",
            "二人の子供が橋のそばで遊んでいて、犬は部屋で寝ています。",
        ),
        {"haqumei": "haqumei==0.12.3"}, ("jpn", "jp"),
    ),
    "pt": Language(
        "Portuguese", "portuguese", "p", Rates(22.2, 19.6, 22.2), Length(0.273, 0.047, 1.36),
        Probe(
            "Fomos embora há um ano.", "Fomos embora há um ano, e quase nada mudou desde então.",
            "Minha irmã procura uma casa grande, mas o preço do terreno é alto.",
        ),
        {}, ("por",),
    ),
    "zh": Language(
        "Chinese", "chinese", "z", Rates(22.9, 23.9, 25.0), Length(0.152, 0.043, 3.89),
        Probe(
            "我们一年前离开了那里。", "我们一年前离开了那里，现在没有什么大的变化。",
            "我女儿想买两本书，可是书店已经关门了。",
        ),
        {"pypinyin": "pypinyin==0.55.0", "rjieba": "rjieba==0.2.2"}, ("zho", "chi", "cmn", "cn"),
    ),
}  # fmt: skip
"""By ISO 639-1 code."""

UNREADABLE = frozenset({"ko", "kor", "yue", "wuu", "nan", "hak", "gan", "hsn"})
"""Korean, and the languages of China other than Mandarin: Kokoro has neither their sounds nor their tones, and Mandarin
would not be what was said."""

_BY_CODE = {code: main for main, row in LANGUAGES.items() for code in (main, *row.other_codes)}


def main_code(tag: str) -> str:
    """Return the ISO 639-1 code of a language of this registry; the tag's own first part for any other."""
    code = tag.replace("_", "-").partition("-")[0].lower()
    return _BY_CODE.get(code, code)


def find(tag: str) -> Language | None:
    """Return the language of a tag; None for one that Kokoro was not trained on."""
    return LANGUAGES.get(main_code(tag))


def missing_packages(tag: str) -> tuple[str, ...]:
    """Return pip's requirements of the packages that reading a language needs and that are not installed here."""
    language = find(tag)
    needed = language.packages if language else {}
    return tuple(requirement for package, requirement in needed.items() if find_spec(package) is None)


def module_of(tag: str) -> LanguageModule:
    """Return the module that reads a language, ready to be used. Raises SegmentError ``language``."""
    # Not above: every command reads this registry, and few a text.
    from voiceclone_worker.engines.base import SegmentError

    language = find(tag)
    if language is None:
        raise SegmentError("language", f'kokoro has no rules for "{tag}": use --engine fish.')
    if missing := missing_packages(tag):
        raise SegmentError("language", f"{needs_packages(language.name, missing)} or use --engine fish.")
    return _imported(main_code(tag))


def needs_packages(name: str, missing: tuple[str, ...]) -> str:
    """Return the beginning of a sentence for the user: what a language needs, and how it is installed."""
    what = "the Python package" if len(missing) == 1 else "the Python packages"
    return (
        f"reading {name} needs {what} {' and '.join(missing)}: install it (pip install {' '.join(missing)})"
    )


def spell_out(text: str, tag: str) -> str:
    """Return a text with its numbers and signs in words; unchanged in a language without a module."""
    return _imported(main_code(tag)).spell_out(text) if find(tag) else text


def native_voices(tag: str) -> str:
    """Return the first letters of the names of a language's voices; empty where Kokoro has none."""
    language = find(tag)
    return language.voices if language else ""


def voice_language(tag: str) -> str:
    """Return the language whose mixture speaks a language: its own, or English where Kokoro has no voice of it."""
    return main_code(tag) if find(tag) else "en"


def probe_of(tag: str) -> Probe:
    """Return the probe in a language; the English one where Kokoro has no voice of it."""
    return (find(tag) or LANGUAGES["en"]).probe


@cache
def _imported(code: str) -> LanguageModule:
    return cast(LanguageModule, importlib.import_module(f"{__package__}.{LANGUAGES[code].module}"))
