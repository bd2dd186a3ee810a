"""Signs between numbers, and dollars of many countries, are words in every language."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceclone_worker.engines.kokoro.phonemes import registry
from voiceclone_worker.engines.kokoro.phonemes.reader import read

RANGES = {
    "en": ("3~5 days", "three to five days"),
    "es": ("3~5 días", "tres a cinco días"),
    "fr": ("9h~10h30", "neuf heures à dix heures trente"),
    "hi": ("3~5 दिन", "तीन से पाँच दिन"),
    "it": ("10 °C~15 °C", "dieci gradi a quindici gradi"),
    "ja": ("3~5日", "三から五日"),
    "pt": ("das 9h~10h", "das nove horas a dez horas"),
    "zh": ("9:00~10:30", "九点到十点半"),
}
ABOUT = {
    "en": ("~50 people", "about fifty people"),
    "es": ("~50 personas", "aproximadamente cincuenta personas"),
    "fr": ("~50 personnes", "environ cinquante personnes"),
    "hi": ("~50 लोग", "लगभग पचास लोग"),
    "it": ("~50 persone", "circa cinquanta persone"),
    "ja": ("~50人", "約五十人"),
    "pt": ("~50 pessoas", "aproximadamente cinquenta pessoas"),
    "zh": ("大约~50人", "大约五十人"),
}
MINUS = {
    "en": ("x \u2212 y", "x minus y"),
    "es": ("x \u2212 y", "x menos y"),
    "fr": ("10\u22123, 5 °C \u2212 3 °C", "dix moins trois, cinq degrés moins trois degrés"),
    "hi": ("10\u22123", "दस माइनस तीन"),
    "it": ("10\u22123", "dieci meno tre"),
    "ja": ("10\u22123", "十ひく三"),
    "pt": ("10\u22123", "dez menos três"),
    "zh": ("10\u22123=7", "十减三等于七"),
}
DOLLARS = {
    "en": ("NT$5, S$3", "five Taiwan dollars, three Singapore dollars"),
    "es": ("NT$5, 20 HK$", "cinco dólares taiwaneses, veinte dólares de Hong Kong"),
    "fr": ("5 NT$, C$9,50", "cinq dollars taïwanais, neuf dollars canadiens cinquante cents"),
    "hi": ("NT$5, HK$1", "पाँच ताइवानी डॉलर, एक हांगकांग डॉलर"),
    "it": ("HK$1, A$3", "un dollaro di Hong Kong, tre dollari australiani"),
    "ja": ("NT$5、R$8", "五台湾ドル、八レアル"),
    "pt": ("NT$5, S$1", "cinco dólares taiwaneses, um dólar de Singapura"),
    "zh": ("NT$1,000，R$8", "一千新台币，八雷亚尔"),
}

SMALL_UNITS = {
    "en": ("21 µm, 5 μg", "twenty one micrometers, five micrograms"),
    "es": ("21 µm, 5 μg", "veintiún micrómetros, cinco microgramos"),
    "fr": ("21 µm, 5 μg", "vingt et un micromètres, cinq microgrammes"),
    "hi": ("21 µm, 5 μg", "इक्कीस माइक्रोमीटर, पाँच माइक्रोग्राम"),
    "it": ("21 µm, 5 μg", "ventuno micrometri, cinque microgrammi"),
    "ja": ("21 µm、5 μg", "二十一マイクロメートル、五マイクログラム"),
    "pt": ("21 µm, 5 μg", "vinte e um micrômetros, cinco microgramas"),
    "zh": ("21 µm，5 μg", "二十一微米，五微克"),
}


@pytest.mark.parametrize(
    ("language", "written", "spelled"),
    [
        (language, *row)
        for table in (RANGES, ABOUT, MINUS, DOLLARS, SMALL_UNITS)
        for language, row in table.items()
    ],
)
def test_signs_between_numbers_dollars_and_small_units_are_words(
    language: str, written: str, spelled: str
) -> None:
    assert registry.spell_out(written, language) == spelled
    assert read(written, language).warnings == ()


@pytest.mark.parametrize(
    ("language", "written", "spelled"),
    [
        ("en", "Hi~ there", "Hi there"),
        ("fr", "Salut~ ça va", "Salut ça va"),
        ("fr", "~ une heure", "environ une heure"),
        ("es", "Hola~ 5 €", "Hola cinco euros"),
        ("zh", "好的~谢谢~", "好的，谢谢"),
    ],
)
def test_a_tilde_that_sticks_to_a_word_is_a_drawl(language: str, written: str, spelled: str) -> None:
    assert registry.spell_out(written, language) == spelled
    assert read(written, language).warnings == ()


DIGITS = "零一二三四五六七八九"
SCALES = {"兆": 10**12, "亿": 10**8, "億": 10**8, "万": 10**4, "千": 1000, "百": 100, "十": 10}


def number_of(words: str) -> int:
    """Read a number back: what is before its greatest scale is multiplied by it, and nothing is one of it."""
    for scale, value in SCALES.items():
        before, found, after = words.rpartition(scale)
        if found:
            return (number_of(before) if before else 1) * value + number_of(after)
    return int("".join(str(DIGITS.index(digit)) for digit in words.replace("两", "二")) or 0)


@pytest.mark.parametrize("language", ["ja", "zh"])
@given(number=st.one_of(st.integers(0, 10**12), st.integers(0, 10**4)))
@settings(deadline=None)
def test_a_number_in_characters_is_read_back_as_the_same_number(language: str, number: int) -> None:
    assert number_of(registry.module_of(language).cardinal(number)) == number
