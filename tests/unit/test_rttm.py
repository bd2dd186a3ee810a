"""RTTM in and out."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from voiceclone_cli.diarization import read_rttm, rttm, write_rttm
from voiceclone_cli.errors import InputError
from voiceclone_cli.types import Turn

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
    monkeypatch.setattr(rttm, "MAX_TURNS", 3)
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
