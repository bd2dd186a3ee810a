"""Which mixture of Kokoro's voices is most like a speaker, and least like the others of the recording.

A mixture is weighed twice, since Kokoro's style has two halves: ``acoustic`` (timbre) and ``prosody``,
which holds the F0. J, what is looked for, is

    cos(own) - .02 |F0 difference in semitones| + (cos(own) - cos of the nearest other speaker)

with the cosine of CAM++ embeddings. The last term, contrast, keeps two similar speakers from falling
onto the same voice: when the recipe was found, one line of five of a telephone call was nearer to its
own speaker than to the other without it, and six of six with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voiceclone_worker.engines.kokoro.model import Floats
from voiceclone_worker.engines.kokoro.voices import VoiceTable

F0_WEIGHT = 0.02
"""Cosine given up for a semitone of F0."""
CONTRAST = 1.0
UNKNOWN_F0_SEMITONES = 12.0
"""The F0 difference charged to a probe in which no F0 can be found."""
_CANDIDATES = 10
_SHARES = (0.6, 0.8)
_APART = 0.9
"""Proposals differ by more than this in the sum of their weights' differences (2 = nothing in common)."""
_F0_TOLERANCE = 0.25
_MOST_FOREIGN_PROSODY = 0.9


@dataclass(frozen=True)
class Speaker:
    """A speaker to be matched: ``embedding`` (192,) of unit length, ``semitones`` = 12 log2 of the F0 in Hz."""

    embedding: Floats
    semitones: float


@dataclass(frozen=True)
class Mixture:
    """Weights of Kokoro's voices, each (voices,) with sum 1."""

    acoustic: Floats
    prosody: Floats


def propose(speaker: Speaker, others: Sequence[Floats], table: VoiceTable, *, count: int) -> list[Mixture]:
    """The ``count`` mixtures that promise the highest J, unlike each other, without rendering anything.

    ``others``: embeddings of the recording's other speakers. The embedding of a mixture is taken as the
    mixture of embeddings (they agree to a cosine of .84), and contrast is to the mean of the others here.
    """
    cosines = table.embeddings @ speaker.embedding
    contrast = np.zeros_like(cosines)
    if len(others):
        contrast = CONTRAST * (cosines - np.mean([table.embeddings @ other for other in others], axis=0))
    promise = cosines - F0_WEIGHT * np.abs(table.semitones - speaker.semitones) + contrast
    best = np.argsort(promise)[::-1][:_CANDIDATES]

    scored = []
    for weights in _pairs_and_singles(best, len(table.names)):
        mixed = weights @ table.embeddings
        cosine = mixed @ speaker.embedding / np.linalg.norm(mixed)
        f0 = abs(weights @ table.semitones - speaker.semitones)
        scored.append((float(cosine - F0_WEIGHT * f0 + weights @ contrast), weights))
    scored.sort(key=lambda pair: -pair[0])

    chosen: list[Floats] = []
    for _, weights in scored:
        if len(chosen) < count and all(np.abs(weights - other).sum() > _APART for other in chosen):
            chosen.append(weights)
    return [Mixture(acoustic=weights, prosody=fit_f0(weights, speaker, table)) for weights in chosen]


def fit_f0(weights: Floats, speaker: Speaker, table: VoiceTable) -> Floats:
    """Prosody weights whose predicted F0 is the speaker's: ``weights`` moved towards one more voice.

    F0 is linear in the weights, so the share of that voice follows from the distance. Of the voices that
    can close the distance, the one most like the speaker is taken; where none can, the one that goes farthest.
    """
    own = float(weights @ table.semitones)
    distance = speaker.semitones - own
    if abs(distance) < _F0_TOLERANCE:
        return weights.copy()
    reach = table.semitones - own
    enough = reach * np.sign(distance) >= abs(distance) / _MOST_FOREIGN_PROSODY
    if enough.any():
        likeness = table.embeddings @ speaker.embedding
        likeness = likeness - F0_WEIGHT / 2 * np.abs(table.semitones - speaker.semitones)
        voice = int(np.where(enough, likeness, -np.inf).argmax())
        share = min(_MOST_FOREIGN_PROSODY, distance / float(reach[voice]))
    else:
        voice = int((reach * np.sign(distance)).argmax())
        share = _MOST_FOREIGN_PROSODY
    moved = (1 - share) * weights
    moved[voice] += share
    return np.asarray(moved, np.float32)


def score(speaker: Speaker, others: Sequence[Floats], embedding: Floats, f0: float | None) -> float:
    """J of a probe that was heard. ``f0`` in semitones, None where there is none."""
    cosine = float(embedding @ speaker.embedding)
    distance = UNKNOWN_F0_SEMITONES if f0 is None else abs(f0 - speaker.semitones)
    contrast = cosine - max(float(embedding @ other) for other in others) if len(others) else 0.0
    return cosine - F0_WEIGHT * distance + CONTRAST * contrast


def _pairs_and_singles(voices: NDArray[np.intp], count: int) -> list[Floats]:
    """(count,) weights of every voice alone and of every ordered pair at each share."""
    mixtures = []
    for first in voices:
        alone = np.zeros(count, np.float32)
        alone[first] = 1.0
        mixtures.append(alone)
        for second in voices:
            for share in _SHARES if second != first else ():
                pair = share * alone
                pair[second] = 1 - share
                mixtures.append(pair)
    return mixtures
