"""Selection of clean spans of speech for references."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import factories
from factories import diarization, speech_sound
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
from voiceclone_cli.types import ANALYSIS_RATE, Diarization, Turn, Word

# Selection of spans.


def total(spans: Sequence[CleanSpan]) -> float:
    return sum(span.seconds for span in spans)


def test_overlapped_speech_is_never_chosen() -> None:
    words = factories.words(0, 30)
    found = diarization((0, 30, "a"), (5, 9, "b"), (14, 15, "b"), (20, 26, "c"))
    spans, overlapped = select_spans(speech_sound(words, 30), found, "a", words)
    assert not overlapped
    for span in spans:
        for start, end in ((5, 9), (14, 15), (20, 26)):
            assert span.end <= start or span.start >= end


def test_about_ten_seconds_are_selected_from_a_monologue() -> None:
    words = factories.words(0, 120)
    spans = best_spans(speech_sound(words, 120), [(0, 120)], words)
    assert 10 <= total(spans) <= CEILING


def test_all_of_a_short_recording_is_selected() -> None:
    words = factories.words(1, 4) + factories.words(5, 7.4)
    spans = best_spans(speech_sound(words, 10), [(0, 10)], words)
    assert [word for span in spans for word in span.words] == words


def test_spans_are_sorted_by_time() -> None:
    words = factories.words(0, 3) + factories.words(5, 10) + factories.words(12, 14)
    starts = [span.start for span in best_spans(speech_sound(words, 15), [(0, 15)], words)]
    assert starts == sorted(starts)


def seven_phrases() -> list[Word]:
    return [word for start in range(0, 35, 5) for word in factories.words(start + 0.5, start + 4)]


def chosen_phrases(samples: np.ndarray) -> set[int]:
    words = seven_phrases()
    return {int(span.start // 5) for span in best_spans(samples, [(0, 35)], words)}


def test_a_clipped_span_is_avoided() -> None:
    samples = speech_sound(seven_phrases(), 35)
    for phrase in (1, 4):
        place = slice(phrase * 5 * ANALYSIS_RATE, (phrase + 1) * 5 * ANALYSIS_RATE)
        samples[place] = 0.7 * np.clip(samples[place], -0.1, 0.1)
    assert chosen_phrases(samples).isdisjoint({1, 4})


def test_a_faint_span_is_avoided() -> None:
    samples = speech_sound(seven_phrases(), 35, gain=lambda time: 0.01 if 10 <= time < 20 else 0.3)
    assert chosen_phrases(samples).isdisjoint({2, 3})


def test_a_noisy_span_is_avoided() -> None:
    samples = speech_sound(seven_phrases(), 35)
    samples[: 15 * ANALYSIS_RATE] += (
        np.random.default_rng(1).normal(0, 0.02, 15 * ANALYSIS_RATE).astype(np.float32)
    )
    assert chosen_phrases(samples).isdisjoint({0, 1, 2})


def test_longer_spans_are_preferred() -> None:
    short = [word for start in range(0, 40, 2) for word in factories.words(start, start + 1.2)]
    long = factories.words(50, 54) + factories.words(56, 60) + factories.words(62, 66)
    spans = best_spans(speech_sound(short + long, 70), [(0, 70)], short + long)
    assert all(span.start > 49 for span in spans)


def test_short_spans_are_selected_only_while_there_is_too_little() -> None:
    snippets = [word for start in range(10, 40, 2) for word in factories.words(start, start + 0.6)]
    plenty = factories.words(0, 6)
    assert all(
        p.start < 7 for p in best_spans(speech_sound(plenty + snippets, 45), [(0, 45)], plenty + snippets)
    )
    scarce = factories.words(0, 2)
    spans = best_spans(speech_sound(scarce + snippets, 45), [(0, 45)], scarce + snippets)
    assert any(span.start > 7 for span in spans)
    assert 5 <= total(spans) < 6


def test_without_words_the_cuts_are_in_the_pauses_of_the_sound() -> None:
    words = factories.words(1, 3) + factories.words(4, 6)
    spans, overlapped = select_spans(speech_sound(words, 8), diarization((0, 8, "a")), "a", [])
    assert not overlapped
    assert [(p.start, p.end) for p in spans] == [
        (pytest.approx(1, abs=0.15), pytest.approx(3, abs=0.15)),
        (pytest.approx(4, abs=0.15), pytest.approx(6, abs=0.15)),
    ]


def test_a_speaker_who_never_speaks_alone_is_cut_from_overlaps() -> None:
    words = factories.words(2, 6)
    turns = (Turn(0, 10, "a"), Turn(2, 6, "b"))
    found = Diarization(turns, (Turn(0, 2, "a"), Turn(3, 6, "b"), Turn(6, 10, "a")), "embedded")
    spans, overlapped = select_spans(speech_sound(words, 10), found, "b", words)
    assert overlapped
    assert all(span.start >= 3 and span.end <= 6 for span in spans)
    assert total(spans) > 2


def test_a_speaker_of_one_short_silent_turn_still_has_a_span() -> None:
    spans, overlapped = select_spans(
        np.zeros(5 * ANALYSIS_RATE, np.float32), diarization((1, 1.05, "a")), "a", []
    )
    assert overlapped
    assert [(span.start, span.end) for span in spans] == [(1, 1.05)]


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 200), st.integers(1, 90), st.sampled_from("abc")), min_size=1, max_size=12
    )
)
def test_a_reference_is_never_too_long_or_speech_of_others(rows: list[tuple[int, int, str]]) -> None:
    found = diarization(*((start / 10, (start + length) / 10, name) for start, length, name in rows))
    words = factories.words(0, 30)
    samples = speech_sound(words, 30)
    for speaker in found.speakers:
        spans, overlapped = select_spans(samples, found, speaker, words)
        assert spans
        assert total(spans) + PAUSE * (len(spans) - 1) <= 15
        others = [turn for turn in found.turns if turn.speaker != speaker]
        if not overlapped:
            assert not any(p.start < t.end and t.start < p.end for p in spans for t in others)


# Joining of spans.


def test_spans_are_joined_with_silence_and_without_clicks() -> None:
    rate = 44_100
    span = np.full(rate, 0.5, np.float32)
    joined = join_spans([span, span], rate)
    assert len(joined) == 2 * rate + round(PAUSE * rate)
    assert not joined[rate : rate + round(PAUSE * rate)].any()
    assert np.abs(np.diff(joined)).max() < 0.01
    assert np.array_equal(
        joined[round(FADE * rate) : rate - round(FADE * rate)], span[2 * round(FADE * rate) :]
    )


def test_a_span_shorter_than_its_fades_is_joined() -> None:
    assert len(join_spans([np.ones(3, np.float32)], 16_000)) == 3


# Splitting of speech into spans.


def test_a_pause_separates_two_spans() -> None:
    words = factories.words(1, 3) + factories.words(4, 6)
    assert [(p.start, p.end) for p in clean_spans((0, 10), words)] == [(0.9, 3.1), (3.9, 6.1)]


def test_a_word_partly_outside_of_the_interval_is_excluded() -> None:
    words = factories.words(0, 4, seconds=1.0)
    (span,) = clean_spans((0.5, 3.2), words)
    assert (span.start, span.end) == (1.0, 3.0)
    assert span.words == tuple(words[1:3])


def test_a_long_span_is_split_at_the_end_of_a_sentence() -> None:
    words = [*factories.words(0, 4), Word(4.0, 4.4, " end.", 0.9), *factories.words(4.4, 8)]
    first, second = clean_spans((0, 8), words)
    assert first.words[-1].text == " end."
    assert second.start == first.end == 4.4


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 80), st.integers(1, 120)), min_size=1, max_size=40), st.data())
def test_no_span_begins_or_ends_within_a_word(rows: list[tuple[int, int]], data: st.DataObject) -> None:
    words, now = [], 0.0
    for pause, length in rows:
        begin = round(now + pause / 100, 2)
        now = round(begin + length / 100, 2)
        words.append(Word(begin, now, " word", 0.9))
    start = data.draw(st.floats(0, now))
    interval = (start, data.draw(st.floats(start, now + 1)))
    for span in clean_spans(interval, words):
        assert interval[0] <= span.start < span.end <= interval[1]
        for edge in (span.start, span.end):
            assert not any(word.start < edge < word.end for word in words)


# Splitting of sounds without words, and intervals.


def test_a_sound_without_pauses_is_split_at_its_quietest_frame() -> None:
    samples = speech_sound(factories.words(0, 5), 5)
    samples[round(2.2 * ANALYSIS_RATE) : round(2.3 * ANALYSIS_RATE)] *= 0.2
    edges = [word.end for word in pseudo_words(samples, (0, 5))]
    assert edges == [pytest.approx(2.25, abs=0.06), 5.0]


def test_the_quietest_time_is_found_within_bounds() -> None:
    samples = np.ones(5 * ANALYSIS_RATE, np.float32)
    samples[round(3.0 * ANALYSIS_RATE) : round(3.1 * ANALYSIS_RATE)] = 0.1
    samples[: ANALYSIS_RATE // 2] = 0
    assert quietest_time(samples, ANALYSIS_RATE, (1, 5)) == pytest.approx(3.05, abs=0.06)


def test_a_speaker_is_alone_where_no_other_turn_reaches() -> None:
    turns = [Turn(0, 10, "a"), Turn(4, 6, "b"), Turn(9, 12, "b")]
    assert exclusive_intervals(turns, "a") == [(0, 4), (6, 9)]
    assert exclusive_intervals(turns, "b") == [(10, 12)]


def test_a_margin_extends_into_silence_but_not_into_other_turns() -> None:
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
