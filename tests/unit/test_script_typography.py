"""Punctuation, joined rows and row breaks by the language of a line."""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceclone_cli.script import typography
from voiceclone_cli.script.typography import (
    break_points,
    captions,
    cell_width,
    full_width,
    join_rows,
    mixes_characters,
)


@pytest.mark.parametrize(
    ("rows", "joined"),
    [
        ("我们应该\n换一家快递公司吗？", "我们应该换一家快递公司吗？"),
        ("来週の会議は \n 金曜日です。", "来週の会議は金曜日です。"),
        ("Who are\nyou?", "Who are you?"),
        ("用 Google\nCloud查一下", "用 Google Cloud查一下"),
        ("我用\nGoogle", "我用Google"),
        ("我用 Google\n查", "我用 Google查"),
        ("你好，\r\n\r\nHello", "你好，Hello"),
        ("안녕\n하세요", "안녕 하세요"),
        ("好\u3000\n的", "好的"),
        ("one\u2028two", "one two"),
    ],
)
def test_rows_are_joined_as_their_writing_has_it(rows: str, joined: str) -> None:
    assert join_rows(rows) == joined


@pytest.mark.parametrize(
    ("heard", "written"),
    [
        ("早上好,今天的会议现在开始.", "早上好，今天的会议现在开始。"),
        ("吗?", "吗？"),
        ("好的! 走吧, 快点 !", "好的！走吧，快点！"),
        ("真的吗?!", "真的吗？！"),
        ("他说:好的;我说:不行.", "他说：好的；我说：不行。"),
        ("我...不知道", "我……不知道"),
        ('他说"好的."然后走了.', '他说"好的。"然后走了。'),
        ("会议10:30开始,请准时.", "会议10:30开始，请准时。"),
        ("增长了15%,比去年3.5万多1,000元!", "增长了15%，比去年3.5万多1,000元！"),
        ("比分是3:2", "比分是3:2"),
        ("ID:ab12,时间 2026-01-01 10:30:00", "ID:ab12，时间 2026-01-01 10:30:00"),
        ("访问 www.example.com, 谢谢", "访问 www.example.com，谢谢"),
        ("网址http://a.b/c?d=1,看吧", "网址http://a.b/c?d=1，看吧"),
        ("打开会议.mp4和b.txt,都要.", "打开会议.mp4和b.txt，都要。"),
        ("你用过 Google Cloud?", "你用过 Google Cloud？"),
        ("我用的是 iPhone 15.", "我用的是 iPhone 15。"),
        ("他说:Hello, my friend.", "他说：Hello, my friend."),
        ("Yes, I know. 我知道", "Yes, I know. 我知道"),
        ("大家好，已经写好了。", "大家好，已经写好了。"),
        ("Hello, world.", "Hello, world."),
        ("", ""),
    ],
)
def test_chinese_gets_its_punctuation(heard: str, written: str) -> None:
    assert full_width(heard, "zh-Hans") == written
    assert full_width(written, "zh-Hans") == written


def test_japanese_has_a_comma_of_its_own() -> None:
    assert (
        full_width("はい、わかりました。 Google で調べます 。", "ja")
        == "はい、わかりました。Google で調べます。"
    )
    assert full_width("そうですね, 明日10:30に会いましょう.", "ja") == "そうですね、明日10:30に会いましょう。"


def test_other_languages_keep_their_punctuation() -> None:
    assert full_width("안녕, 하세요?", "ko") == "안녕, 하세요?"
    assert full_width("The sign says 你好, see?", "en") == "The sign says 你好, see?"


@pytest.mark.parametrize(
    ("text", "mixed"),
    [
        ("今天的會議現在開始。我觉得可以先试用一个月。", True),
        ("今天的会议现在开始，用 Google 查里面。", False),
        ("今天的會議現在開始，用 Google 查裡面。", False),
        ("大家早上好", False),
        ("Hello", False),
    ],
)
def test_mixed_characters_are_found(text: str, mixed: bool) -> None:
    assert mixes_characters(text) is mixed


