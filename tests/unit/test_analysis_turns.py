from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from properties import examples, expect_one_sentence, texts
from voiceclone_cli.analysis import turns as analysis_turns
from voiceclone_cli.analysis.turns import (
    MAX_SECONDS,
    TurnIndex,
    exclusive_turns,
    given_turns,
    read_rttm,
    write_rttm,
)
from voiceclone_cli.errors import InputError
from voiceclone_cli.files import check_speaker_names
from voiceclone_cli.types import Turn

# RTTM in and out.


milliseconds = st.integers(min_value=0, max_value=100_000_000)
names = st.text("ABCxyz_-0189äß中", min_size=1, max_size=12)


def line(start: str = "1.5", duration: str = "2", speaker: str = "anna", recording: str = "talk") -> str:
    return f"SPEAKER {recording} 1 {start} {duration} <NA> <NA> {speaker} <NA> <NA>"


def test_a_turn_is_one_line_of_ten_fields() -> None:
    text = write_rttm([Turn(6.69, 7.12, "SPEAKER_00")], "sample")
    assert text == "SPEAKER sample 1 6.690 0.430 <NA> <NA> SPEAKER_00 <NA> <NA>\n"


def test_no_turns_are_an_empty_text_and_back() -> None:
    assert write_rttm([], "sample") == ""
    assert read_rttm("") == []


@given(st.lists(st.tuples(milliseconds, st.integers(1, 10_000_000), names), max_size=20))
def test_what_is_written_is_read_back(rows: list[tuple[int, int, str]]) -> None:
    turns = [Turn(start / 1000, (start + length) / 1000, name) for start, length, name in rows]
    turns.sort(key=lambda turn: (turn.start, turn.end))
    assert read_rttm(write_rttm(turns, "a recording")) == turns


def test_blanks_in_the_name_of_a_recording_become_underscores() -> None:
    assert write_rttm([Turn(0, 1, "a")], "my long talk").split()[1] == "my_long_talk"


@pytest.mark.parametrize("name", ["", "two words", "tab\there", "line\nend", " edge"])
def test_a_speaker_that_is_not_one_word_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="rename the speaker") as error:
        write_rttm([Turn(0, 1, name)], "talk")
    assert error.value.code == "rttm_speaker"


def test_turns_come_in_the_order_of_their_start() -> None:
    turns = read_rttm(f"{line(start='9')}\n{line(start='2', speaker='ben')}\n")
    assert [turn.speaker for turn in turns] == ["ben", "anna"]


def test_comments_blank_lines_a_byte_order_mark_and_other_metadata_are_passed_over() -> None:
    text = f"\ufeff;; made by hand\r\n\r\nSPKR-INFO talk 1 <NA> <NA> <NA> unknown anna <NA>\r\n{line()}\r\n"
    assert read_rttm(text) == [Turn(1.5, 3.5, "anna")]


def test_nine_fields_of_the_older_format_do() -> None:
    assert read_rttm(line().removesuffix(" <NA>")) == [Turn(1.5, 3.5, "anna")]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("SPEAKER talk 1 1.5 2", "ten fields"),
        (line() + " more", "ten fields"),
        ("1\n00:00:01,000 --> 00:00:02,000", "ten fields"),
        (line(start="soon"), "'soon' is not a number"),
        (line(start="-1"), "'-1' is not a time"),
        (line(start="nan"), "'nan' is not a time"),
        (line(duration="inf"), "'inf' is not a time"),
        (line(duration="0"), "no length"),
        (line(recording="other"), "second recording"),
        (line(start="1e9"), "'1e9' is not a time"),
        (line(duration="360001"), "from 0 seconds to 100 hours"),
        (line(start="x" * 9000), r"x'\.\.\. is not a number"),
    ],
)
def test_a_line_that_is_not_rttm_is_named_by_its_number(bad: str, reason: str) -> None:
    with pytest.raises(InputError, match=f"line 2 .*{reason}") as error:
        read_rttm(f"{line()}\n{bad}\n")
    assert error.value.code == "bad_rttm"


@pytest.mark.parametrize(
    ("speaker", "reason"),
    [
        ("../anna", "holds '/'"),
        ("ANNA", "would name one folder"),
        ("nul", "device"),
        ("a\u200b", "invisible"),
    ],
)
def test_a_speaker_that_cannot_name_a_folder_is_refused(speaker: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason) as error:
        read_rttm(f"{line()}\n{line(speaker=speaker)}\n")
    assert error.value.code == "unsafe_name"


def test_more_turns_than_any_recording_has_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analysis_turns, "MAX_TURNS", 3)
    with pytest.raises(InputError, match=r"line 4 .* more than 3 turns"):
        read_rttm(f"{line()}\n" * 4)


@given(st.text(max_size=200))
@example("20000000000000000")
def test_no_text_raises_anything_but_an_input_error(text: str) -> None:
    for candidate in (text, "SPEAKER " + text, line(start=text or "x")):
        try:
            turns = read_rttm(candidate)
        except InputError as error:
            assert error.code in ("bad_rttm", "unsafe_name")
        else:
            assert all(turn.end > turn.start for turn in turns)


# Whatever a file says: turns, or one sentence.


words = texts | st.sampled_from(
    ["SPEAKER", "talk", "1", "1.5", "2", "<NA>", "inf", "nan", "-1", "1e400", "anna", ";;"]
)
lines = st.lists(words, max_size=11).map(" ".join) | st.builds(
    "SPEAKER talk 1 {} {} <NA> <NA> {} <NA> <NA>".format, words, words, words
)


