"""Edits of lines and names, the corrections that they lead to, and corrections.json, which users may edit."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from voiceclone_cli.corrections.edits import (
    SCHEMA,
    Corrections,
    Edits,
    describe,
    parse_edits,
    read_corrections,
    rename_turns,
    write_corrections,
)
from voiceclone_cli.corrections.lines import Split
from voiceclone_cli.errors import InputError
from voiceclone_cli.types import Diarization, Script, Segment, Turn, segment_seed

AT, LATER = "2026-01-01T00:00:00+00:00", "2026-01-02T00:00:00+00:00"
HELLO = Segment("0001", "A", 0.0, 1.0, "Hello.", "en")
BYE = Segment("0002", "B", 1.0, 2.0, "Bye.", "en")
SCRIPT = Script((HELLO, BYE))
HI = Edits(("0001",), text="Hi.")


def edited(*commands: Edits, after: Corrections | None = None, script: Script = SCRIPT) -> Corrections:
    corrections = after or Corrections()
    for command in commands:
        corrections = corrections.edited(command, script, ("A", "B", "SILENT"), run_seed=0, at=AT)
    return corrections


def rename(old: str, new: str) -> Edits:
    return Edits(rename=((old, new),))


def merge(old: str, new: str) -> Edits:
    return Edits(merge=((old, new),))


def expect_refusal(code: str, edits: Edits, after: Corrections | None = None) -> str:
    with pytest.raises(InputError) as info:
        edited(edits, after=after)
    assert info.value.code == code
    return info.value.message


def applied(*commands: Edits, script: Script = SCRIPT) -> Script:
    """The script after corrections of SCRIPT."""
    return edited(*commands).apply(script)


# Edits of a command


def test_many_edits_of_a_command_are_those_of_as_many_commands() -> None:
    lines = [
        Segment(f"{n:04d}", "AB"[n % 2], 2.0 * n, 2.0 * n + 1.5, f"One {n}, and two {n}.", "en")
        for n in range(1, 31)
    ]
    script = Script(tuple(lines))
    splits = tuple(Split(f"{n:04d}", words=f"and two {n}") for n in (2, 5, 9, 14))
    one = Edits(
        ids=("0002", "0003"),
        speaker="SILENT",
        speakers=(("0005", "A"), ("0006", "A"), ("0005", "B")),
        split=splits,
        join=("0008", "0010"),
        move=(("0011", 0.25, True), ("0011", 0.25, True), ("0012", 24.5, False), ("9001", -0.5, True)),
        drop=("0013", "9004", "0020"),
        rename=(("A", "Anna"),),
    )
    many = [
        Edits(rename=one.rename),
        *(Edits((id,), speaker="SILENT") for id in one.ids),
        *(Edits(speakers=(pair,)) for pair in one.speakers),
        *(Edits(split=(each,)) for each in one.split),
        Edits(join=one.join),
        *(Edits(move=(each,)) for each in one.move),
        *(Edits(drop=(id,)) for id in one.drop),
    ]
    at_once, in_turn = edited(one, script=script), edited(*many, script=script)
    assert at_once.apply(script) == in_turn.apply(script)
    assert replace(at_once, undo=[]) == replace(in_turn, undo=[])
    assert (
        len(at_once.undo) == 1
        and at_once.edited(Edits(undo=True), script, "AB", run_seed=0, at=AT) == Corrections()
    )


def test_a_command_with_many_edits_takes_time_in_proportion(monkeypatch: pytest.MonkeyPatch) -> None:
    corrected = []
    correct = Corrections._corrected
    monkeypatch.setattr(
        Corrections, "_corrected", lambda self, segment: corrected.append(1) or correct(self, segment)
    )
    lines = [Segment(f"{n:04d}", "A", 2.0 * n, 2.0 * n + 1.5, f"Line {n}.", "en") for n in range(1, 401)]
    edited(Edits(speakers=tuple((line.id, "B") for line in lines)), script=Script(tuple(lines)))
    assert len(corrected) == 2 * len(lines)


def test_options_become_edits() -> None:
    edits = parse_edits(["7", "7", "8"], seed=3, rename=["A=Anna"], merge=["B = A"])
    assert edits == Edits(("7", "8"), seed=3, rename=(("A", "Anna"),), merge=(("B", "A"),))
    assert parse_edits([], undo=True) == Edits(undo=True)
    assert parse_edits([]) == Edits()
    assert parse_edits(["1"], text=" two\nlines ") == Edits(("1",), text="two lines")


@pytest.mark.parametrize(
    ("code", "ids", "options"),
    [
        ("no_line_given", [], {"text": "Hi."}),
        ("no_line_given", [], {"seed": 1}),
        ("text_for_many", ["1", "2"], {"text": "Hi."}),
        ("script_text", ["1"], {"text": " ... "}),
        ("script_text", ["1"], {"text": "x" * 5001}),
        ("script_text", ["1"], {"text": "\ud800 x"}),
        ("bad_pair", [], {"rename": ["A"]}),
        ("bad_pair", [], {"merge": ["=A"]}),
        ("undo_not_alone", ["1"], {"undo": True}),
    ],
)
def test_options_that_contradict_each_other_are_one_sentence(
    code: str, ids: list[str], options: dict[str, Any]
) -> None:
    with pytest.raises(InputError) as info:
        parse_edits(ids, **options)
    assert info.value.code == code and "\n" not in info.value.message


def test_each_edit_without_values_is_another_take() -> None:
    once = edited(Edits(("0001",)))
    twice = edited(Edits(("0001",)), after=once)
    seeds = {segment_seed(0, "0001"), *(entry["seed"] for entry in twice.log)}
    assert len(seeds) == 3 and all(0 <= seed < 2**31 for seed in seeds)
    assert twice.apply(SCRIPT).segments[0].seed == twice.log[1]["seed"]
    assert edited(Edits(("0001",))) == once, "the same edit of the same run is the same take"


def test_a_seed_gives_the_take_of_a_run_with_that_seed() -> None:
    segments = applied(Edits(("0001", "0002"), seed=5)).segments
    assert [segment.seed for segment in segments] == [segment_seed(5, "0001"), segment_seed(5, "0002")]


def test_the_log_has_changes_with_the_values_before() -> None:
    was = {"text": "Hello.", "speaker": "A", "seed": None}
    row = {"at": AT, "kind": "line", "id": "0001", "was": was}
    assert edited(HI).log == [{**row, "text": "Hi."}]
    assert edited(Edits(("0001",), speaker="B")).log == [{**row, "speaker": "B"}]
    assert edited(rename("A", "Anna"), merge("B", "A")).log == [
        {"at": AT, "kind": "rename", "from": "A", "to": "Anna"},
        {"at": AT, "kind": "merge", "from": "B", "to": "Anna", "lines": 1},
    ]


def test_the_log_can_be_described() -> None:
    log = edited(rename("A", "Anna"), merge("B", "A"), HI, Edits(("0001", "0002"), speaker="SILENT")).log
    assert describe(log) == (
        "A is called Anna, B is merged with Anna (lines: 1), 0001 has another text, 0001 is spoken by SILENT, "
        "0002 is spoken by SILENT"
    )
    assert describe(edited(*[Edits(("0001",))] * 12).log).endswith("0001 is another take and 4 more")


def test_an_id_may_be_written_short() -> None:
    assert edited(Edits(("2",))) == edited(Edits(("0002",)))


@pytest.mark.parametrize(
    "edits",
    [
        Edits(("0001",), text="Hello."),
        Edits(("0001",), speaker="A"),
        Edits(("0001",), seed=0),
        Edits(("0001",), text="Hello.", speaker="A", seed=0),
    ],
)
def test_an_edit_without_effect_is_no_correction(edits: Edits) -> None:
    assert edited(edits) == Corrections()


def test_a_second_rename_or_merge_to_the_same_name_changes_nothing() -> None:
    for command in (rename("A", "Anna"), merge("B", "A")):
        assert edited(command, command) == edited(command)


def test_edits_of_one_command_apply_in_order() -> None:
    command = Edits(("0002",), speaker="A", rename=(("A", "Anna"),), merge=(("B", "A"),))
    assert [entry["kind"] for entry in edited(command).log] == ["rename", "merge"]


def test_a_speaker_may_have_an_earlier_name_back() -> None:
    corrections = edited(rename("A", "Anna"), rename("Anna", "A"))
    assert corrections.name_of("A") == corrections.name_of("Anna") == corrections.voice_of("Anna") == "A"


def test_an_unknown_speaker_or_line_is_refused_with_those_that_exist() -> None:
    expected = "there is no speaker 'Zoe'; the speakers are A, B, SILENT."
    for edits in (rename("Zoe", "X"), merge("Zoe", "A"), merge("A", "Zoe"), Edits(("1",), speaker="Zoe")):
        assert expect_refusal("unknown_speaker", edits) == expected
    message = expect_refusal("unknown_line", Edits(("9",)))
    assert message == "there is no line '9'; the lines are 0001, 0002."
    message = expect_refusal("unknown_speaker", rename("A", "Ann"), edited(rename("A", "Anna")))
    assert "'A' is called 'Anna' now" in message


def test_a_name_is_never_given_to_another_speaker() -> None:
    assert "give --merge A=B" in expect_refusal("name_taken", rename("A", "B"))
    assert "give --merge A=B" in expect_refusal("name_taken", rename("A", "b"))
    message = expect_refusal("name_taken", rename("B", "A"), edited(rename("A", "Anna")))
    assert "another speaker's name" in message
    message = expect_refusal("name_taken", rename("A", "B"), edited(merge("B", "A")))
    assert "another speaker's name" in message
    assert edited(rename("A", "a")).name_of("A") == "a"


@pytest.mark.parametrize("name", ["Anna Maria", "..", "a/b", "CON", "a" * 101])
def test_a_name_has_to_be_possible_for_folders_and_for_rttm(name: str) -> None:
    expect_refusal("unsafe_name", rename("A", name))


def test_a_speaker_is_not_merged_with_itself() -> None:
    assert expect_refusal("bad_pair", merge("A", "A")) == "--merge: 'A' is one speaker already."


def test_undo_takes_back_one_command_after_the_other() -> None:
    first = edited(rename("A", "Anna"))
    second = edited(Edits(("0001", "0002")), after=first)
    third = edited(Edits(("0001",), speaker="B"), merge("B", "Anna"), after=second)
    undo = Edits(undo=True)
    assert edited(undo, undo, after=third) == second and edited(undo, after=second) == first
    assert edited(undo, after=first) == Corrections()
    expect_refusal("nothing_to_undo", undo)


# Corrections applied to a script


def test_a_script_without_corrections_is_itself() -> None:
    assert Corrections().apply(SCRIPT) == SCRIPT


def test_text_speaker_and_seed_are_replaced_and_times_stay() -> None:
    first, second = applied(Edits(("0001",), text="Hi.", speaker="B", seed=7)).segments
    assert first == replace(HELLO, text="Hi.", speaker="B", seed=segment_seed(7, "0001")) and second == BYE


def test_corrections_of_a_line_build_on_each_other() -> None:
    result = applied(HI, Edits(("0001",), seed=3), Edits(("0001",), text="Hey."))
    assert result.segments[0] == replace(HELLO, text="Hey.", seed=segment_seed(3, "0001"))


def test_a_line_with_a_text_of_between_two_corrections_gets_the_later_one() -> None:
    result = applied(HI, Edits(("0001",), text="Hey."), script=Script((replace(HELLO, text="Hi."), BYE)))
    assert result.segments[0].text == "Hey." and result.notes == ()


def test_a_line_with_another_text_is_not_corrected() -> None:
    changed = Script((replace(HELLO, text="Good evening."), BYE))
    result = applied(HI, script=changed)
    assert result.segments == changed.segments
    assert result.notes == ("Corrections of lines that have another text now are ignored: 0001.",)


def test_a_correction_without_a_line_is_noted() -> None:
    result = applied(HI, script=Script((BYE,)))
    assert result.notes == ("Corrections of lines that are no longer in the script are ignored: 0001.",)


def test_a_corrected_line_that_comes_back_in_a_file_keeps_its_take() -> None:
    result = applied(Edits(("0001",), seed=9), HI, script=Script((replace(HELLO, text="Hi."),)))
    assert result.segments == (replace(HELLO, text="Hi.", seed=segment_seed(9, "0001")),)
    assert result.notes == ()


def test_a_take_is_not_another_speakers() -> None:
    by_b = Script((replace(HELLO, text="Hey.", speaker="B"),))
    commands = (Edits(("0001",), text="Hi.", seed=9), Edits(("0001",), text="Hey."))
    assert applied(*commands, script=by_b).segments[0].seed is None


def test_a_fed_back_script_stands_as_a_hand_has_changed_it() -> None:
    corrections = edited(HI, Edits(("0002",), seed=3)).in_script(True)
    assert corrections.apply(SCRIPT) == Script((HELLO, replace(BYE, seed=segment_seed(3, "0002"))))
    assert corrections.in_script(False).apply(SCRIPT).segments[0].text == "Hi.", (
        "the corrections of other scripts hold"
    )
    later = edited(Edits(("0001",), text="Hey."), after=corrections)
    assert later.apply(SCRIPT).segments[0].text == "Hey."
    assert edited(Edits(undo=True), after=later) == corrections
    message = expect_refusal("nothing_to_undo", Edits(undo=True), corrections)
    assert "part of the script that was fed back" in message


def test_renaming_and_merging_apply_to_every_line_and_every_correction() -> None:
    moved = applied(Edits(("0001",), speaker="B"), rename("B", "Bert"))
    assert [segment.speaker for segment in moved.segments] == ["Bert", "Bert"]
    assert [segment.speaker for segment in applied(merge("B", "A")).segments] == ["A", "A"]


def test_a_script_may_use_old_names_and_new_ones() -> None:
    mixed = Script((HELLO, BYE, replace(BYE, id="0003", speaker="Anna")))
    speakers = [segment.speaker for segment in applied(rename("A", "Anna"), script=mixed).segments]
    assert speakers == ["Anna", "B", "Anna"]


# Names and voices


def test_a_voice_follows_renames_but_not_merges() -> None:
    names = edited(rename("A", "Anna"), rename("Anna", "Ann"), merge("B", "Ann"), rename("Ann", "A"))
    assert [names.name_of(name) for name in ("A", "Anna", "Ann", "B")] == ["A"] * 4
    assert (names.voice_of("A"), names.voice_of("Ann"), names.voice_of("B")) == ("A", "A", "B")
    merged = edited(rename("B", "Bert"), merge("Bert", "A"), rename("A", "Anna"))
    assert (merged.name_of("B"), merged.voice_of("B"), merged.voice_of("A")) == ("Anna", "Bert", "Anna")


def test_speakers_whose_lines_were_given_away_are_remembered() -> None:
    moved = edited(Edits(("0002",), speaker="A"), rename("B", "Bert"))
    assert [moved.voice_of(name) for name in moved.moved_from] == ["Bert"]
    assert edited(merge("B", "A")).moved_from == ["B"]
    assert edited(merge("SILENT", "A")).moved_from == []


def test_names_that_stand_for_no_speaker_are_found() -> None:
    corrections = edited(merge("A", "B"), rename("B", "Bert"))
    assert corrections.names_without_speaker(["A"]) == []
    assert corrections.names_without_speaker(["ZOE"]) == ["A", "B"]


def test_turns_are_of_todays_speakers_or_of_voices() -> None:
    turns = (Turn(0.0, 1.0, "A"), Turn(1.0, 2.0, "B"))
    diarization = Diarization(turns, turns, "embedded")
    corrections = edited(merge("B", "A"), rename("A", "Anna"))
    by_speaker = rename_turns(diarization, corrections.name_of)
    assert by_speaker.speakers == ("Anna",) and by_speaker.exclusive == by_speaker.turns
    assert rename_turns(diarization, corrections.voice_of).speakers == ("Anna", "B")


# corrections.json


def test_corrections_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    fed_back = edited(rename("A", "Anna"), Edits(("0001",), text="你好", speaker="B")).in_script(True)
    corrections = edited(merge("B", "Anna"), Edits(("0001", "0002"), seed=2), after=fed_back)
    write_corrections(path, corrections)
    assert read_corrections(path) == corrections and corrections.undo
    assert "你好" in path.read_text(encoding="utf-8")


def test_a_missing_file_has_no_corrections(tmp_path: Path) -> None:
    assert read_corrections(tmp_path / "c.json") == Corrections()


def expect_bad_file(path: Path, content: str) -> None:
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match="mend it, or remove it") as info:
        read_corrections(path)
    assert info.value.code == "bad_corrections" and "\n" not in info.value.message


@pytest.mark.parametrize(
    "content",
    [
        "",
        "no json",
        "[]",
        "[" * 100_000,
        json.dumps({"schema": "voiceclone.corrections/1", "corrections": []}),
        json.dumps({"schema": SCHEMA}),
    ],
)
def test_another_document_is_one_sentence(tmp_path: Path, content: str) -> None:
    expect_bad_file(tmp_path / "c.json", content)


LINE = edited(HI).lines["0001"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"names": {"A": ".."}},
        {"names": {"A": ["Anna"]}},
        {"voices": {"A": "../A"}},
        {"voices": {"A": 1}},
        {"moved_from": {"A": 1}},
        {"log": [1]},
        {"log": {}},
        {"lines": []},
        {"lines": {"0001": 1}},
        {"lines": {"0001": {**LINE, "was": None}}},
        {"lines": {"0001": {**LINE, "text": 5}}},
        {"lines": {"0001": {**LINE, "speaker": "../A"}}},
        {"lines": {"0001": {**LINE, "seed": 1.5}}},
        {"undo": [{"entries": 0}]},
        {"undo": [{"entries": 0, "names": {}, "voices": {}, "moved_from": [], "lines": {"0001": 1}}]},
    ],
)
def test_values_that_no_command_writes_are_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    document = {"schema": SCHEMA, **asdict(edited(HI)), **wrong}
    expect_bad_file(tmp_path / "c.json", json.dumps(document))


def test_undo_refuses_a_name_that_no_folder_can_have() -> None:
    corrections = edited(HI)
    corrections.undo[0]["names"] = {"A": ".."}
    expect_refusal("unsafe_name", Edits(undo=True), corrections)


def test_a_folder_in_its_place_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be used"):
        read_corrections(tmp_path)
