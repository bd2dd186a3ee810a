"""How sure a diarization is: margins of turns, and a requested number of speakers that the voices contradict."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from voiceclone_cli.types import Turn

Floats = np.ndarray[Any, np.dtype[np.floating[Any]]]
Labels = np.ndarray[Any, np.dtype[np.intp]]

# Chosen on the development set (benchmarks/diarization.py), both halves: of 110 speakers, three of four have a
# similarity of more than .82 between the two halves of their own excerpts; of 162 pairs of speakers, 95 % have under .77.
DIFFERENT = 0.8
"""Similarity (cosine) of two mean embeddings under which they must not be one speaker."""
SAME = 0.85
SAME_OF_MANY = 0.8
"""Similarity beyond which they must not be two speakers: with one speaker more than found, and with several more."""
_LEAST_SECONDS = 3.0
"""Of speech, for the mean of a speaker to prove anything."""


@dataclass(frozen=True, slots=True)
class Speakers:
    """Speakers as a clustering found them: of each excerpt the speaker, from 0, and the mean embedding of each."""

    labels: Labels
    centroids: Floats


Margins = Sequence[tuple[float, float, float]]
"""Start and end in seconds of excerpts of speech, ordered, that do not overlap; and the margin of each."""


def with_margins(turns: Sequence[Turn], margins: Margins) -> list[Turn]:
    """Return the turns with the mean margin of their excerpts, weighted by the seconds that they share.

    A turn without an excerpt has 0.0: it lies in the speech of others, and its own voice was never alone.
    """
    starts = [start for start, _, _ in margins]
    found = []
    for turn in turns:
        total = weight = 0.0
        index = max(0, bisect_right(starts, turn.start) - 1)
        while index < len(margins) and margins[index][0] < turn.end:
            start, end, margin = margins[index]
            shared = max(0.0, min(end, turn.end) - max(start, turn.start))
            total, weight = total + shared * margin, weight + shared
            index += 1
        found.append(replace(turn, margin=round(total / weight, 3) if weight else 0.0))
    return found


_LISTED_TURNS = 5


def uncertain_note(turns: Sequence[Turn]) -> tuple[str, ...]:
    """Return a sentence on the turns whose speaker is uncertain; none where there are none."""
    uncertain = [turn for turn in turns if turn.is_uncertain]
    if not uncertain:
        return ()
    # The longest are the ones that matter.
    longest = sorted(uncertain, key=lambda turn: -turn.seconds)[:_LISTED_TURNS]
    longest.sort(key=lambda turn: turn.start)
    listed = ", ".join(f"{turn.speaker} {turn.start:.1f}-{turn.end:.1f} s" for turn in longest)
    more = f", and {len(uncertain) - len(longest)} shorter" if len(uncertain) > len(longest) else ""
    return (f"the speaker of {len(uncertain)} of {len(turns)} turns is uncertain: {listed}{more}",)


def contradiction(requested: Speakers, free: Speakers, seconds: Floats) -> str | None:
    """Return one sentence where the requested number of speakers contradicts the voices; None where it may be right.

    ``free``: what the clustering finds by itself. ``seconds``: (excerpts,), of speech.
    """
    if len(free.centroids) > len(requested.centroids):
        similarity = _joined(requested, free, seconds)
        if similarity < DIFFERENT:
            return (
                f"the voices are those of about {len(free.centroids)} speakers, not of {len(requested.centroids)} as requested: "
                f"two that had to become one have a similarity of {similarity:.2f}, and the speech of one person "
                f"mostly has more than {DIFFERENT}; check the number"
            )
    elif len(free.centroids) < len(requested.centroids):
        similarity = _parted(requested, free, seconds)
        more = len(requested.centroids) - len(free.centroids)
        if similarity > (SAME if more == 1 else SAME_OF_MANY):
            return (
                f"the voices are those of about {len(free.centroids)} speakers, not of {len(requested.centroids)} as requested: "
                f"two of them have a similarity of {similarity:.2f}, and different people mostly have less than "
                f"{SAME_OF_MANY}; check the number"
            )
    return None


def _joined(requested: Speakers, free: Speakers, seconds: Floats) -> float:
    """Return the least similarity of two free speakers, with speech enough, who are one requested speaker."""
    into = _mostly(free.labels, requested.labels, seconds, len(free.centroids))
    durations = np.bincount(free.labels, weights=seconds, minlength=len(free.centroids))
    return min(
        (
            _cosine(free.centroids[one], free.centroids[other])
            for one in range(len(free.centroids))
            for other in range(one)
            if into[one] == into[other] and min(durations[one], durations[other]) >= _LEAST_SECONDS
        ),
        default=1.0,
    )


def _parted(requested: Speakers, free: Speakers, seconds: Floats) -> float:
    """Return the greatest similarity of two requested speakers who are one free speaker."""
    out_of = _mostly(requested.labels, free.labels, seconds, len(requested.centroids))
    return max(
        (
            _cosine(requested.centroids[one], requested.centroids[other])
            for one in range(len(requested.centroids))
            for other in range(one)
            if out_of[one] == out_of[other]
        ),
        default=0.0,
    )


def _mostly(labels: Labels, others: Labels, seconds: Floats, number: int) -> list[int]:
    """Return for each of ``number`` labels the other label that has most of its seconds."""
    return [
        int(np.argmax(np.bincount(others[labels == label], weights=seconds[labels == label], minlength=1)))
        for label in range(number)
    ]


def _cosine(one: Floats, other: Floats) -> float:
    return float(one @ other / (np.linalg.norm(one) * np.linalg.norm(other)))
