"""Corrections that make other lines: split, joined, moved and dropped ones."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from voiceclone_cli.corrections.edits import Corrections, Edits, describe, parse_edits, read_corrections
from voiceclone_cli.corrections.lines import DROPPED, Split, parse_move, parse_split
from voiceclone_cli.errors import InputError
from voiceclone_cli.script.script_file import read_script, write_script
from voiceclone_cli.types import OmittedText, Script, Segment, Word

AT = "2026-01-01T00:00:00+00:00"
LONG = Segment("0001", "A", 1.0, 5.0, "Here I am, and there you go.", "en", 7)
REPLY = Segment("0002", "B", 5.5, 6.0, "Yes.", "en")
MORE = Segment("0003", "A", 6.5, 8.5, "Then we met.", "en")
SCRIPT = Script((LONG, REPLY, MORE))
SECONDS = 10.0


def edited(
    *commands: Edits,
    after: Corrections | None = None,
    script: Script = SCRIPT,
    words: list[Word] | None = None,
) -> Corrections:
    corrections = after or Corrections()
    for command in commands:
        corrections = corrections.edited(
            command, script, ("A", "B"), run_seed=0, at=AT, recording_seconds=SECONDS, recognised=words or ()
        )
    return corrections


def lines_of(script: Script) -> list[tuple[str, str, float, float, str]]:
    return [(each.id, each.speaker, each.start, each.end, each.text) for each in script.segments]


def applied(*commands: Edits, script: Script = SCRIPT, words: list[Word] | None = None) -> Script:
    return edited(*commands, script=script, words=words).apply(script)


def refusal(edits: Edits, script: Script = SCRIPT) -> InputError:
    with pytest.raises(InputError) as info:
        edited(edits, script=script)
    assert "\n" not in info.value.message
    return info.value


def split(value: str) -> Edits:
    return Edits(split=(parse_split(value),))


def move(value: str) -> Edits:
    return Edits(move=(parse_move(value),))


# Options


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("7@12.5", Split("7", 12.5)),
        ("0007@1:02,5", Split("0007", 62.5)),
        ("0007@and then", Split("0007", words="and then")),
        ('0007@"2"', Split("0007", words="2")),
        ("0007@“and”", Split("0007", words="and")),
        ("0007@然后", Split("0007", words="然后")),
    ],
)
def test_a_split_is_at_a_time_or_before_words(value: str, expected: Split) -> None:
    assert parse_split(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [("7=12.5", ("7", 12.5, False)), ("7=+0.4", ("7", 0.4, True)), ("7=-0.4", ("7", -0.4, True))],
)
def test_a_move_is_to_a_time_or_by_seconds(value: str, expected: tuple[str, float, bool]) -> None:
    assert parse_move(value) == expected


@pytest.mark.parametrize(
    "options",
    [
        {"split": ["7"]},
        {"split": ["@3"]},
        {"split": ["7@..."]},
        {"move": ["7"]},
        {"move": ["=3"]},
        {"move": ["7=soon"]},
        {"speaker": ["7="]},
        {"speaker": ["A", "B"]},
    ],
)
def test_an_option_of_another_form_is_one_sentence(options: dict[str, Any]) -> None:
    with pytest.raises(InputError) as info:
        parse_edits(["0001"], **options)
    assert info.value.code == "bad_pair" and "\n" not in info.value.message


def test_each_line_may_have_a_speaker_of_its_own() -> None:
    edits = parse_edits([], speaker=["1=B", "3=B"])
    assert edits == Edits(speakers=(("1", "B"), ("3", "B")))
    assert [segment.speaker for segment in applied(edits).segments] == ["B", "B", "B"]
    assert parse_edits(["1"], speaker=["B"]) == Edits(("1",), speaker="B")


# Split


def test_a_line_is_split_before_words_by_their_share_of_its_time() -> None:
    first, second, *_ = applied(split("1@and there")).segments
    assert (first.text, second.text) == ("Here I am,", "and there you go.")
    assert first.start == LONG.start and first.end == second.start and second.end == LONG.end
    assert 2.0 < second.start < 3.0
    assert (first.id, second.id) == ("9001", "9002") and first.seed is None


def test_recognised_words_say_where_a_part_ends_and_the_next_one_starts() -> None:
    times = [(1.0, 1.4), (1.4, 1.6), (1.6, 2.0), (3.2, 3.4), (3.4, 3.8), (3.8, 4.2), (4.2, 4.9)]
    words = [
        Word(start, end, f" {text}", 1.0) for text, (start, end) in zip(LONG.text.split(), times, strict=True)
    ]
    by_words = applied(split("1@and there"), words=words).segments
    assert [(each.start, each.end) for each in by_words[:2]] == [(1.0, 2.0), (3.2, 5.0)]
    by_time = applied(split("1@2.6"), words=words).segments
    assert [each.text for each in by_time[:2]] == ["Here I am,", "and there you go."]
    assert [(each.start, each.end) for each in by_time[:2]] == [(1.0, 2.6), (2.6, 5.0)]


def test_a_split_at_a_time_cuts_no_word() -> None:
    parts = applied(split("1@3.1")).segments[:2]
    assert " ".join(part.text for part in parts) == LONG.text
    chinese = Script((replace(LONG, text="我们今天下午去图书馆看书。", language="zh"),))
    first, second = applied(split("1@3"), script=chinese).segments
    assert first.text + second.text == chinese.segments[0].text and "图书馆" in (
        first.text + "|" + second.text
    )


@pytest.mark.parametrize("at", ["1@0.5", "1@5", "1@1.05", "1@Here", "1@nowhere", "2@5.75", "1@er"])
def test_a_split_that_leaves_a_part_empty_is_refused(at: str) -> None:
    assert refusal(split(at)).code == "bad_split"


def test_words_that_are_there_twice_need_more_of_them() -> None:
    twice = Script((replace(LONG, text="And then, and then we went."),))
    assert "2 times" in refusal(split("1@and then"), twice).message
    assert applied(split("1@and then we"), script=twice).segments[1].text == "and then we went."


# Join


def test_two_lines_of_a_speaker_are_joined() -> None:
    joined = applied(Edits(join=("3", "1")))
    assert lines_of(joined) == [
        ("9001", "A", 1.0, 8.5, "Here I am, and there you go. Then we met."),
        ("0002", "B", 5.5, 6.0, "Yes."),
    ]


def test_what_lines_are_translations_of_is_joined_too() -> None:
    translated = Script((replace(LONG, original="Hier bin ich."), replace(MORE, original="Dann.")))
    assert applied(Edits(join=("1", "3")), script=translated).segments[0].original == "Hier bin ich. Dann."
    assert {each.original for each in applied(split("1@and"), script=translated).segments[:2]} == {
        "Hier bin ich."
    }


def test_characters_are_joined_without_a_blank() -> None:
    chinese = Script((replace(LONG, text="今天", language="zh"), replace(MORE, text="很好。", language="zh")))
    assert applied(Edits(join=("1", "3")), script=chinese).segments[0].text == "今天很好。"


def test_lines_that_cannot_be_one_are_refused() -> None:
    assert "--speaker 0002=A" in refusal(Edits(join=("1", "2"))).message
    assert refusal(Edits(join=("1", "1"))).code == "bad_join"
    assert refusal(Edits(join=("1", "9"))).code == "unknown_line"
    spanish = Script((LONG, replace(MORE, language="es")))
    assert "language" in refusal(Edits(join=("1", "3")), spanish).message
    between = Script((LONG, replace(REPLY, speaker="A"), MORE))
    assert "0002" in refusal(Edits(join=("1", "3")), between).message


def test_a_line_is_given_to_a_speaker_and_joined_in_one_command() -> None:
    edits = Edits(speakers=(("2", "A"),), join=("2", "3"))
    assert [row[:2] for row in lines_of(applied(edits))] == [("0001", "A"), ("9001", "A")]


# Move and drop


def test_a_moved_line_keeps_its_length_and_lines_stay_in_order() -> None:
    moved = applied(move("3=0.2"))
    assert [(each.id, each.start, each.end) for each in moved.segments] == [
        ("0003", 0.2, 2.2),
        ("0001", 1.0, 5.0),
        ("0002", 5.5, 6.0),
    ]
    assert moved.segments[0] == replace(MORE, start=0.2, end=2.2)
    again = edited(move("3=0.2"), move("3=+0.3")).apply(SCRIPT)
    assert again.segments[0].start == 0.5


@pytest.mark.parametrize("at", ["1=-2", "1=6.5", "1=100"])
def test_a_line_stays_within_the_recording(at: str) -> None:
    refused = refusal(move(at))
    assert refused.code == "bad_move" and "from 0 to 6.000 s" in refused.message


def test_a_dropped_line_is_text_that_is_not_spoken() -> None:
    script = applied(Edits(drop=("2",)))
    assert [segment.id for segment in script.segments] == ["0001", "0003"]
    assert script.omitted == (OmittedText("line 0002", 5.5, 6.0, "Yes.", DROPPED),)
    assert edited(Edits(drop=("2",))).moved_from == ["B"], "whose voice is still made"
    assert refusal(Edits(drop=("1", "2", "3"))).code == "empty_script"


# With each other, and with other corrections


def test_edits_of_lines_that_were_made_hold() -> None:
    script = applied(
        Edits(("1",), text="Here I was, and there you went."),
        split("1@and there"),
        Edits(("9002",), text="But you went."),
        move("9002=+1"),
        Edits(join=("9002", "3")),
    )
    assert lines_of(script) == [
        ("9001", "A", 1.0, script.segments[0].end, "Here I was,"),
        ("9003", "A", script.segments[1].start, 8.5, "But you went. Then we met."),
        ("0002", "B", 5.5, 6.0, "Yes."),
    ]


def test_undo_takes_back_each_of_them() -> None:
    commands = [split("1@and"), move("2=0"), Edits(join=("9002", "3")), Edits(drop=("9001",))]
    corrections, before = Corrections(), []
    for command in commands:
        before.append(corrections)
        corrections = edited(command, after=corrections)
    for earlier in reversed(before):
        corrections = edited(Edits(undo=True), after=corrections)
        assert corrections == earlier and corrections.apply(SCRIPT) == earlier.apply(SCRIPT)


def test_the_log_says_what_was_done() -> None:
    log = edited(split("1@and"), Edits(join=("9002", "3")), move("2=0"), Edits(drop=("2",))).log
    assert describe(log) == (
        "0001 is split into 9001 and 9002, 9002 and 0003 are joined to 9003, 0002 starts at 0.0 s, 0002 is dropped"
    )


def test_lines_that_say_something_else_by_now_stay_as_they_are() -> None:
    corrections = edited(split("1@and"), Edits(("9002",), text="But you."), Edits(drop=("2",)))
    changed = Script((replace(LONG, text="Something else."), REPLY, MORE))
    script = corrections.apply(changed)
    assert [segment.id for segment in script.segments] == ["0001", "0003"]
    assert script.notes == (
        "Corrections of lines that are no longer in the script are ignored: 9002.",
        "Corrections of lines that have another text now are ignored: 0001.",
    )


def test_parts_follow_a_line_whose_times_have_changed() -> None:
    corrections = edited(split("1@3"))
    later = Script((replace(LONG, start=2.0, end=4.0), REPLY, MORE))
    first, second, *_ = corrections.apply(later).segments
    assert (first.start, first.end, second.start, second.end) == (2.0, 3.0, 3.0, 4.0)


@pytest.mark.parametrize("suffix", [".json", ".srt"])
def test_a_script_that_is_fed_back_has_the_changes_and_can_be_edited_further(
    tmp_path: Path, suffix: str
) -> None:
    corrections = edited(split("1@and"), Edits(drop=("2",)), move("3=8"))
    path = tmp_path / f"script{suffix}"
    write_script(path, corrections.apply(SCRIPT))
    fed = read_script(path, None, language="en")
    assert [segment.id for segment in fed.segments] == ["9001", "9002", "0003"]
    kept = corrections.in_script(True)
    assert lines_of(kept.apply(fed)) == lines_of(fed) and kept.apply(fed).notes == fed.notes
    further = edited(move("3=-1"), Edits(join=("9002", "3")), after=kept, script=fed).apply(fed)
    assert [(each.id, each.end) for each in further.segments] == [
        ("9001", fed.segments[0].end),
        ("9003", 9.0),
    ]


def test_corrections_of_an_earlier_release_are_read(tmp_path: Path) -> None:
    line = {
        "was": ["Yes."],
        "text": "No.",
        "speaker": "B",
        "is_moved": False,
        "seed": None,
        "in_script": False,
    }
    step = {"entries": 0, "names": {}, "voices": {}, "moved_from": [], "lines": {"0002": None}}
    entry = {"at": AT, "kind": "line", "id": "0002", "was": {}, "text": "No."}
    document = {
        "schema": "voiceclone.corrections/2", "names": {}, "voices": {}, "moved_from": [],
        "lines": {"0002": line}, "log": [entry], "undo": [step],
    }  # fmt: skip
    path = tmp_path / "corrections.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    corrections = read_corrections(path)
    assert corrections.apply(SCRIPT).segments[1].text == "No."
    assert edited(Edits(undo=True), after=corrections).apply(SCRIPT) == SCRIPT
