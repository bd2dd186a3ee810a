from hypothesis import given
from hypothesis import strategies as st

from voiceclone_cli.diarization.turn_index import TurnIndex
from voiceclone_cli.types import Turn

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
