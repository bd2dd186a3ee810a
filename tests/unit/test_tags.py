"""Tags in square brackets, which are no speech."""

from __future__ import annotations

import pytest

from voiceclone_worker.tags import without_tags


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[music]", ""),
        ("[whisper] Come in.", "Come in."),
        ("Come [laughs] in.", "Come in."),
        ("Come in [laughs].", "Come in."),
        ("Come in. [door closes]", "Come in."),
        ("你好[笑]吗", "你好吗"),
        ("One [a [b] c] two", "One two"),
        ("[sighs][coughs] Yes", "Yes"),
        ("Quoi ? [rires] Non !", "Quoi ? Non !"),
        ("A [ is open, (this) stays.", "A [ is open, (this) stays."),
    ],
)
def test_tags_in_square_brackets_are_taken_out_with_their_space(text: str, words: str) -> None:
    assert without_tags(text) == words


def test_a_bracket_that_is_left_open_hides_no_text() -> None:
    words = "word " * 200
    assert without_tags(f"He said [ {words}and ] left.") == f"He said [ {words}and ] left."
