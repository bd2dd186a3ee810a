"""What the languages that are read by rules of spelling share."""

from __future__ import annotations

import re

import pytest

from voiceclone_worker.engines.kokoro.phonemes.spelling import (
    Token,
    is_english,
    letter_names,
    parts,
    read_words,
    tokens,
)


def words(text: str) -> list[Token]:
    return tokens(text)[0]


@pytest.mark.parametrize(
    "text, pattern, found",
    [
        ("Dell'amico", "[^'-]+'?", ["Dell'", "amico"]),
        ("guarda-chuva", "[^'-]+", ["guarda", "chuva"]),
        ("T-shirt", "[^'-]+", ["T-shirt"]),
        ("!", "[^'-]+", ["!"]),
    ],
)
def test_words_are_parted_where_they_are_joined_but_for_those_that_are_known(
    text: str, pattern: str, found: list[str]
) -> None:
    (token,) = words(text)
    assert [part.written for part in parts(token, {"t-shirt"}, pattern)] == found
    assert [part.text for part in parts(token, {"t-shirt"}, pattern)] == [part.lower() for part in found]


def test_an_elided_word_is_one_with_the_next_but_not_with_a_mark() -> None:
    found = [part for token in words("l'ami, l'!") for part in parts(token, (), "[^']+'?")]
    line = read_words(found, lambda index: found[index].text, lambda token: token.text.endswith("'"))
    assert line == ["l'ami", ",", "l'", "!"]


def test_a_word_is_english_by_its_spelling_where_the_language_does_not_know_it() -> None:
    spelled = re.compile("[wk]")
    assert is_english("wonder", spelled) and not is_english("mondo", spelled)
    assert not is_english("kiwi", spelled, {"kiwi": ""}) and not is_english("ok", spelled)


@pytest.mark.parametrize(
    "letters, stressed, said",
    [("bf", -1, "biɛffˈe"), ("bf", -2, "biˈɛffe"), ("b", -2, "bˈi"), ("x", -1, ""), ("", -2, "")],
)
def test_names_of_letters_are_one_word_with_one_stress(letters: str, stressed: int, said: str) -> None:
    assert letter_names(letters, {"b": "bi", "f": "ɛffe"}, stressed=stressed) == said
