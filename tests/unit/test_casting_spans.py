"""Stretches of time in which a speaker is alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from voiceclone_cli.casting.spans import alone, merge, subtract
from voiceclone_cli.types import Turn


def test_a_speaker_is_alone_where_no_other_turn_reaches() -> None:
    turns = [Turn(0, 10, "a"), Turn(4, 6, "b"), Turn(9, 12, "b")]
    assert alone(turns, "a") == [(0, 4), (6, 9)]
    assert alone(turns, "b") == [(10, 12)]


def test_a_margin_reaches_into_silence_but_into_nobodys_turn() -> None:
    turns = [Turn(2, 4, "a"), Turn(4.1, 6, "b")]
    assert alone(turns, "a", margin=0.5) == [(1.5, 4.1)]


tenths = st.integers(0, 60)
some_spans = st.lists(
    st.tuples(tenths, st.integers(1, 20)).map(lambda row: (row[0], row[0] + row[1])), max_size=8
)


@given(some_spans, some_spans)
def test_subtracting_leaves_exactly_the_time_that_is_in_no_hole(
    spans: list[tuple[int, int]], holes: list[tuple[int, int]]
) -> None:
    left = subtract(merge(spans), merge(holes))
    for moment in range(90):
        middle = moment + 0.5
        inside = any(start < middle < end for start, end in spans)
        in_hole = any(start < middle < end for start, end in holes)
        assert any(start < middle < end for start, end in left) == (inside and not in_hole)
