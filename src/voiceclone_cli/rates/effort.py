"""How much there is to do, in the unit that time grows with."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from voiceclone_cli.types import Segment

LETTERS_PER_SECOND = 15.0
"""In ordinary speech."""
BREATH = 0.3
"""Seconds that a line lasts beyond its letters."""


def speech_seconds(segments: Iterable[Segment]) -> float:
    """How long these lines will be, told from their letters: what is known before they are spoken."""
    return sum(BREATH + _letters(segment.text) / LETTERS_PER_SECOND for segment in segments)


def _letters(text: str) -> float:
    """Letters and digits; signs that stand for a syllable or a word count as three."""
    wide = ("W", "F")
    return sum(3.0 if unicodedata.east_asian_width(char) in wide else 1.0 for char in text if char.isalnum())
