"""Where speech may be cut into pieces."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from casting_samples import speech
from voiceclone_cli.casting.pieces import pieces_of
from voiceclone_cli.types import Word


def test_a_pause_parts_two_pieces() -> None:
    words = speech(1, 3) + speech(4, 6)
    assert [(p.start, p.end) for p in pieces_of((0, 10), words)] == [(0.9, 3.1), (3.9, 6.1)]


def test_a_word_that_is_only_partly_in_the_stretch_is_left_out_whole() -> None:
    words = speech(0, 4, word=1.0)
    (piece,) = pieces_of((0.5, 3.2), words)
    assert (piece.start, piece.end) == (1.0, 3.0)
    assert piece.words == tuple(words[1:3])


def test_a_long_piece_is_parted_at_its_sentence_end() -> None:
    words = [*speech(0, 4), Word(4.0, 4.4, " end.", 0.9), *speech(4.4, 8)]
    first, second = pieces_of((0, 8), words)
    assert first.words[-1].text == " end."
    assert second.start == first.end == 4.4


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 80), st.integers(1, 120)), min_size=1, max_size=40), st.data())
def test_no_piece_begins_or_ends_within_a_word(rows: list[tuple[int, int]], data: st.DataObject) -> None:
    words, now = [], 0.0
    for pause, length in rows:
        begin = round(now + pause / 100, 2)
        now = round(begin + length / 100, 2)
        words.append(Word(begin, now, " word", 0.9))
    start = data.draw(st.floats(0, now))
    stretch = (start, data.draw(st.floats(start, now + 1)))
    for piece in pieces_of(stretch, words):
        assert stretch[0] <= piece.start < piece.end <= stretch[1]
        for edge in (piece.start, piece.end):
            assert not any(word.start < edge < word.end for word in words)
