"""Stretches of time in which a speaker is alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casting_samples import RATE, diarization, sound_of, speech
from voiceclone_cli.references.selection import (
    CEILING,
    FADE,
    PAUSE,
    CleanSpan,
    best_spans,
    clean_spans,
    exclusive_intervals,
    join_spans,
    merge_intervals,
    pseudo_words,
    quietest_time,
    select_spans,
    subtract_intervals,
)
from voiceclone_cli.types import Diarization, Turn, Word

# Which pieces of a speaker's speech become the reference.


def total(pieces: Sequence[CleanSpan]) -> float:
    return sum(piece.seconds for piece in pieces)


def test_overlapped_speech_is_never_chosen() -> None:
    words = speech(0, 30)
    found = diarization((0, 30, "a"), (5, 9, "b"), (14, 15, "b"), (20, 26, "c"))
    pieces, disturbed = select_spans(sound_of(words, 30), found, "a", words)
    assert not disturbed
    for piece in pieces:
        for start, end in ((5, 9), (14, 15), (20, 26)):
            assert piece.end <= start or piece.start >= end


def test_about_ten_seconds_are_taken_of_a_long_monologue() -> None:
    words = speech(0, 120)
    pieces = best_spans(sound_of(words, 120), [(0, 120)], words)
    assert 10 <= total(pieces) <= CEILING


def test_everything_is_taken_where_there_is_less() -> None:
    words = speech(1, 4) + speech(5, 7.4)
    pieces = best_spans(sound_of(words, 10), [(0, 10)], words)
    assert [word for piece in pieces for word in piece.words] == words


def test_pieces_come_in_the_order_of_time() -> None:
    words = speech(0, 3) + speech(5, 10) + speech(12, 14)
    starts = [piece.start for piece in best_spans(sound_of(words, 15), [(0, 15)], words)]
    assert starts == sorted(starts)


def seven_phrases() -> list[Word]:
    return [word for start in range(0, 35, 5) for word in speech(start + 0.5, start + 4)]


def chosen_phrases(samples: np.ndarray) -> set[int]:
    words = seven_phrases()
    return {int(piece.start // 5) for piece in best_spans(samples, [(0, 35)], words)}


def test_a_clipped_piece_is_avoided() -> None:
    samples = sound_of(seven_phrases(), 35)
    for phrase in (1, 4):
        place = slice(phrase * 5 * RATE, (phrase + 1) * 5 * RATE)
        samples[place] = 0.7 * np.clip(samples[place], -0.1, 0.1)
    assert chosen_phrases(samples).isdisjoint({1, 4})


def test_a_faint_piece_is_avoided() -> None:
    samples = sound_of(seven_phrases(), 35, gain=lambda time: 0.01 if 10 <= time < 20 else 0.3)
    assert chosen_phrases(samples).isdisjoint({2, 3})


def test_a_noisy_piece_is_avoided() -> None:
    samples = sound_of(seven_phrases(), 35)
    samples[: 15 * RATE] += np.random.default_rng(1).normal(0, 0.02, 15 * RATE).astype(np.float32)
    assert chosen_phrases(samples).isdisjoint({0, 1, 2})


def test_longer_pieces_are_preferred() -> None:
    short = [word for start in range(0, 40, 2) for word in speech(start, start + 1.2)]
    long = speech(50, 54) + speech(56, 60) + speech(62, 66)
    pieces = best_spans(sound_of(short + long, 70), [(0, 70)], short + long)
    assert all(piece.start > 49 for piece in pieces)


def test_snippets_are_only_taken_while_there_is_too_little() -> None:
    snippets = [word for start in range(10, 40, 2) for word in speech(start, start + 0.6)]
    plenty = speech(0, 6)
    assert all(p.start < 7 for p in best_spans(sound_of(plenty + snippets, 45), [(0, 45)], plenty + snippets))
    scarce = speech(0, 2)
    pieces = best_spans(sound_of(scarce + snippets, 45), [(0, 45)], scarce + snippets)
    assert any(piece.start > 7 for piece in pieces)
    assert 5 <= total(pieces) < 6


def test_without_words_the_cuts_are_in_the_pauses_of_the_sound() -> None:
    said = speech(1, 3) + speech(4, 6)
    pieces, disturbed = select_spans(sound_of(said, 8), diarization((0, 8, "a")), "a", [])
    assert not disturbed
    assert [(p.start, p.end) for p in pieces] == [
        (pytest.approx(1, abs=0.15), pytest.approx(3, abs=0.15)),
        (pytest.approx(4, abs=0.15), pytest.approx(6, abs=0.15)),
    ]


def test_who_never_speaks_alone_is_heard_in_the_overlap() -> None:
    words = speech(2, 6)
    turns = (Turn(0, 10, "a"), Turn(2, 6, "b"))
    found = Diarization(turns, (Turn(0, 2, "a"), Turn(3, 6, "b"), Turn(6, 10, "a")), "embedded")
    pieces, disturbed = select_spans(sound_of(words, 10), found, "b", words)
    assert disturbed
    assert all(piece.start >= 3 and piece.end <= 6 for piece in pieces)
    assert total(pieces) > 2


def test_a_speaker_of_one_short_silent_turn_still_has_a_piece() -> None:
    pieces, disturbed = select_spans(np.zeros(5 * RATE, np.float32), diarization((1, 1.05, "a")), "a", [])
    assert disturbed
    assert [(piece.start, piece.end) for piece in pieces] == [(1, 1.05)]


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 200), st.integers(1, 90), st.sampled_from("abc")), min_size=1, max_size=12
    )
)
def test_a_reference_is_never_too_long_and_never_anothers_speech(rows: list[tuple[int, int, str]]) -> None:
    found = diarization(*((start / 10, (start + length) / 10, name) for start, length, name in rows))
    words = speech(0, 30)
    samples = sound_of(words, 30)
    for speaker in found.speakers:
        pieces, disturbed = select_spans(samples, found, speaker, words)
        assert pieces
        assert total(pieces) + PAUSE * (len(pieces) - 1) <= 15
        others = [turn for turn in found.turns if turn.speaker != speaker]
        if not disturbed:
            assert not any(p.start < t.end and t.start < p.end for p in pieces for t in others)


# Pieces of speech become one sound.


def test_pieces_are_joined_with_silence_and_without_clicks() -> None:
    rate = 44_100
    piece = np.full(rate, 0.5, np.float32)
    joined = join_spans([piece, piece], rate)
    assert len(joined) == 2 * rate + round(PAUSE * rate)
    assert not joined[rate : rate + round(PAUSE * rate)].any()
    assert np.abs(np.diff(joined)).max() < 0.01
    assert np.array_equal(
        joined[round(FADE * rate) : rate - round(FADE * rate)], piece[2 * round(FADE * rate) :]
    )


def test_a_piece_shorter_than_its_fades_does_no_harm() -> None:
    assert len(join_spans([np.ones(3, np.float32)], 16_000)) == 3


# Where speech may be cut into pieces.


def test_a_pause_parts_two_pieces() -> None:
    words = speech(1, 3) + speech(4, 6)
    assert [(p.start, p.end) for p in clean_spans((0, 10), words)] == [(0.9, 3.1), (3.9, 6.1)]


def test_a_word_that_is_only_partly_in_the_stretch_is_left_out_whole() -> None:
    words = speech(0, 4, word=1.0)
    (piece,) = clean_spans((0.5, 3.2), words)
    assert (piece.start, piece.end) == (1.0, 3.0)
    assert piece.words == tuple(words[1:3])


def test_a_long_piece_is_parted_at_its_sentence_end() -> None:
    words = [*speech(0, 4), Word(4.0, 4.4, " end.", 0.9), *speech(4.4, 8)]
    first, second = clean_spans((0, 8), words)
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
    for piece in clean_spans(stretch, words):
        assert stretch[0] <= piece.start < piece.end <= stretch[1]
        for edge in (piece.start, piece.end):
            assert not any(word.start < edge < word.end for word in words)


# Where a sound is quiet enough to be cut.


def test_a_sound_without_pauses_is_parted_where_it_is_quietest() -> None:
    samples = sound_of(speech(0, 5), 5)
    samples[round(2.2 * RATE) : round(2.3 * RATE)] *= 0.2
    edges = [word.end for word in pseudo_words(samples, (0, 5))]
    assert edges == [pytest.approx(2.25, abs=0.06), 5.0]


def test_the_quietest_moment_is_found_within_bounds() -> None:
    samples = np.ones(5 * RATE, np.float32)
    samples[round(3.0 * RATE) : round(3.1 * RATE)] = 0.1
    samples[: RATE // 2] = 0
    assert quietest_time(samples, RATE, (1, 5)) == pytest.approx(3.05, abs=0.06)


def test_a_speaker_is_alone_where_no_other_turn_reaches() -> None:
    turns = [Turn(0, 10, "a"), Turn(4, 6, "b"), Turn(9, 12, "b")]
    assert exclusive_intervals(turns, "a") == [(0, 4), (6, 9)]
    assert exclusive_intervals(turns, "b") == [(10, 12)]


def test_a_margin_reaches_into_silence_but_into_nobodys_turn() -> None:
    turns = [Turn(2, 4, "a"), Turn(4.1, 6, "b")]
    assert exclusive_intervals(turns, "a", margin=0.5) == [(1.5, 4.1)]


tenths = st.integers(0, 60)
some_spans = st.lists(
    st.tuples(tenths, st.integers(1, 20)).map(lambda row: (row[0], row[0] + row[1])), max_size=8
)


@given(some_spans, some_spans)
def test_subtracting_leaves_exactly_the_time_that_is_in_no_hole(
    spans: list[tuple[int, int]], holes: list[tuple[int, int]]
) -> None:
    left = subtract_intervals(merge_intervals(spans), merge_intervals(holes))
    for moment in range(90):
        middle = moment + 0.5
        inside = any(start < middle < end for start, end in spans)
        in_hole = any(start < middle < end for start, end in holes)
        assert any(start < middle < end for start, end in left) == (inside and not in_hole)
