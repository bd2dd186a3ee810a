"""Whatever a file says: turns, or one sentence."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from properties import examples, expect_one_sentence, texts
from voiceclone_cli.diarization.rttm import MAX_SECONDS, read_rttm, write_rttm
from voiceclone_cli.errors import InputError
from voiceclone_cli.names import check_speakers

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
    check_speakers(turn.speaker for turn in turns)
    assert read_rttm(write_rttm(turns, "talk")) == turns
