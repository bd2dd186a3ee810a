"""Pieces of speech become one sound."""

from __future__ import annotations

import numpy as np

from voiceclone_cli.casting.joining import FADE, PAUSE, join


def test_pieces_are_joined_with_silence_and_without_clicks() -> None:
    rate = 44_100
    piece = np.full(rate, 0.5, np.float32)
    joined = join([piece, piece], rate)
    assert len(joined) == 2 * rate + round(PAUSE * rate)
    assert not joined[rate : rate + round(PAUSE * rate)].any()
    assert np.abs(np.diff(joined)).max() < 0.01
    assert np.array_equal(
        joined[round(FADE * rate) : rate - round(FADE * rate)], piece[2 * round(FADE * rate) :]
    )


def test_a_piece_shorter_than_its_fades_does_no_harm() -> None:
    assert len(join([np.ones(3, np.float32)], 16_000)) == 3
