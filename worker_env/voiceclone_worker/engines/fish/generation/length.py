"""How long a line may and must be.

A language model of speech fails in a few ways that its length shows: it ends before it begins, it
leaves words out, or it does not find the end. The bounds are wide: they are to catch those, not to
judge anyone's pace.
"""

from __future__ import annotations

import hashlib
import unicodedata
from dataclasses import dataclass

USUAL_UNITS_PER_SECOND = 15.0
"""Letters and the like a second in ordinary speech."""

FASTEST_UNITS_PER_SECOND = 40.0
SLOWEST_UNITS_PER_SECOND = 5.0

SPARE_SECONDS = 1.5
"""For breath, and for the shortest lines, whose pace says little."""

SLOT_SPARE = 1.6
"""What is longer than so many slots can be fitted into none: it may be stretched by 1.3 at most by
default."""


@dataclass(frozen=True)
class Bounds:
    """Frames that a line's speech must and may have."""

    least: int
    most: int


def bounds(text: str, slot_seconds: float | None, frames_per_second: float, limit: int) -> Bounds:
    """From the text's length, its slot (None: it may take its time), and the run's ``limit`` in frames."""
    units = _units(text)
    least = max(1, round(units / FASTEST_UNITS_PER_SECOND * frames_per_second))
    seconds = units / SLOWEST_UNITS_PER_SECOND + SPARE_SECONDS
    if slot_seconds is not None:
        # A slot that is too short for the words must not cut them off.
        unhurried = 2 * units / USUAL_UNITS_PER_SECOND + SPARE_SECONDS
        seconds = min(seconds, max(slot_seconds * SLOT_SPARE, unhurried))
    most = min(limit, max(least + 1, round(seconds * frames_per_second)))
    return Bounds(min(least, most), most)


def reroll_seed(seed: int, attempt: int) -> int:
    """The seed of a line's ``attempt`` (from 1, which is its own): the same wherever it is spoken."""
    if attempt == 1:
        return seed
    digest = hashlib.sha256(f"{seed}:{attempt}".encode()).digest()
    return int.from_bytes(digest[:4], "big") & 0x7FFFFFFF


def _units(text: str) -> float:
    """Letters and digits; signs that stand for a syllable or a word count as three."""
    return sum(
        3.0 if unicodedata.east_asian_width(char) in "WF" else 1.0
        for char in text
        if char.isalnum() or unicodedata.category(char).startswith("M")
    )
