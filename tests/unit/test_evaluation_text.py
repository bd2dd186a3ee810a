"""Two spellings of the same words are the same; other words are not."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceclone_cli.evaluation import text
from voiceclone_cli.evaluation.evaluate import are_other_words
from voiceclone_cli.evaluation.text import (
    CER,
    WER,
    comparison_notes,
    edit_distance,
    error_rate_of,
    units_of,
    words_of,
)
from voiceclone_worker.engines.kokoro.phonemes import registry


@pytest.mark.parametrize(
    ("one", "other", "language"),
    [
        ("Well, hello there!", "well hello there", "en"),
        ("I didn’t know", "i didn't know", "en"),
        ("a well-known face", "a well known face", "en"),
        ("Twenty-one of them", "21 of them", "en"),
        ("two hundred and five", "205", "en"),
        ("one thousand two hundred thirty-four", "1,234", "en"),
        ("five million people", "5 million people", "en"),
        ("in nineteen ninety-nine", "in 1999", "en"),
        ("call five five five, one two", "call 555 12", "en"),
        ("three point five", "3.5", "en"),
        ("five dollars", "$5", "en"),
        ("ten percent", "10%", "en"),
        ("doscientos treinta y cinco", "235", "es"),
        ("veintiún mil", "21.000", "es"),
        ("tres coma cinco", "3,5", "es"),
        ("cento e vinte e três", "123", "pt"),
        ("二百三十五个人", "235个人", "zh"),
        ("一万二千", "12000", "zh"),
        ("一百零五", "105", "zh"),
        ("三千零二十", "3020", "ja"),
        ("twenty oh five", "20 oh 5", "en"),
        ("二零二四年。", "2024 年", "zh-CN"),
        ("Ｈｅｌｌｏ", "hello", "en"),
        ("cafe\u0301", "CAFÉ", "fr"),
        ("STRASSE", "Straße", "de"),
        ("soft\u00adhyphen", "softhyphen", "en"),
        ("quatre-vingt-dix-neuf euros", "99 €", "fr"),
        ("douze virgule cinq pour cent", "12,5 %", "fr"),
        ("duemilaventiquattro", "2024", "it"),
        ("增长了百分之十五", "增长了15%", "zh"),
        ("二百元", "¥200", "zh"),
        ("两百元", "200元", "zh-Hans"),
        ("一百二", "120", "zh"),
        ("早上八点半开会", "早上8:30开会", "zh"),
        ("這個價格是6999元", "这个价格是6999元", "zh-Hant"),
        ("Ａ４纸", "A4纸", "zh"),
        ("佢哋嚟緊", "佢哋嚟紧", "yue"),
        ("十二点五パーセント", "12.5%", "ja"),
        ("नमस्ते १५", "नमस्ते 15", "mr"),
        ("पंद्रह", "१५", "hi"),
        ("cinco reais", "R$ 5", "pt"),
        ("três mil quatrocentos e noventa e nove reais", "R$ 3.499", "pt-br"),
        ("dodici virgola cinque per cento", "12,5%", "it"),
        ("tercera", "3ª", "es"),
        ("三万五千", "3.5万", "zh"),
        ("两点三十分", "2点30分", "zh"),
        ("three million five hundred thousand", "3.5 million", "en"),
        ("午後三時半", "午後3時半", "ja"),
        ("二百円", "¥200", "ja"),
        ("٣ أيام", "3 أيام", "ar"),
    ],
)
def test_the_same_words_written_differently_are_the_same(one: str, other: str, language: str) -> None:
    assert words_of(one, language) == words_of(other, language)


@pytest.mark.parametrize(
    ("one", "other", "language"),
    [
        ("I do", "I don't", "en"),
        ("twenty one", "twenty two", "en"),
        ("seven", "seventeen", "en"),
        ("nine hundred", "nine thousand", "en"),
        ("el año", "el ano", "es"),
        ("二十", "十二", "zh"),
        ("नमस्ते", "नमसते", "hi"),
    ],
)
def test_other_words_stay_other_words(one: str, other: str, language: str) -> None:
    assert words_of(one, language) != words_of(other, language)


def test_in_scripts_without_blanks_each_character_is_a_word() -> None:
    assert words_of("你好，世界 AI", "zh") == ["你", "好", "世", "界", "ai"]
    assert words_of("こんにちは", "ja") == list("こんにちは")


def test_chinese_is_counted_by_syllables_with_their_tones() -> None:
    assert units_of("她做了", "zh") == units_of("他作了", "zh-Hant")
    assert units_of("高興地說", "zh") == units_of("高兴的说", "zh")
    assert units_of("买", "zh") != units_of("卖", "zh")
    assert len(units_of("用Google查2024年", "zh")) == 5


def test_japanese_is_counted_by_kana() -> None:
    assert units_of("子供", "ja") == units_of("こども", "ja") == tuple("コドモ")
    assert units_of("下さい。", "ja") == units_of("ください", "ja")
    assert units_of("二十歳", "ja") == units_of("20歳", "ja")
    assert units_of("グーグル", "ja") == units_of("Google", "ja")
    assert units_of("橋を", "ja") != units_of("箱を", "ja")


def test_without_the_packages_characters_are_counted_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for found in (units_of, text._first_of_reading, text._japanese_reader):
        found.cache_clear()
    monkeypatch.setitem(sys.modules, "pypinyin.pinyin_dict", None)
    monkeypatch.setitem(sys.modules, "haqumei", None)
    monkeypatch.setattr(registry, "find_spec", lambda name: None)
    try:
        assert units_of("她做了", "zh") == ("她", "做", "了")
        assert units_of("子供", "ja") == ("子", "供")
        japanese, chinese = comparison_notes(["zh-Hans", "en", "ja", "zh"])
        assert (
            chinese.startswith("Chinese was compared by its characters") and "pip install pypinyin" in chinese
        )
        assert japanese.startswith("Japanese was compared") and "pip install haqumei" in japanese
    finally:
        for found in (units_of, text._first_of_reading, text._japanese_reader):
            found.cache_clear()


def test_nothing_is_said_where_the_packages_are_installed() -> None:
    assert comparison_notes(["zh", "ja", "en", "th"]) == []


@pytest.mark.parametrize(
    "language, written",
    [
        ("zh", "-5℃ －5℃ −5°C -5度 零下5度 零下五度"),
        ("zh", "-5～3℃ 零下5到3度 零下五到三度"),
        ("zh", "5% 5％ 百分之5 百分之五"),
        ("zh", "-5% 负百分之五"),
        ("zh", "$5 ＄5 5美元 US$5 五美元"),
        ("zh", "￥5 ¥5 5元 五元"),
        ("zh-Hant", "￥5 五元"),
        ("ja", "-5℃ －5℃ −5°C マイナス5度 マイナス五度"),
        ("ja", "5% 5％ 5パーセント 五パーセント"),
        ("ja", "$5 ＄5 5ドル 五ドル"),
        ("ja", r"￥5 ¥5 \5 5円 五円"),
    ],
)
def test_signs_count_as_the_words_that_are_spoken_for_them(language: str, written: str) -> None:
    """One source for speaking and checking."""
    spoken = registry.spell_out(written.split()[0], language)
    assert {units_of(each, language) for each in (*written.split(), spoken)} == {units_of(spoken, language)}


@pytest.mark.parametrize("language", ["zh", "zh-Hant-TW", "yue", "ja", "th", "lo", "km", "my", "cmn"])
def test_languages_without_blanks_have_a_character_error_rate(language: str) -> None:
    assert error_rate_of(language) == CER


@pytest.mark.parametrize("language", ["en", "es-419", "ko", "hi", "vi", "", "xx"])
def test_other_languages_have_a_word_error_rate(language: str) -> None:
    assert error_rate_of(language) == WER


def test_vowel_signs_stay_with_their_letters() -> None:
    assert words_of("नमस्ते दुनिया", "hi") == ["नमस्ते", "दुनिया"]
    assert words_of("ดี", "th") == ["ดี"]
    assert words_of("မြန်မာ", "my") == ["မြ", "န်", "မာ"]


def test_numbers_of_unknown_languages_stay_as_they_are() -> None:
    assert words_of("einundzwanzig", "de") == ["einundzwanzig"]
    assert words_of("21", "de") == ["21"]


def test_a_zero_begins_no_number() -> None:
    assert words_of("zero five", "en") == ["05"]


def test_a_number_of_thousands_of_digits_is_one_word() -> None:
    (word,) = words_of("9" * 5000 + " million", "en")
    assert word.isdecimal() and len(word) > 5000


@given(st.text(max_size=60), st.sampled_from(["en", "es", "pt", "zh", "ja", "fr", "th", "xx"]))
def test_any_text_has_words_and_none_of_them_is_empty(any_text: str, language: str) -> None:
    assert all(words_of(any_text, language)) and all(units_of(any_text, language))


WORDS = st.lists(st.sampled_from("abc"), max_size=8)


@given(WORDS, WORDS)
def test_the_distance_is_that_of_a_metric(one: list[str], other: list[str]) -> None:
    distance = edit_distance(one, other)
    assert distance == edit_distance(other, one)
    assert (distance == 0) == (one == other)
    assert abs(len(one) - len(other)) <= distance <= max(len(one), len(other))


@given(WORDS, WORDS, WORDS)
def test_no_detour_is_shorter(one: list[str], between: list[str], other: list[str]) -> None:
    assert edit_distance(one, other) <= edit_distance(one, between) + edit_distance(between, other)


def test_replaced_missing_and_added_words_count_one_each() -> None:
    wanted = ["the", "quick", "brown", "fox"]
    assert edit_distance(wanted, ["the", "quick", "red", "fox"]) == 1
    assert edit_distance(wanted, ["the", "brown", "fox"]) == 1
    assert edit_distance(wanted, ["the", "quick", "brown", "old", "fox"]) == 1
    assert edit_distance(wanted, []) == 4


def test_another_line_is_flagged_and_a_misheard_one_is_not() -> None:
    assert are_other_words(["we", "will", "come", "back", "there"], ["the", "weather", "is", "fine", "today"])
    assert are_other_words(["hello"], [])
    assert not are_other_words(["sheila"], ["shayla"])
    assert not are_other_words(["neither", "did", "i"], ["you", "did", "i"])
    assert not are_other_words([], ["anything"])