def parted(text: str, language: str) -> str:
    points = [0, *break_points(text, language), len(text)]
    return "|".join(text[start:end] for start, end in pairwise(points))


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("那我们应该换一家快递公司吗？", "zh", "那|我们|应该|换|一家|快递|公司吗？"),
        ("我同意王芳的意见", "zh", "我|同意|王芳的|意见"),
        ("用 Google Cloud查一下", "zh", "用 |Google |Cloud|查|一下"),
        ("（上个月）10:30开会，320万元……真的", "zh", "（上个月）|10:30开会，|320万元……|真的"),
        ("《红楼梦》的作者", "zh", "《红楼梦》的|作者"),
        ("来週の会議は10時半から始まります。", "ja", "来週の|会議は|10時半から|始まります。"),
        ("「はい、ジェット機です」と言いました", "ja", "「はい、|ジェット機です」と|言いました"),
        ("« Quoi ? » Non !", "fr", "« Quoi ? » |Non !"),
        ('He said "no" — twice', "en", 'He |said |"no" |— |twice'),
        ("Hello, world (now) or 3 o'clock", "en", "Hello, |world |(now) |or |3 |o'clock"),
    ],
)
def test_a_row_begins_with_a_word(text: str, language: str, expected: str) -> None:
    assert parted(text, language) == expected


@pytest.fixture
def without_dictionaries(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    real = builtins.__import__

    def without(name: str, *rest: Any, **others: Any) -> Any:
        if name in ("rjieba", "haqumei"):
            raise ImportError(name)
        return real(name, *rest, **others)

    typography._haqumei.cache_clear()
    monkeypatch.setattr(builtins, "__import__", without)
    yield
    typography._haqumei.cache_clear()


@pytest.mark.usefixtures("without_dictionaries")
def test_without_dictionaries_characters_and_punctuation_part_a_line() -> None:
    assert parted("（公司）好，", "zh") == "（公|司）|好，"
    assert parted("食べられなかった日、", "ja") == "食べられなかった|日、"


def test_a_long_chinese_line_is_shown_in_rows_of_twenty_characters_that_end_with_a_clause() -> None:
    text = "上个月的销售额是三百二十万元，比去年同期增长了百分之十五，这个成绩很不错，不过客户的投诉也增加了，主要是因为物流太慢，很多包裹晚到了两三天。"
    shown = captions(text, "zh", most=9)
    assert shown == [
        "上个月的销售额是三百二十万元，比去年同期\n增长了百分之十五，这个成绩很不错，",
        "不过客户的投诉也增加了，主要是因为\n物流太慢，很多包裹晚到了两三天。",
    ]


def test_a_long_english_line_is_shown_in_rows_of_42_letters() -> None:
    text = "The quick brown fox jumps over the lazy dog, and then he goes home to eat dinner with his family. It was late."
    assert captions(text, "en", most=9) == [
        "The quick brown fox\njumps over the lazy dog,",
        "and then he goes home to eat dinner\nwith his family. It was late.",
    ]


def test_a_short_line_is_one_row() -> None:
    assert captions("大家早上好，今天的会议现在开始。", "zh", most=3) == ["大家早上好，今天的会议现在开始。"]


def test_a_line_without_time_for_several_captions_has_more_rows() -> None:
    (shown,) = captions("我觉得可以先试用一个月，然后再做决定。" * 4, "zh", most=1)
    assert shown.count("\n") >= 3
    assert all(cell_width(row) <= typography.CJK_ROW for row in shown.split("\n"))


def test_a_word_that_is_longer_than_a_row_is_cut() -> None:
    (shown,) = captions("x" * 80, "en", most=1)
    assert shown.replace("\n", "") == "x" * 80
    assert all(len(row) <= typography.ROW for row in shown.split("\n"))


@given(
    st.text(st.sampled_from("我们的公司。，！？（）「」はがです食べ ab1.:…— é한"), max_size=300),
    st.sampled_from(["zh", "ja", "en"]),
    st.integers(0, 5),
)
def test_captions_hold_the_whole_line_in_rows_that_fit(text: str, language: str, most: int) -> None:
    shown = captions(text, language, most)
    assert "".join("".join(shown).split()) == "".join(text.split())
    assert len(shown) <= max(most, 1)
    assert all(cell_width(row) <= typography.ROW for caption in shown for row in caption.split("\n"))


def test_width_counts_cells() -> None:
    assert [cell_width(text) for text in ("abc", "李娜", "ｱ", "e\u0301", "。")] == [3, 4, 1, 1, 2]
