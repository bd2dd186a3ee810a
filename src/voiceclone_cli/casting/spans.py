"""Stretches of time: when a speaker speaks, and when nobody else does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from voiceclone_cli.types import Turn

Span = tuple[float, float]
"""Start and end in seconds."""


def alone(turns: Sequence[Turn], speaker: str, *, margin: float = 0.0) -> list[Span]:
    """Where nobody but ``speaker`` speaks: their turns without those of all others.

    ``margin`` widens their own turns by that many seconds, but never into somebody else's.
    """
    own = [(max(0.0, turn.start - margin), turn.end + margin) for turn in turns if turn.speaker == speaker]
    others = [(turn.start, turn.end) for turn in turns if turn.speaker != speaker]
    return subtract(merge(own), merge(others))


def merge(spans: Iterable[Span]) -> list[Span]:
    """The same time in spans that neither touch nor overlap, in order."""
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def subtract(spans: Sequence[Span], holes: Sequence[Span]) -> list[Span]:
    """What of ``spans`` lies in no hole; both in order and without overlap."""
    left: list[Span] = []
    first = 0
    for start, end in spans:
        while first < len(holes) and holes[first][1] <= start:
            first += 1
        for hole_start, hole_end in holes[first:]:
            if hole_start >= end:
                break
            if hole_start > start:
                left.append((start, hole_start))
            start = max(start, hole_end)
        if start < end:
            left.append((start, end))
    return left
