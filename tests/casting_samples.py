"""Speakers for the tests of casting, who are noise: loud where a word is, silent between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from voiceclone_cli.types import ANALYSIS_RATE, Diarization, Turn, Word

RATE = ANALYSIS_RATE


def speech(start: float, end: float, *, word: float = 0.4, text: str = " word") -> list[Word]:
    """Words without a pause from start to end."""
    count = max(1, round((end - start) / word))
    edges = np.linspace(start, end, count + 1).round(3).tolist()
    return [Word(a, b, text, 0.9) for a, b in pairwise(edges)]


def sound_of(
    words: Sequence[Word], seconds: float, *, gain: Callable[[float], float] = lambda time: 0.3
) -> np.ndarray:
    """Noise shaped like speech: as loud as ``gain`` says in each word, a faint hiss elsewhere."""
    random = np.random.default_rng(7)
    samples = random.normal(0, 0.0005, round(seconds * RATE))
    for word in words:
        place = slice(round(word.start * RATE), round(word.end * RATE))
        samples[place] += gain(word.start) * np.clip(random.normal(0, 0.3, len(samples[place])), -1, 1)
    return samples.astype(np.float32)


def diarization(*turns: tuple[float, float, str]) -> Diarization:
    found = tuple(Turn(*turn) for turn in turns)
    return Diarization(turns=found, exclusive=found, diarizer="embedded")
