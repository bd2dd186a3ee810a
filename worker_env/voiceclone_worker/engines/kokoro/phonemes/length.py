"""How long kokoro's lines are, and how fast a speaker is, from phonemes alone: no network is loaded."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from voiceclone_worker.engines.base import SegmentError
from voiceclone_worker.engines.kokoro.phonemes import reader, registry

SPEEDS = (0.8, 1.25)
"""Between which kokoro speaks as fast as a speaker does."""
_MIN_RATE_SECONDS = 2.0
"""Shorter references say too little about the speaking rate."""
_ENGLISH_SECONDS = 0.3
"""By which an English word in a Chinese line is longer than its tokens, since it is said as if alone."""


class LineSize(NamedTuple):
    """How much a text has to speak."""

    tokens: int
    english_words: int
    """Of a Chinese text: words, or several together, that an English voice says."""


@lru_cache(maxsize=20_000)
def size_of(text: str, language: str) -> LineSize | None:
    """Return how much a text has to speak.

    None where that cannot be told: kokoro has no voices of the language, a package that reads it is missing, or there is
    nothing to speak. ``language``: BCP 47.
    """
    if registry.find(language) is None:
        return None
    try:
        reading = reader.read(text, language)
    except SegmentError:
        return None
    return LineSize(len(reader.to_tokens(reading.phonemes)), len(reading.english))


def typical_seconds(text: str, language: str) -> float | None:
    """Return how many seconds a line is in a typical voice of its language, at speed 1; None as above."""
    found, size = registry.find(language), size_of(text, language)
    if found is None or size is None:
        return None
    return found.length.line + found.length.token * size.tokens + _ENGLISH_SECONDS * size.english_words


def speaking_pace(text: str, language: str, seconds: float) -> float | None:
    """Return how fast a speaker is who says a text in ``seconds``, 1.0 as Kokoro's voices in its language.

    None where the text, its language or the usual rate of that is not known, and where the speech is too short.
    """
    found, size = registry.find(language), size_of(text, language)
    if found is None or size is None or seconds < _MIN_RATE_SECONDS:
        return None
    return size.tokens / seconds / found.rates.text


def fixed_seconds(language: str) -> float | None:
    """Return the seconds of a line beyond its tokens; None as above."""
    found = registry.find(language)
    return None if found is None else found.length.line


def typical_characters(seconds: float, language: str) -> int | None:
    """Return how many characters of text a typical voice speaks in a line of ``seconds``; None as above."""
    found = registry.find(language)
    if found is None:
        return None
    return max(0, int((seconds - found.length.line) / found.length.token / found.length.tokens))
