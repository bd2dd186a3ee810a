from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceclone_cli.diarization import given_turns, write_rttm
from voiceclone_cli.diarization.given import exclusive_turns
from voiceclone_cli.errors import InputError
from voiceclone_cli.types import Turn


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
    ("content", "told"),
    [
        (b"", "no turn within"),
        (b"SPEAKER a 1 9.0 1.0 <NA> <NA> Anna <NA> <NA>\n", "no turn within"),
        (b"hello\n", "line 1"),
        (b"\xff\xfe\x00", "not UTF-8"),
    ],
)
def test_what_is_no_rttm_of_this_recording_is_refused(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "talk.rttm"
    path.write_bytes(content)
    with pytest.raises(InputError, match=told):
        given_turns(path, 5.0)


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
