"""Pieces of speech that a reference may be put together from. They begin and end between words."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from voiceclone_cli.casting.spans import Span
from voiceclone_cli.types import Word

PAUSE = 0.35
"""Seconds between two words from which on they belong to different pieces."""
LONGEST = 6.0
"""Seconds. Longer pieces are parted, so that there is something to choose from."""

_ROOM = 0.1
"""Seconds a piece may reach beyond its words: recognisers begin words late and end them early."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A bit of one speaker's speech. ``stretch`` is the undisturbed speech that it was cut from."""

    start: float
    end: float
    words: tuple[Word, ...]
    stretch: Span

    @property
    def seconds(self) -> float:
        return self.end - self.start


def pieces_of(stretch: Span, words: Sequence[Word]) -> list[Piece]:
    """The pieces of a stretch, in order. Words that lie only partly within it are in none.

    ``words`` are those of the whole recording, whoever spoke them, in the order of their start.
    """
    whole = [word for word in _near(stretch, words) if stretch[0] <= word.start and word.end <= stretch[1]]
    pieces = [piece_from(run, stretch, words) for phrase in _phrases(whole) for run in _parted(phrase)]
    return [piece for piece in pieces if piece.end > piece.start]


def piece_from(run: Sequence[Word], stretch: Span, words: Sequence[Word]) -> Piece:
    """Neighbouring words as a piece, with a little room around them that no other word is in."""
    first, last = run[0].start, max(word.end for word in run)
    start, end = max(stretch[0], first - _ROOM), min(stretch[1], last + _ROOM)
    own = {id(word) for word in run}
    for word in _near((start, end), words):
        if id(word) in own:
            continue
        if word.start < first:
            start = max(start, min(word.end, first))
        else:
            end = min(end, max(word.start, last))
    return Piece(start, end, tuple(run), stretch)


def _near(span: Span, words: Sequence[Word]) -> Iterator[Word]:
    """The words that may reach into ``span``: no word lasts half a minute."""
    first = bisect_left(words, span[0] - 30.0, key=lambda word: word.start)
    for word in words[first:]:
        if word.start >= span[1]:
            return
        if word.end > span[0]:
            yield word


def _phrases(words: Sequence[Word]) -> Iterator[list[Word]]:
    """Runs of words without a pause between them."""
    phrase: list[Word] = []
    for word in words:
        if phrase and word.start - phrase[-1].end >= PAUSE:
            yield phrase
            phrase = []
        phrase.append(word)
    if phrase:
        yield phrase


def _parted(phrase: Sequence[Word]) -> Iterator[Sequence[Word]]:
    """A phrase in runs of at most LONGEST, parted where the pause is longest, near the middle at best."""
    if len(phrase) < 2 or phrase[-1].end - phrase[0].start <= LONGEST:
        yield phrase
        return
    middle = (phrase[0].start + phrase[-1].end) / 2
    at = max(range(1, len(phrase)), key=lambda index: _parting(phrase[index - 1], phrase[index], middle))
    yield from _parted(phrase[:at])
    yield from _parted(phrase[at:])


def _parting(before: Word, after: Word, middle: float) -> float:
    """How good it is to part two words: their pause in seconds, more after punctuation."""
    mark = before.text.strip()[-1:]
    punctuation = 0.4 if mark and mark in ".?!。？！" else 0.2 if mark and mark in ",;:，；：、" else 0.0
    return after.start - before.end + punctuation - 0.02 * abs((before.end + after.start) / 2 - middle)