@examples
@given(text=st.lists(lines, max_size=4).map("\n".join))
@example("SPEAKER talk 1 1 2 <NA> <NA> ../x <NA> <NA>")
@example("SPEAKER talk 1 1 2 <NA> <NA> a <NA> <NA>\nSPEAKER talk 1 1 2 <NA> <NA> A <NA> <NA>")
@example("SPEAKER talk 1 359999.9999 1 <NA> <NA> a <NA> <NA>")
def test_any_text_is_turns_or_one_sentence(text: str) -> None:
    try:
        turns = read_rttm(text)
    except InputError as error:
        expect_one_sentence(error)
        return
    assert all(0 <= turn.start < turn.end <= 2 * MAX_SECONDS for turn in turns)
    check_speaker_names(turn.speaker for turn in turns)
    assert read_rttm(write_rttm(turns, "talk")) == turns


def rttm(folder: Path, *turns: Turn) -> Path:
    path = folder / "talk.rttm"
    path.write_text(write_rttm(turns, "talk"), encoding="utf-8")
    return path


def test_the_turns_of_a_file_are_taken_as_they_are_within_the_recording(tmp_path: Path) -> None:
    path = rttm(tmp_path, Turn(0.0, 2.0, "Anna"), Turn(1.0, 9.0, "Ben"), Turn(7.0, 8.0, "Anna"))
    found = given_turns(path, 5.0)
    assert found.turns == (Turn(0.0, 2.0, "Anna"), Turn(1.0, 5.0, "Ben"))
    assert found.exclusive == (Turn(0.0, 2.0, "Anna"), Turn(2.0, 5.0, "Ben"))
    assert found.diarizer == "given" and str(path) in found.why


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no turn within"),
        (b"SPEAKER a 1 9.0 1.0 <NA> <NA> Anna <NA> <NA>\n", "no turn within"),
        (b"hello\n", "line 1"),
        (b"\xff\xfe\x00", "mark of UTF-16-LE"),
        (b"\xe9\xff\x00", "not UTF-8"),
    ],
)
def test_what_is_no_rttm_of_this_recording_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "talk.rttm"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        given_turns(path, 5.0)


def test_turns_of_people_with_chinese_names_are_read_in_gbk(tmp_path: Path) -> None:
    path = tmp_path / "talk.rttm"
    path.write_bytes(write_rttm([Turn(0.0, 2.0, "李小明"), Turn(2.0, 4.0, "王大安")], "talk").encode("gbk"))
    found = given_turns(path, 5.0)
    assert found.speakers == ("李小明", "王大安") and "read as gb18030" in found.notes[0]
    path.write_bytes(write_rttm([Turn(0.0, 2.0, "芳")], "talk").encode("gbk"))
    with pytest.raises(InputError, match="--encoding"):
        given_turns(path, 5.0)
    assert given_turns(path, 5.0, "gbk").speakers == ("芳",)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.rttm", tmp_path):
        with pytest.raises(InputError, match="cannot be read"):
            given_turns(path, 5.0)


def test_whoever_began_first_keeps_the_floor() -> None:
    turns = [Turn(0.0, 4.0, "A"), Turn(1.0, 2.0, "B"), Turn(3.0, 6.0, "C"), Turn(3.5, 5.0, "D")]
    assert exclusive_turns(turns) == (Turn(0.0, 4.0, "A"), Turn(4.0, 6.0, "C"))


times = st.integers(0, 50)


@given(st.lists(st.tuples(times, st.integers(1, 20), st.sampled_from("ABC")), max_size=30))
def test_exclusive_turns_never_overlap_and_leave_no_speech_out(rows: list[tuple[int, int, str]]) -> None:
    turns = [Turn(float(start), float(start + length), speaker) for start, length, speaker in rows]
    exclusive = exclusive_turns(turns)
    assert all(before.end <= after.start for before, after in pairwise(exclusive))
    for moment in range(71):
        there = {turn.speaker for turn in turns if turn.start <= moment < turn.end}
        speaking = {turn.speaker for turn in exclusive if turn.start <= moment < turn.end}
        assert len(speaking) == bool(there) and speaking <= there


moments = st.integers(0, 60).map(lambda tenth: tenth / 10)
spans = st.tuples(moments, moments).map(sorted).filter(lambda span: span[0] < span[1])
turn_lists = st.lists(spans.map(lambda span: Turn(span[0], span[1], "A")), max_size=12)


@given(turn_lists, spans)
def test_finds_the_same_overlaps_as_looking_at_every_turn(turns: list[Turn], span: list[float]) -> None:
    start, end = span
    expected = sorted(
        min(end, turn.end) - max(start, turn.start) for turn in turns if turn.start < end and turn.end > start
    )
    assert sorted(shared for _, shared in TurnIndex(turns).overlapping(start, end)) == expected


@given(turn_lists, spans)
def test_the_nearest_turn_is_as_near_as_any(turns: list[Turn], span: list[float]) -> None:
    start, end = span
    nearest = TurnIndex(turns).nearest(start, end)
    distances = [max(0.0, turn.start - end, start - turn.end) for turn in turns]
    assert (nearest[1] if nearest else None) == min(distances, default=None)


def test_the_earliest_of_equal_overlaps_wins() -> None:
    turns = [Turn(1.0, 2.0, "B"), Turn(0.0, 1.0, "A")]
    assert TurnIndex(turns).most_shared(0.5, 1.5) == Turn(0.0, 1.0, "A")


def test_a_stretch_without_turns_shares_time_with_nobody() -> None:
    assert TurnIndex([Turn(0.0, 1.0, "A")]).most_shared(1.0, 2.0) is None
