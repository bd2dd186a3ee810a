"""Subtitle files as people and programs write them: no word is lost or changed in silence."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from voiceclone_cli.script.parsers import Parsed, ScriptLine
from voiceclone_cli.script.subtitles import is_plain, parse_ass, parse_srt, parse_vtt
from voiceclone_cli.types import OmittedText

Parser = Callable[[str], Iterator[Parsed]]


def spoken(parse: Parser, content: str) -> list[str]:
    return [item.text for item in parse(content) if isinstance(item, ScriptLine)]


def omitted(parse: Parser, content: str) -> list[tuple[str, str, str]]:
    return [(item.where, item.text, item.reason) for item in parse(content) if isinstance(item, OmittedText)]


def notes(parse: Parser, content: str) -> list[str]:
    return [item for item in parse(content) if isinstance(item, str)]


def times(second: int) -> str:
    return f"00:00:{second:02d},000 --> 00:00:{second + 1:02d},000"


def one(text: str, parse: Parser = parse_srt) -> str:
    """The text of a single cue."""
    heading = "WEBVTT\n\n" if parse is parse_vtt else ""
    (found,) = spoken(parse, f"{heading}{times(1).replace(',', '.')}\n{text}\n")
    return found


# Numbers.


def test_without_cue_numbers_every_number_is_text() -> None:
    content = f"{times(1)}\nIt happened in\n1984\n\n{times(3)}\nRoom\n12\n{times(5)}\n7\n\n{times(7)}\n8\n9\n"
    assert spoken(parse_srt, content) == ["It happened in\n1984", "Room\n12", "7", "8\n9"]


def test_cue_numbers_are_not_text_even_without_blank_rows() -> None:
    content = f"1\n{times(1)}\nIt happened in\n1984\n2\n{times(3)}\nRoom 12\n3\n{times(5)}\nYes.\n"
    assert spoken(parse_srt, content) == ["It happened in\n1984", "Room 12", "Yes."]


def test_a_file_that_numbers_some_cues_keeps_the_other_numbers() -> None:
    content = f"1\n{times(1)}\nIt happened in\n1984\n{times(3)}\nRoom\n12\n\n3\n{times(5)}\nYes.\n\n{times(7)}\n42\n"
    lines = [item for item in parse_srt(content) if isinstance(item, ScriptLine)]
    assert [(line.id, line.text) for line in lines] == [
        ("1", "It happened in\n1984"),
        (None, "Room\n12"),
        ("3", "Yes."),
        (None, "42"),
    ]


def test_numbers_with_gaps_and_out_of_order_are_cue_numbers() -> None:
    content = "\n".join(f"{n}\n{times(n)}\nLine {n}.\n" for n in (1, 2, 7, 30, 4))
    assert spoken(parse_srt, content) == [f"Line {n}." for n in (1, 2, 7, 30, 4)]


def test_a_file_with_a_blank_row_after_every_row_is_numbered_too() -> None:
    content = "\n".join(f"{n}\n\n{times(n)}\n\nLine {n}.\n" for n in (1, 2, 3))
    assert spoken(parse_srt, content) == ["Line 1.", "Line 2.", "Line 3."]


def test_an_empty_cue_does_not_take_the_number_of_the_next() -> None:
    content = f"1\n{times(1)}\n2\n{times(3)}\nYes.\n"
    assert spoken(parse_srt, content) == ["", "Yes."]


def test_text_above_the_first_cue_is_omitted_and_not_lost() -> None:
    content = f"Made by a friend\n\n1\n{times(1)}\nHello.\n"
    assert spoken(parse_srt, content) == ["Hello."]
    assert omitted(parse_srt, content) == [("line 1", "Made by a friend", "it stands outside of a cue")]


# Files that were joined.


@pytest.mark.parametrize("joint", ["\n\n", "\n", "\n\n\ufeff", "\ufeff"])
def test_joined_srt_files_are_read_to_the_end(joint: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    from voiceclone_cli.script.parsers import read_text

    part = f"1\n{times(1)}\nHello.\n\n2\n{times(3)}\nIt was\n1984"
    path = tmp_path_factory.mktemp("joined") / "a.srt"
    path.write_text(f"\ufeff{part}{joint}{part}\n", encoding="utf-8")
    content = read_text(path).text
    assert spoken(parse_srt, content) == ["Hello.", "It was\n1984"] * 2
    where = [item.where for item in parse_srt(content) if isinstance(item, ScriptLine)]
    assert len(set(where)) == 4 and where[2].startswith("cue 1 (line ")
    assert "Another file begins in line" in notes(parse_srt, content)[0]


def test_joined_vtt_files_do_not_speak_their_headings() -> None:
    part = "WEBVTT\nKind: captions\nLanguage: en\n\n00:01.000 --> 00:02.000\nHello.\nAgain."
    for joint in ("\n\n", "\n"):
        content = f"{part}{joint}{part}\n"
        assert spoken(parse_vtt, content) == ["Hello.\nAgain."] * 2
        assert len(notes(parse_vtt, content)) == 1 and not omitted(parse_vtt, content)


def test_the_word_webvtt_in_a_text_is_text() -> None:
    assert one("WEBVTT") == "WEBVTT"
    assert one("We call it\nWEBVTT files") == "We call it\nWEBVTT files"


# What looks like formatting.


@pytest.mark.parametrize("parse", [parse_srt, parse_vtt])
@pytest.mark.parametrize(
    "text",
    [
        r"C:\new\house",
        r"C:\New\News",
        r"\\server\Notes",
        "if a < b and c > d",
        "<b and c>",
        "x<y and z>w",
        "<3 you, 5 > 3",
        "<i'm here>",
        "{smiles} and {\\new\\house}",
        "{an8}",
        "Q&A, AT&T, R&D;, &notes, &unknown;",
        "<hello@example.org>",
        "a <- b -> c",
        "home --> work",
        "2 <1>",
        "<i.e.> <p.12> <b 2>",
    ],
)
def test_text_that_only_resembles_formatting_stays(parse: Parser, text: str) -> None:
    assert one(text, parse) == text


@pytest.mark.parametrize("parse", [parse_srt, parse_vtt])
@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("<i>Hello</i> <B>there</B>", "Hello there"),
        ('<font color="#fff" face=Arial>Hello</font>', "Hello"),
        ("<font color=#ffffff>Hello</FONT>", "Hello"),
        ("<c.yellow.bg_blue>Hello</c> <00:00:01.200><c> there</c>", "Hello  there"),
        ("<lang en-GB>Hello</lang>", "Hello"),
        ("<b.loud>Hello</b>", "Hello"),
        ("{\\an8}Hello {\\i1}there{\\i0}{\\pos(1,2)\\fad(3,4)}", "Hello there"),
        ("Hello<br/>there<br>you", "Hello\nthere\nyou"),
        ("&lt;i&gt; &amp;amp; &#65;&#x42; &eacute;", "<i> &amp; AB é"),
        ("<i>\nHello\n</i>", "Hello"),
    ],
)
def test_formatting_is_removed(parse: Parser, text: str, plain: str) -> None:
    assert one(text, parse) == plain


def test_line_breaks_of_ass_in_an_srt_file_are_breaks_and_noted() -> None:
    content = f"1\n{times(1)}\nHello,\\Nthere.\n\n2\n{times(3)}\n{{\\an8}}Bye\\Nnow.\n\n3\n{times(5)}\nC:\\New\\Notes\n"
    assert spoken(parse_srt, content) == ["Hello,\nthere.", "Bye\nnow.", r"C:\New\Notes"]
    assert set(notes(parse_srt, content)) == {
        r"\N in the text is read as a line break, as in ASS files; write &#92;N to keep it."
    }


def test_the_reading_above_a_ruby_character_is_omitted() -> None:
    content = (
        f"WEBVTT\n\n{times(1).replace(',', '.')}\n<ruby>漢<rp>(</rp><rt>kan</rt>字<rt>ji</rt></ruby> desu.\n"
    )
    assert spoken(parse_vtt, content) == ["漢字 desu."]
    assert [text for _, text, _ in omitted(parse_vtt, content)] == ["kan", "ji"]


# WebVTT.


def test_a_row_of_a_blank_does_not_end_a_cue_but_an_empty_one_does() -> None:
    content = "WEBVTT\n\nfirst\n00:01.000 --> 00:02.000\n \nHello\n \nthere.\n\nStray text\nof two rows\n\n2\n00:03.000 --> 00:04.000\nYes.\n"
    assert spoken(parse_vtt, content) == ["Hello\nthere.", "Yes."]
    assert omitted(parse_vtt, content) == [
        ("line 10", "Stray text\nof two rows", "it stands outside of a cue")
    ]


def test_numbers_of_cues_are_no_text_even_without_empty_rows() -> None:
    content = "WEBVTT\n\n1\n00:01.000 --> 00:02.000\nIn 1984\n2\n00:03.000 --> 00:04.000\nRoom\n12\n\n00:05.000 --> 00:06.000\n7"
    assert spoken(parse_vtt, content) == ["In 1984", "Room\n12", "7"] and not omitted(parse_vtt, content)


def test_notes_and_styles_are_no_text() -> None:
    content = "WEBVTT title\n\nNOTE\nof two\nrows\n\nSTYLE\n::cue { color: red }\n\n00:01.000 --> 00:02.000\nYes.\n\nNOTE last\n"
    assert spoken(parse_vtt, content) == ["Yes."] and not omitted(parse_vtt, content)


def test_voices_in_a_cue_are_lines_of_their_speakers() -> None:
    content = "WEBVTT\n\n00:01.000 --> 00:05.000\n- <v Anna>Hello Ben.</v>\n- <v.loud Ben Lee>Hi.</v> <v Ben Lee>Yes."
    lines = [item for item in parse_vtt(content) if isinstance(item, ScriptLine)]
    assert [(line.speaker, line.text) for line in lines] == [
        ("Anna", "Hello Ben."),
        ("Ben Lee", "Hi. Yes."),
    ]
    assert lines[0].start == 1.0 and lines[0].end == lines[1].start and lines[1].end == 5.0


# ASS.


def ass(*rows: str, heading: str = "") -> str:
    return f"[Script Info]\n\n[Events]\n{heading}" + "\n".join(rows) + "\n"


def dialogue(second: int, text: str, name: str = "", layer: int = 0) -> str:
    return f"Dialogue: {layer},0:00:{second:02d}.00,0:00:{second + 1:02d}.00,Default,{name},0,0,0,,{text}"


def test_breaks_of_ass_are_breaks_and_its_text_has_no_entities() -> None:
    content = ass(dialogue(1, r"{\i1}One{\i0}\Ntwo\nthree\hfour, &amp; <i>five</i>"))
    assert spoken(parse_ass, content) == ["One\ntwo\nthree four, &amp; <i>five</i>"]


def test_comments_in_braces_are_omitted_and_text_after_a_drawing_is_spoken() -> None:
    content = ass(dialogue(1, r"{a pun in the original}Hello {\p1}m 0 0 l 10 10{\p0}there."))
    assert spoken(parse_ass, content) == ["Hello there."]
    assert omitted(parse_ass, content) == [("dialogue 1", "a pun in the original", "a comment in braces")]


def test_lines_with_the_same_times_share_them_but_not_with_signs() -> None:
    content = ass(
        dialogue(1, "Hello.", "Anna"), dialogue(1, "Hi.", "Ben"), dialogue(1, r"{\pos(1,2)}EXIT"), dialogue(3, "Yes.")
    )  # fmt: skip
    lines = [item for item in parse_ass(content) if isinstance(item, ScriptLine)]
    assert [(line.start, line.end, line.text) for line in lines] == [
        (1.0, 1.713, "Hello."),
        (1.713, 2.0, "Hi."),
        (1.0, 2.0, "EXIT"),
        (3.0, 4.0, "Yes."),
    ]


def test_the_format_row_gives_the_order_of_the_fields() -> None:
    content = ass(
        "Dialogue: 0:00:01.00,0:00:02.00,Anna,Well, yes.", heading="Format: Start, End, Actor, Text\n"
    )
    (line,) = [item for item in parse_ass(content) if isinstance(item, ScriptLine)]
    assert (line.start, line.end, line.speaker, line.text) == (1.0, 2.0, "Anna", "Well, yes.")


def test_rows_that_are_no_dialogue_are_omitted() -> None:
    content = ass(dialogue(1, "Hello,"), "there.", "; a comment", "Comment: 0,0:00:00.00,0:00:01.00,,,,,,,x")
    assert spoken(parse_ass, content) == ["Hello,"]
    assert omitted(parse_ass, content) == [("line 5", "there.", "is not a Dialogue line")]


@pytest.mark.parametrize(
    "text", ["<i>x", "&amp;", "a\\Nb", "00:00:01,000 --> 00:00:02,000", "{\\an8}a", "<font>"]
)
def test_text_that_would_be_read_otherwise_is_not_plain(text: str) -> None:
    assert not is_plain(text) and is_plain("R&D <3 {so} \\o/ 10:30")


def test_a_heading_with_times_is_a_damaged_cue() -> None:
    (found,) = parse_vtt("WEBVTT 00:00:01.500 --> 00:00:03.000\nHello.\n")
    assert isinstance(found, OmittedText) and found.text == "WEBVTT\nHello."
    assert found.reason.startswith("its times are 'WEBVTT 00:00:01.500")
