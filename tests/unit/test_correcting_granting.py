"""What is asked of a run, and what it comes to: corrections, or one sentence."""

from __future__ import annotations

import pytest

from voiceclone_cli.correcting.corrections import LineCorrection, Merge, Rename, Was
from voiceclone_cli.correcting.granting import Uncorrected, grant
from voiceclone_cli.correcting.history import History
from voiceclone_cli.correcting.wishes import LineWish, MergeWish, RenameWish, UndoWish, Wish, wishes_for
from voiceclone_cli.errors import InputError
from voiceclone_cli.tasks import segment_seed
from voiceclone_cli.types import Script, Segment

AT, LATER = "2026-01-01T00:00:00+00:00", "2026-01-02T00:00:00+00:00"
LINES = (Segment("0001", "A", 0.0, 1.0, "Hello.", "en"), Segment("0002", "B", 1.0, 2.0, "Bye.", "en"))
BASE = Uncorrected(Script(LINES), ("A", "B", "SILENT"), seed=0)


def granted(*wishes: Wish, history: History | None = None, at: str = AT) -> History:
    return grant(wishes, history or History(), BASE, at)


def expect_refusal(code: str, *wishes: Wish, history: History | None = None) -> str:
    with pytest.raises(InputError) as info:
        granted(*wishes, history=history)
    assert info.value.code == code
    return info.value.message


def only(history: History) -> object:
    (correction,) = history.corrections
    return correction


def seed_of(correction: object) -> int:
    assert isinstance(correction, LineCorrection) and correction.seed is not None
    return correction.seed


def test_a_line_alone_is_another_take_each_time() -> None:
    once = granted(LineWish("0001"))
    twice = granted(LineWish("0001"), history=once)
    seeds = {segment_seed(0, "0001"), *(seed_of(correction) for correction in twice.corrections)}
    assert len(seeds) == 3 and all(0 <= seed < 2**31 for seed in seeds)
    assert granted(LineWish("0001")) == once, "the same wish to the same run is the same take"


def test_a_seed_gives_the_take_of_a_run_with_that_seed() -> None:
    both = granted(LineWish("0001", seed=5), LineWish("0002", seed=5)).corrections
    assert [seed_of(correction) for correction in both] == [segment_seed(5, "0001"), segment_seed(5, "0002")]


def test_words_and_speaker_are_kept_with_what_they_were() -> None:
    was = Was("Hello.", "A", None)
    assert only(granted(LineWish("0001", text="Hi."))) == LineCorrection(AT, "0001", was, text="Hi.")
    assert only(granted(LineWish("0001", speaker="B"))) == LineCorrection(AT, "0001", was, speaker="B")


def test_an_id_may_be_written_short() -> None:
    assert granted(LineWish("2")) == granted(LineWish("0002"))


@pytest.mark.parametrize(
    "wish",
    [
        LineWish("0001", text="Hello."),
        LineWish("0001", speaker="A"),
        LineWish("0001", seed=0),
        LineWish("0001", text="Hello.", speaker="A", seed=0),
    ],
)
def test_what_is_so_already_is_no_correction(wish: Wish) -> None:
    assert granted(wish) == History()


def test_speakers_are_renamed_and_merged_once() -> None:
    renamed = granted(RenameWish("A", "Anna"))
    assert only(renamed) == Rename(AT, "A", "Anna")
    assert granted(RenameWish("A", "Anna"), history=renamed) == renamed
    merged = granted(MergeWish("B", "A"))
    assert only(merged) == Merge(AT, "B", "A", lines=1)
    assert granted(MergeWish("B", "A"), history=merged) == merged


def test_wishes_are_met_in_order() -> None:
    wishes = (RenameWish("A", "Anna"), MergeWish("B", "A"), LineWish("0002", speaker="A"))
    assert granted(*wishes).corrections == (Rename(AT, "A", "Anna"), Merge(AT, "B", "Anna", 1))


def test_a_speaker_may_have_their_own_old_name_back() -> None:
    history = granted(RenameWish("A", "Anna"), RenameWish("Anna", "A"))
    assert history.corrections[-1] == Rename(AT, "Anna", "A")


def test_whoever_is_not_there_is_told_who_is() -> None:
    expected = "there is no speaker 'Zoe'; the speakers are A, B, SILENT."
    for wish in (
        RenameWish("Zoe", "X"),
        MergeWish("Zoe", "A"),
        MergeWish("A", "Zoe"),
        LineWish("1", speaker="Zoe"),
    ):
        assert expect_refusal("unknown_speaker", wish) == expected
    assert expect_refusal("unknown_line", LineWish("9")) == "there is no line '9'; the lines are 0001, 0002."
    renamed = granted(RenameWish("A", "Anna"))
    assert "'A' is 'Anna' by now" in expect_refusal(
        "unknown_speaker", RenameWish("A", "Ann"), history=renamed
    )


def test_a_name_belongs_to_one_speaker_for_good() -> None:
    assert "give --merge A=B" in expect_refusal("name_taken", RenameWish("A", "B"))
    assert "give --merge A=B" in expect_refusal("name_taken", RenameWish("A", "b"))
    renamed = granted(RenameWish("A", "Anna"))
    assert "another speaker's name" in expect_refusal("name_taken", RenameWish("B", "A"), history=renamed)
    merged = granted(MergeWish("B", "A"))
    assert "another speaker's name" in expect_refusal("name_taken", RenameWish("A", "B"), history=merged)
    assert only(granted(RenameWish("A", "a"))) == Rename(AT, "A", "a")


@pytest.mark.parametrize("name", ["Anna Maria", "..", "a/b", "CON", "a" * 101])
def test_a_name_has_to_be_one_for_folders_and_for_rttm(name: str) -> None:
    expect_refusal("unsafe_name", RenameWish("A", name))


def test_a_speaker_is_not_merged_into_themselves() -> None:
    assert expect_refusal("bad_pair", MergeWish("A", "A")) == "--merge: 'A' is one speaker already."


def test_undo_takes_back_what_one_command_asked_for() -> None:
    first = granted(RenameWish("A", "Anna"))
    second = granted(LineWish("0001"), LineWish("0002"), history=first, at=LATER)
    assert granted(UndoWish(), history=second) == first
    assert granted(UndoWish(), UndoWish(), history=second) == History()
    expect_refusal("nothing_to_undo", UndoWish())


def test_what_a_fed_back_script_holds_is_not_taken_back() -> None:
    history = History(granted(LineWish("0001", text="Hi.")).corrections, in_script=1)
    assert "part of the script that was fed back" in expect_refusal(
        "nothing_to_undo", UndoWish(), history=history
    )


def test_a_command_becomes_wishes_with_speakers_first() -> None:
    wishes = wishes_for(["7", "7", "8"], seed=3, rename=["A=Anna"], merge=["B = A"])
    assert wishes == (
        RenameWish("A", "Anna"),
        MergeWish("B", "A"),
        LineWish("7", seed=3),
        LineWish("8", seed=3),
    )
    assert wishes_for([], undo=True) == (UndoWish(),)
    assert wishes_for([]) == ()
    assert wishes_for(["1"], text=" two\nlines ") == (LineWish("1", text="two lines"),)


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
        wishes_for(ids, **options)  # type: ignore[arg-type]
    assert info.value.code == code and "\n" not in info.value.message
