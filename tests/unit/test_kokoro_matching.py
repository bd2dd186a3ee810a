"""Which mixture of voices is proposed for a speaker, before anything is rendered."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceclone_worker.engines.kokoro.matching import Speaker, fit_f0, propose, score
from voiceclone_worker.engines.kokoro.model import Floats
from voiceclone_worker.engines.kokoro.voices import voice_table

TABLE = voice_table()


def stock(index: int) -> Speaker:
    """A speaker who sounds exactly like one of Kokoro's voices."""
    return Speaker(unit(TABLE.embeddings[index]), float(TABLE.semitones[index]))


def unit(vector: Floats) -> Floats:
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


@pytest.mark.parametrize("voice", [0, 13, 30, 53])
def test_a_stock_voice_is_recognised(voice: int) -> None:
    best = propose(stock(voice), [], TABLE, count=6)[0]
    assert best.acoustic.argmax() == voice


@given(st.integers(0, 2**32 - 1), st.floats(70, 105), st.integers(0, 3))
def test_mixtures_are_convex_and_differ(seed: int, semitones: float, others: int) -> None:
    random = np.random.default_rng(seed)
    embeddings = [unit(random.normal(size=192).astype(np.float32)) for _ in range(others + 1)]
    mixtures = propose(Speaker(embeddings[0], semitones), embeddings[1:], TABLE, count=6)
    assert len(mixtures) == 6
    for mixture in mixtures:
        for weights in (mixture.acoustic, mixture.prosody):
            assert weights.min() >= 0
            assert weights.sum() == pytest.approx(1.0, abs=1e-5)
        assert all(np.abs(mixture.acoustic - o.acoustic).sum() > 0.9 for o in mixtures if o is not mixture)


def test_prosody_moves_to_the_speakers_f0_and_timbre_stays() -> None:
    low, high = int(TABLE.semitones.argmin()), int(TABLE.semitones.argmax())
    alone = np.zeros(54, np.float32)
    alone[low] = 1.0
    between = float(TABLE.semitones[low] * 0.6 + TABLE.semitones[high] * 0.4)
    speaker = Speaker(unit(TABLE.embeddings[low]), between)
    assert fit_f0(alone, speaker, TABLE) @ TABLE.semitones == pytest.approx(between, abs=0.01)
    (mixture,) = propose(speaker, [], TABLE, count=1)
    assert mixture.prosody @ TABLE.semitones == pytest.approx(between, abs=0.25)


def test_an_f0_out_of_reach_is_approached_as_far_as_allowed() -> None:
    alone = np.zeros(54, np.float32)
    alone[int(TABLE.semitones.argmin())] = 1.0
    fitted = fit_f0(alone, Speaker(unit(TABLE.embeddings[0]), 200.0), TABLE)
    assert fitted[int(TABLE.semitones.argmax())] == pytest.approx(0.9)


@pytest.mark.parametrize(("one", "two"), [(0, 9), (2, 3), (11, 16), (20, 25), (28, 31)])
def test_contrast_draws_similar_speakers_apart(one: int, two: int) -> None:
    a, b = TABLE.embeddings[one], TABLE.embeddings[two]
    first = Speaker(unit(0.55 * a + 0.45 * b), float(TABLE.semitones[one]))
    second = Speaker(unit(0.45 * a + 0.55 * b), float(TABLE.semitones[one]))

    def favours(others: list[Floats]) -> float:
        """How much more the proposed voice is like its own speaker than like the other."""
        mixed = unit(propose(first, others, TABLE, count=1)[0].acoustic @ TABLE.embeddings)
        return float(mixed @ first.embedding - mixed @ second.embedding)

    assert favours([second.embedding]) >= favours([])
    assert favours([second.embedding]) > 0


def test_the_score_wants_the_voice_the_f0_and_the_distance_to_others() -> None:
    speaker, other = stock(0), stock(40)
    own = score(speaker, [], speaker.embedding, speaker.semitones)
    assert own == pytest.approx(1.0, abs=1e-5)
    assert score(speaker, [], speaker.embedding, speaker.semitones + 5) == pytest.approx(own - 0.1, abs=1e-5)
    assert score(speaker, [], speaker.embedding, None) < own - 0.2
    assert score(speaker, [other.embedding], speaker.embedding, speaker.semitones) > own
    assert score(speaker, [speaker.embedding], speaker.embedding, speaker.semitones) == pytest.approx(own)


def test_styles_are_interpolated_between_lengths() -> None:
    alone = np.zeros(54, np.float32)
    alone[7] = 1.0
    knot = int(TABLE.knots[20])
    assert np.array_equal(TABLE.style(alone, alone, knot + 1), TABLE.styles[7, 20])
    assert np.array_equal(TABLE.style(alone, alone, 10_000), TABLE.styles[7, -1])
    between = TABLE.style(alone, alone, knot + 2)
    assert (
        0
        < np.abs(between - TABLE.styles[7, 20]).max()
        < np.abs(np.diff(TABLE.styles[7, 20:22], axis=0)).max()
    )
