"""corrections.json: written by us, edited by anybody."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from voiceclone_cli.corrections.edits import (
    SCHEMA,
    Baseline,
    Before,
    Correction,
    CorrectionHistory,
    Edit,
    LineCorrection,
    LineEdit,
    Merge,
    MergeEdit,
    Rename,
    RenameEdit,
    SpeakerAliases,
    UndoEdit,
    apply_edits,
    correct_lines,
    edits_for,
    read_history,
    write_history,
)
from voiceclone_cli.errors import InputError
from voiceclone_cli.pipeline.tasks import segment_seed
from voiceclone_cli.types import Diarization, Script, Segment, Turn

# What is asked of a run, and what it comes to: corrections, or one sentence.


AT, LATER = "2026-01-01T00:00:00+00:00", "2026-01-02T00:00:00+00:00"
LINES = (Segment("0001", "A", 0.0, 1.0, "Hello.", "en"), Segment("0002", "B", 1.0, 2.0, "Bye.", "en"))
BASE = Baseline(Script(LINES), ("A", "B", "SILENT"), seed=0)


def granted(*wishes: Edit, history: CorrectionHistory | None = None, at: str = AT) -> CorrectionHistory:
    return apply_edits(wishes, history or CorrectionHistory(), BASE, at)


def expect_refusal(code: str, *wishes: Edit, history: CorrectionHistory | None = None) -> str:
    with pytest.raises(InputError) as info:
        granted(*wishes, history=history)
    assert info.value.code == code
    return info.value.message


def only(history: CorrectionHistory) -> object:
    (correction,) = history.corrections
    return correction


def seed_of(correction: object) -> int:
    assert isinstance(correction, LineCorrection) and correction.seed is not None
    return correction.seed


def test_a_line_alone_is_another_take_each_time() -> None:
    once = granted(LineEdit("0001"))
    twice = granted(LineEdit("0001"), history=once)
    seeds = {segment_seed(0, "0001"), *(seed_of(correction) for correction in twice.corrections)}
    assert len(seeds) == 3 and all(0 <= seed < 2**31 for seed in seeds)
    assert granted(LineEdit("0001")) == once, "the same wish to the same run is the same take"


def test_a_seed_gives_the_take_of_a_run_with_that_seed() -> None:
    both = granted(LineEdit("0001", seed=5), LineEdit("0002", seed=5)).corrections
    assert [seed_of(correction) for correction in both] == [segment_seed(5, "0001"), segment_seed(5, "0002")]


def test_words_and_speaker_are_kept_with_what_they_were() -> None:
    was = Before("Hello.", "A", None)
    assert only(granted(LineEdit("0001", text="Hi."))) == LineCorrection(AT, "0001", was, text="Hi.")
    assert only(granted(LineEdit("0001", speaker="B"))) == LineCorrection(AT, "0001", was, speaker="B")


def test_an_id_may_be_written_short() -> None:
    assert granted(LineEdit("2")) == granted(LineEdit("0002"))


@pytest.mark.parametrize(
    "wish",
    [
        LineEdit("0001", text="Hello."),
        LineEdit("0001", speaker="A"),
        LineEdit("0001", seed=0),
        LineEdit("0001", text="Hello.", speaker="A", seed=0),
    ],
)
def test_what_is_so_already_is_no_correction(wish: Edit) -> None:
    assert granted(wish) == CorrectionHistory()


def test_speakers_are_renamed_and_merged_once() -> None:
    renamed = granted(RenameEdit("A", "Anna"))
    assert only(renamed) == Rename(AT, "A", "Anna")
    assert granted(RenameEdit("A", "Anna"), history=renamed) == renamed
    merged = granted(MergeEdit("B", "A"))
    assert only(merged) == Merge(AT, "B", "A", lines=1)
    assert granted(MergeEdit("B", "A"), history=merged) == merged


def test_wishes_are_met_in_order() -> None:
    wishes = (RenameEdit("A", "Anna"), MergeEdit("B", "A"), LineEdit("0002", speaker="A"))
    assert granted(*wishes).corrections == (Rename(AT, "A", "Anna"), Merge(AT, "B", "Anna", 1))


def test_a_speaker_may_have_their_own_old_name_back() -> None:
    history = granted(RenameEdit("A", "Anna"), RenameEdit("Anna", "A"))
    assert history.corrections[-1] == Rename(AT, "Anna", "A")


def test_whoever_is_not_there_is_told_who_is() -> None:
    expected = "there is no speaker 'Zoe'; the speakers are A, B, SILENT."
    for wish in (
        RenameEdit("Zoe", "X"),
        MergeEdit("Zoe", "A"),
        MergeEdit("A", "Zoe"),
        LineEdit("1", speaker="Zoe"),
    ):
        assert expect_refusal("unknown_speaker", wish) == expected
    assert expect_refusal("unknown_line", LineEdit("9")) == "there is no line '9'; the lines are 0001, 0002."
    renamed = granted(RenameEdit("A", "Anna"))
    assert "'A' is 'Anna' by now" in expect_refusal(
        "unknown_speaker", RenameEdit("A", "Ann"), history=renamed
    )


def test_a_name_belongs_to_one_speaker_for_good() -> None:
    assert "give --merge A=B" in expect_refusal("name_taken", RenameEdit("A", "B"))
    assert "give --merge A=B" in expect_refusal("name_taken", RenameEdit("A", "b"))
    renamed = granted(RenameEdit("A", "Anna"))
    assert "another speaker's name" in expect_refusal("name_taken", RenameEdit("B", "A"), history=renamed)
    merged = granted(MergeEdit("B", "A"))
    assert "another speaker's name" in expect_refusal("name_taken", RenameEdit("A", "B"), history=merged)
    assert only(granted(RenameEdit("A", "a"))) == Rename(AT, "A", "a")


@pytest.mark.parametrize("name", ["Anna Maria", "..", "a/b", "CON", "a" * 101])
def test_a_name_has_to_be_one_for_folders_and_for_rttm(name: str) -> None:
    expect_refusal("unsafe_name", RenameEdit("A", name))


def test_a_speaker_is_not_merged_into_themselves() -> None:
    assert expect_refusal("bad_pair", MergeEdit("A", "A")) == "--merge: 'A' is one speaker already."


def test_undo_takes_back_what_one_command_asked_for() -> None:
    first = granted(RenameEdit("A", "Anna"))
    second = granted(LineEdit("0001"), LineEdit("0002"), history=first, at=LATER)
    assert granted(UndoEdit(), history=second) == first
    assert granted(UndoEdit(), UndoEdit(), history=second) == CorrectionHistory()
    expect_refusal("nothing_to_undo", UndoEdit())


def test_what_a_fed_back_script_holds_is_not_taken_back() -> None:
    history = CorrectionHistory(granted(LineEdit("0001", text="Hi.")).corrections, in_script=1)
    assert "part of the script that was fed back" in expect_refusal(
        "nothing_to_undo", UndoEdit(), history=history
    )


def test_a_command_becomes_wishes_with_speakers_first() -> None:
    wishes = edits_for(["7", "7", "8"], seed=3, rename=["A=Anna"], merge=["B = A"])
    assert wishes == (
        RenameEdit("A", "Anna"),
        MergeEdit("B", "A"),
        LineEdit("7", seed=3),
        LineEdit("8", seed=3),
    )
    assert edits_for([], undo=True) == (UndoEdit(),)
    assert edits_for([]) == ()
    assert edits_for(["1"], text=" two\nlines ") == (LineEdit("1", text="two lines"),)


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
def test_what_does_not_go_together_is_one_sentence(
    code: str, ids: list[str], options: dict[str, object]
) -> None:
    with pytest.raises(InputError) as info:
        edits_for(ids, **options)  # type: ignore[arg-type]
    assert info.value.code == code and "\n" not in info.value.message


# Corrections applied to a script: to the recording's own lines, and to those of a file.


AT_TEST_CORRECTING_LINES = "2026-01-01T00:00:00+00:00"
HELLO = Segment("0001", "A", 0.0, 1.0, "Hello.", "en")
BYE = Segment("0002", "B", 1.0, 2.0, "Bye.", "en")
SCRIPT = Script((HELLO, BYE))
MERGED = Merge(AT_TEST_CORRECTING_LINES, "B", "A", 1)


def of_hello(**changes: str | int) -> LineCorrection:
    return LineCorrection(AT_TEST_CORRECTING_LINES, "0001", Before("Hello.", "A", None), **changes)  # type: ignore[arg-type]


def corrected(*corrections: Correction, script: Script = SCRIPT, in_script: int = 0) -> Script:
    return correct_lines(script, corrections, in_script=in_script)


def test_a_script_without_corrections_is_itself() -> None:
    assert corrected() == SCRIPT


def test_words_speaker_and_seed_are_replaced_and_times_stay() -> None:
    first, second = corrected(of_hello(text="Hi.", speaker="B", seed=7)).segments
    assert first == replace(HELLO, text="Hi.", speaker="B", seed=7) and second == BYE


def test_each_correction_of_a_line_builds_on_the_one_before() -> None:
    second = LineCorrection(AT_TEST_CORRECTING_LINES, "0001", Before("Hi.", "A", None), seed=3)
    third = LineCorrection(AT_TEST_CORRECTING_LINES, "0001", Before("Hi.", "A", 3), text="Hey.")
    assert corrected(of_hello(text="Hi."), second, third).segments[0] == replace(HELLO, text="Hey.", seed=3)


def test_a_correction_of_other_words_is_passed_over_and_told() -> None:
    changed = Script((replace(HELLO, text="Good evening."), BYE))
    result = corrected(of_hello(text="Hi."), script=changed)
    assert result.segments == changed.segments
    assert result.notes == ("Corrections of lines that say something else by now are passed over: 0001.",)


def test_a_correction_of_a_line_that_is_gone_is_told() -> None:
    result = corrected(of_hello(text="Hi."), script=Script((BYE,)))
    assert result.notes == ("Corrections of lines that are no more are passed over: 0001.",)


def test_a_corrected_line_that_comes_back_in_a_file_keeps_its_take() -> None:
    corrections = (
        of_hello(seed=9),
        LineCorrection(AT_TEST_CORRECTING_LINES, "0001", Before("Hello.", "A", 9), text="Hi."),
    )
    result = corrected(*corrections, script=Script((replace(HELLO, text="Hi."),)))
    assert result.segments == (replace(HELLO, text="Hi.", seed=9),) and result.notes == ()


def test_a_take_is_another_speakers_no_more() -> None:
    corrections = (of_hello(text="Hi.", seed=9),)
    result = corrected(*corrections, script=Script((replace(HELLO, text="Hi.", speaker="B"),)))
    assert result.segments[0].seed is None


def test_what_a_fed_back_script_holds_already_is_the_hands_word() -> None:
    """Somebody has set the line back by hand: the correction does not come again, and nobody complains."""
    result = corrected(of_hello(text="Hi."), in_script=1)
    assert result == SCRIPT
    later = LineCorrection(AT_TEST_CORRECTING_LINES, "0001", Before("Hello.", "A", None), text="Hey.")
    assert corrected(of_hello(text="Hi."), later, in_script=1).segments[0].text == "Hey."


def test_renaming_and_merging_reach_every_line_and_every_correction() -> None:
    corrections = (of_hello(speaker="B"), Rename(AT_TEST_CORRECTING_LINES, "B", "Bert"))
    assert [line.speaker for line in corrected(*corrections).segments] == ["Bert", "Bert"]
    assert [line.speaker for line in corrected(MERGED).segments] == ["A", "A"]


def test_a_script_may_use_old_names_and_new_ones() -> None:
    mixed = Script((HELLO, BYE, replace(BYE, id="0003", speaker="Anna")))
    speakers = [
        line.speaker
        for line in corrected(Rename(AT_TEST_CORRECTING_LINES, "A", "Anna"), script=mixed).segments
    ]
    assert speakers == ["Anna", "B", "Anna"]


def test_a_voice_follows_its_names_but_not_a_merge() -> None:
    names = SpeakerAliases(
        (
            Rename(AT_TEST_CORRECTING_LINES, "A", "Anna"),
            Rename(AT_TEST_CORRECTING_LINES, "Anna", "Ann"),
            MERGED,
            Rename(AT_TEST_CORRECTING_LINES, "Ann", "A"),
        )
    )
    assert (names.now("A"), names.now("Ann"), names.voice("A")) == ("A", "A", "A")
    merged = SpeakerAliases(
        (
            Rename(AT_TEST_CORRECTING_LINES, "B", "Bert"),
            Merge(AT_TEST_CORRECTING_LINES, "Bert", "A", 1),
            Rename(AT_TEST_CORRECTING_LINES, "A", "Anna"),
        )
    )
    assert (merged.now("B"), merged.voice("B"), merged.voice("A")) == ("Anna", "Bert", "Anna")


def test_a_voice_that_lent_its_lines_is_still_needed() -> None:
    moved = LineCorrection(AT_TEST_CORRECTING_LINES, "0002", Before("Bye.", "B", None), speaker="A")
    assert SpeakerAliases((moved, Rename(AT_TEST_CORRECTING_LINES, "B", "Bert"))).lent() == {"Bert"}
    assert SpeakerAliases((MERGED,)).lent() == {"B"}
    assert SpeakerAliases((Merge(AT_TEST_CORRECTING_LINES, "B", "A", 0),)).lent() == frozenset()


def test_turns_are_todays_speakers_or_the_voices() -> None:
    turns = (Turn(0.0, 1.0, "A"), Turn(1.0, 2.0, "B"))
    heard = Diarization(turns, turns, "embedded")
    names = SpeakerAliases((MERGED, Rename(AT_TEST_CORRECTING_LINES, "A", "Anna")))
    assert names.of_speakers(heard).speakers == ("Anna",)
    assert names.of_voices(heard).speakers == ("Anna", "B")
    assert names.of_speakers(heard).exclusive == names.of_speakers(heard).turns


AT_TEST_CORRECTIONS_FILE = "2026-01-01T00:00:00+00:00"
LINE = LineCorrection(
    AT_TEST_CORRECTIONS_FILE, "0001", Before("Grüße", "A", None), text="你好", speaker="B", seed=2**40
)
ROW: dict[str, Any] = {
    "at": AT_TEST_CORRECTIONS_FILE,
    "kind": "line",
    "id": "1",
    "was": {"text": "x", "speaker": "A", "seed": None},
}


def test_every_kind_comes_back_as_it_was(tmp_path: Path) -> None:
    history = CorrectionHistory(
        (
            LINE,
            Rename(AT_TEST_CORRECTIONS_FILE, "A", "Anna"),
            Merge(AT_TEST_CORRECTIONS_FILE, "B", "Anna", 3),
        ),
        in_script=2,
    )
    write_history(tmp_path / "c.json", history)
    assert read_history(tmp_path / "c.json") == history
    assert "你好" in (tmp_path / "c.json").read_text(encoding="utf-8")


def test_no_file_is_no_correction(tmp_path: Path) -> None:
    assert read_history(tmp_path / "c.json") == CorrectionHistory()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "no json",
        "[]",
        "[" * 100_000,
        json.dumps({"schema": "voiceclone.corrections/9", "corrections": []}),
        json.dumps({"schema": SCHEMA}),
        json.dumps({"schema": SCHEMA, "corrections": [1]}),
        json.dumps({"schema": SCHEMA, "corrections": [], "in_script": 1}),
        json.dumps({"schema": SCHEMA, "corrections": [], "in_script": True}),
    ],
)
def test_another_document_is_one_sentence(tmp_path: Path, content: str) -> None:
    (tmp_path / "c.json").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match="mend it, or remove it") as info:
        read_history(tmp_path / "c.json")
    assert info.value.code == "bad_corrections"


@pytest.mark.parametrize(
    "row",
    [
        {},
        {**ROW, "kind": "swap"},
        {**ROW, "at": 3},
        {**ROW, "id": None},
        {**ROW, "was": None},
        {**ROW, "was": {"text": "", "speaker": "A"}},
        {**ROW, "text": "..."},
        {**ROW, "text": 5},
        {**ROW, "speaker": "../A"},
        {**ROW, "seed": -1},
        {**ROW, "seed": 2**63},
        {**ROW, "seed": 1.5},
        {**ROW, "seed": True},
        {"at": AT_TEST_CORRECTIONS_FILE, "kind": "rename", "from": "A", "to": ".."},
        {"at": AT_TEST_CORRECTIONS_FILE, "kind": "rename", "from": "A", "to": "Anna Maria"},
        {"at": AT_TEST_CORRECTIONS_FILE, "kind": "rename", "from": "A"},
        {"at": AT_TEST_CORRECTIONS_FILE, "kind": "merge", "from": "A", "to": "B"},
    ],
)
def test_a_correction_that_no_command_writes_is_named(tmp_path: Path, row: dict[str, Any]) -> None:
    document = {"schema": SCHEMA, "corrections": [ROW, row]}
    (tmp_path / "c.json").write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(InputError, match=r"is wrong in correction 2: "):
        read_history(tmp_path / "c.json")


def test_a_folder_in_its_place_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_history(tmp_path)
