"""English words in a Chinese line: their place in its plan, and the voice that says them."""

from __future__ import annotations

import numpy as np
import pytest

from voiceclone_worker.engines.kokoro.english_words import with_english, with_words
from voiceclone_worker.engines.kokoro.line_plan import FRAME_SECONDS, LinePlan, fit_speed

RATE = 24_000
FRAME = round(FRAME_SECONDS * RATE)


def a_plan(frames: list[float], speed: float = 1.0, value: float = 1.0) -> LinePlan:
    """A plan of tokens of these frames at speed 1, silent in its first and its last one, and ``value`` everywhere."""
    exact = np.float32(frames)
    own = np.maximum(1, np.rint(exact / np.float32(speed))).astype(int)
    energy = np.full(2 * own.sum(), 5.0, np.float32)
    energy[: 2 * own[0]] = energy[-2 * own[-1] :] = -8.0
    aligned = np.full((1, 512, own.sum()), value, np.float32)
    return LinePlan(aligned, np.full_like(energy, 100 * value), energy, exact, speed)


LINE = [10.0, 3.0, 3.0, 2.0, 4.0, 12.0]
"""Of four tokens, between two pauses."""
WORD = [9.0, 5.0, 6.0, 7.0, 1.0, 8.0]
"""Of three tokens and the end of a sentence, between two pauses."""


def test_a_word_takes_the_place_of_its_tokens() -> None:
    merged = with_words(a_plan(LINE), [((1, 3), a_plan(WORD, value=2.0))])
    assert merged.token_frames().tolist() == [10, 3, 5, 6, 7, 4, 12]
    assert merged.english == ((13, 31),)
    assert merged.aligned.shape[-1] == merged.token_frames().sum() == len(merged.f0) / 2
    english = merged.aligned[0, 0] == 2.0
    assert np.flatnonzero(english).tolist() == list(range(13, 31))
    assert (merged.f0[26:62] == 200).all() and (merged.f0[:26] == 100).all() and (merged.f0[62:] == 100).all()
    # Its silent tokens stay where the line has its own.
    assert merged.seconds() == pytest.approx((3 + 18 + 4) * FRAME_SECONDS)


def test_words_keep_their_order_and_may_be_all_that_there_is() -> None:
    first, second = a_plan(WORD, value=2.0), a_plan(WORD, value=3.0)
    merged = with_words(a_plan(LINE), [((0, 1), first), ((3, 4), second)])
    assert merged.english == ((10, 28), (33, 51))
    assert merged.token_frames().tolist() == [10, 5, 6, 7, 3, 2, 5, 6, 7, 12]
    alone = with_words(a_plan(LINE), [((0, 4), first)])
    assert alone.token_frames().tolist() == [10, 5, 6, 7, 12]


def test_a_word_loses_the_silence_that_it_had_as_a_sentence() -> None:
    word = a_plan(WORD)
    # The last token: a closure of a frame, a burst of one, and five of silence.
    word.energy[2 * 20 : 2 * 21] = -8.0
    word.energy[2 * 22 : 2 * 27] = -8.0
    merged = with_words(a_plan(LINE), [((1, 3), word)])
    assert merged.token_frames().tolist() == [10, 3, 5, 6, 4, 4, 12]
    assert merged.english == ((13, 28),)


@pytest.mark.parametrize("speed", [0.83, 1.0, 1.17])
def test_the_frames_of_a_line_with_words_are_those_of_its_tokens_at_any_pace_of_the_words(
    speed: float,
) -> None:
    for pace in np.linspace(0.8, 1.3, 23):
        word = a_plan([9.3, 5.1, 6.77, 7.5, 1.2, 8.0], float(speed * pace))
        merged = with_words(a_plan([10.2, 3.4, 3.5, 2.2, 4.9, 12.0], speed), [((1, 3), word)])
        assert merged.token_frames().sum() == merged.aligned.shape[-1] == len(merged.energy) / 2


def test_a_line_with_a_word_is_fitted_to_its_slot() -> None:
    def plan(speed: float) -> list[LinePlan]:
        word = a_plan([9.0, 15.0, 16.0, 17.0, 1.0, 8.0], speed * 1.07)
        return [with_words(a_plan(LINE, speed), [((1, 3), word)])]

    (unhurried,) = plan(1.0)
    (fitted,) = fit_speed(plan, 1.0, 0.8 * unhurried.seconds())
    assert 0.7 * unhurried.seconds() < fitted.seconds() <= 0.8 * unhurried.seconds()


def a_line_with_a_word() -> LinePlan:
    return with_words(a_plan([20.0, 30.0, 30.0, 30.0, 30.0, 20.0]), [((1, 2), a_plan([9.0, 20.0, 1.0, 8.0]))])


def test_only_a_word_is_of_the_other_timbre() -> None:
    plan = a_line_with_a_word()
    ((first, last),) = plan.english
    frames = plan.token_frames().sum()
    rendered: list[LinePlan] = []

    def english(excerpt: LinePlan) -> np.ndarray:
        rendered.append(excerpt)
        return np.full(excerpt.aligned.shape[-1] * FRAME, -1.0)

    mixed = with_english(np.ones(frames * FRAME), plan, english, RATE)
    assert (mixed[first * FRAME : last * FRAME] == -1).all()
    assert (mixed[: (first - 2) * FRAME] == 1).all() and (mixed[(last + 2) * FRAME :] == 1).all()
    # It is no step: from the one to the other in 20 ms.
    assert np.abs(np.diff(mixed)).max() < 0.01
    (excerpt,) = rendered
    assert excerpt.aligned.shape[-1] == last - first + 2 * round(0.6 / FRAME_SECONDS)


def test_a_word_is_as_loud_as_the_line_around_it() -> None:
    plan = a_line_with_a_word()
    ((first, last),) = plan.english
    sound = np.sin(np.arange(plan.token_frames().sum() * FRAME))

    def faint(excerpt: LinePlan) -> np.ndarray:
        return 0.5 * np.sin(np.arange(excerpt.aligned.shape[-1] * FRAME))

    mixed = with_english(sound, plan, faint, RATE)
    assert np.std(mixed[first * FRAME : last * FRAME]) == pytest.approx(np.std(sound), rel=0.02)


def test_a_line_of_english_words_alone_keeps_the_level_of_its_voice() -> None:
    plan = with_words(a_plan(LINE), [((0, 4), a_plan(WORD))])
    ((first, last),) = plan.english
    mixed = with_english(
        np.ones(plan.token_frames().sum() * FRAME),
        plan,
        lambda part: np.full(part.aligned.shape[-1] * FRAME, 0.3),
        RATE,
    )
    assert mixed[first * FRAME : last * FRAME] == pytest.approx(0.3)
