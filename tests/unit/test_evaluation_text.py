"""Two spellings of the same words are the same; other words are not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceclone_cli.evaluation.evaluate import are_other_words
from voiceclone_cli.evaluation.text import edit_distance, words_of


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


def test_vowel_signs_stay_with_their_letters() -> None:
    assert words_of("नमस्ते दुनिया", "hi") == ["नमस्ते", "दुनिया"]
    assert words_of("ดี", "th") == ["ดี"]


def test_numbers_of_unknown_languages_stay_as_they_are() -> None:
    assert words_of("vingt et un", "fr") == ["vingt", "et", "un"]


def test_a_zero_begins_no_number() -> None:
    assert words_of("zero five", "en") == ["05"]


def test_a_number_of_thousands_of_digits_is_one_word() -> None:
    assert words_of("9" * 5000 + " million", "en") == ["9" * 5000 + "1000000"]


@given(st.text(max_size=60), st.sampled_from(["en", "es", "pt", "zh", "ja", "fr", "th", "xx"]))
def test_any_text_has_words_and_none_of_them_is_empty(text: str, language: str) -> None:
    assert all(words_of(text, language))


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
