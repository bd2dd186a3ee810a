"""What was to be said against what was understood."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from voiceclone_cli.report.words import Op, word_diff


def test_the_same_words_in_other_dress_are_the_same() -> None:
    assert word_diff("Oh, hello there!", "oh hello there") == [(Op.SAME, "Oh, hello there!")]


def test_a_word_understood_otherwise_is_missing_and_extra_in_its_place() -> None:
    assert word_diff("a big house", "a pig house") == [
        (Op.SAME, "a "),
        (Op.MISSING, "big "),
        (Op.EXTRA, "pig "),
        (Op.SAME, "house"),
    ]


def test_nothing_understood_leaves_all_missing() -> None:
    assert word_diff("Hello there.", "") == [(Op.MISSING, "Hello there.")]


def test_chinese_is_compared_by_the_character() -> None:
    assert word_diff("我们明天谈", "我们今天谈") == [
        (Op.SAME, "我们"),
        (Op.MISSING, "明"),
        (Op.EXTRA, "今"),
        (Op.SAME, "天谈"),
    ]


def test_a_dash_alone_is_no_word() -> None:
    pieces = word_diff("Well – yes", "well yes")
    assert {op for op, _ in pieces} == {Op.SAME}


@given(st.text(max_size=60), st.text(max_size=60))
def test_the_pieces_hold_every_word_of_either_side(wanted: str, heard: str) -> None:
    def letters(text: str) -> str:
        return "".join(c for c in text.casefold() if c.isalnum())

    pieces = word_diff(wanted, heard)
    assert letters("".join(text for op, text in pieces if op != Op.EXTRA)) == letters(wanted)
    assert letters("".join(text for op, text in pieces if op != Op.MISSING)) == letters(heard)
