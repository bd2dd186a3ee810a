"""Who speaks most during a stretch of time."""

from hypothesis import given
from hypothesis import strategies as st

from properties import examples
from voiceclone_cli.script.shares import SpeakerShares
from voiceclone_cli.types import Turn

TURNS = (Turn(0, 2, "b"), Turn(1, 4, "a"), Turn(3, 5, "b"), Turn(9, 9.5, "c"))
moments = st.integers(0, 40).map(lambda quarter: quarter / 4)


def test_shares_of_several_turns_add_up() -> None:
    shares = SpeakerShares(TURNS)
    assert shares.most(0, 6) == "b"
    assert shares.most(1, 4) == "a"


def test_the_first_by_name_of_equals_and_nobody_in_silence() -> None:
    shares = SpeakerShares(TURNS)
    assert shares.most(1, 2) == "a"
    assert shares.most(6, 8) is None
    assert shares.most(5, 9) is None
    assert SpeakerShares(()).most(0, 1) is None


@examples
@given(st.lists(st.tuples(moments, moments, st.sampled_from("abc")), max_size=8), moments, moments)
def test_it_is_the_longest_sum_of_overlaps(
    rows: list[tuple[float, float, str]], start: float, end: float
) -> None:
    turns = [Turn(first, first + length, name) for first, length, name in rows]
    if start == end:
        return
    start, end = min(start, end), max(start, end)
    sums = {
        name: sum(max(0, min(end, t.end) - max(start, t.start)) for t in turns if t.speaker == name)
        for name in "abc"
    }
    best = max("abc", key=lambda name: sums[name])
    assert SpeakerShares(turns).most(start, end) == (best if sums[best] > 0 else None)
