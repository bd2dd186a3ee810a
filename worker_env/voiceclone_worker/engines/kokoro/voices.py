"""Kokoro's 54 published voices: their style tables, and what each sounds like.

Both tables were computed from Kokoro-82M's voices (Apache-2.0, hexgrad). A voice is a table of 510
styles, one for each length of text; ``voices_knots.npz`` keeps 28 of them, and the others are
interpolated (0.27 % error). ``voice_traits.npz`` holds each voice's CAM++ embedding, median F0 and rate,
measured on two sentences.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voiceclone_worker.engines.kokoro.model import Floats

_DATA = Path(__file__).parent / "data"
ACOUSTIC = 128
"""A style's first half is timbre, the second half is prosody (F0, durations)."""


@dataclass(frozen=True)
class VoiceTable:
    """``styles``: (voices, knots, 256) at the table rows ``knots``; the traits have one row a voice."""

    names: tuple[str, ...]
    knots: NDArray[np.int64]
    styles: Floats
    embeddings: Floats
    """(voices, 192), unit length."""
    semitones: Floats
    """(voices,): 12 log2 of the median F0 in Hz."""

    def style(self, acoustic: Floats, prosody: Floats, tokens: int, reading: float = 1.0) -> Floats:
        """The (256,) style of a mixture for a text of ``tokens`` tokens; the weights are (voices,), sum 1.

        ``reading``: the melody and pace are those of a text so many times as long.
        """
        return np.concatenate(
            [
                self._mix(acoustic, slice(None, ACOUSTIC), tokens - 1),
                self._mix(prosody, slice(ACOUSTIC, None), tokens * reading - 1),
            ]
        ).astype(np.float32)

    def _mix(self, weights: Floats, half: slice, row: float) -> Floats:
        row = min(max(row, 0), int(self.knots[-1]))
        left = int(np.clip(np.searchsorted(self.knots, row, "right") - 1, 0, len(self.knots) - 2))
        share = (row - self.knots[left]) / (self.knots[left + 1] - self.knots[left])
        # Three voices at most have weight; summing those alone also keeps clear of BLAS, whose last
        # bits may depend on its threads.
        used = np.flatnonzero(weights)
        styles = self.styles[used, left, half] * (1 - share) + self.styles[used, left + 1, half] * share
        mixed: Floats = (weights[used, None] * styles).sum(0)
        return mixed


@cache
def voice_table() -> VoiceTable:
    with np.load(_DATA / "voices_knots.npz", allow_pickle=False) as knots:
        names = tuple(str(name) for name in knots["names"])
        rows, styles = knots["knots"].astype(np.int64), knots["table"].astype(np.float32)
    with np.load(_DATA / "voice_traits.npz", allow_pickle=False) as traits:
        embeddings, semitones = traits["cam"].astype(np.float32), traits["semitones"].astype(np.float32)
    return VoiceTable(names=names, knots=rows, styles=styles, embeddings=embeddings, semitones=semitones)
