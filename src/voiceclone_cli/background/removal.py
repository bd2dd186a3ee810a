"""Voices taken out of a stream of blocks where somebody speaks; elsewhere it passes as it is."""

from __future__ import annotations

import sys
import typing
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise

from voiceclone_cli.background.presence import Span, envelope, merged

if typing.TYPE_CHECKING:
    from voiceclone_cli.media.decoder import Channels

PADDING_SECONDS = 0.15
"""Around each turn: a diarizer's edges are not those of the first and the last sound."""
FADE_SECONDS = 0.1
GAP_SECONDS = 1.0
"""Pauses shorter than this are taken with what is around them."""

PIECE_SECONDS = 15.0
CONTEXT_SECONDS = 2.5
"""Before a piece: the networks remember, and are given something to remember."""
LOOKAHEAD_SECONDS = 0.5


def without_voices(
    blocks: Iterable[Channels], rate: int, turns: Iterable[Span], voices: Callable[[Channels], Channels]
) -> Iterator[Channels]:
    """The blocks with what ``voices`` finds taken out of them during ``turns``.

    Pieces of at most PIECE_SECONDS are looked into at a time, with what is around them; memory holds one.
    The samples outside of padded turns are the very ones that came.
    """
    spans = merged(((start - PADDING_SECONDS, end + PADDING_SECONDS) for start, end in turns), GAP_SECONDS)
    window = _Window(blocks, round(CONTEXT_SECONDS * rate))
    for start, end in _pieces(spans, rate):
        yield from window.pass_until(start)
        around = window.look(end + round(LOOKAHEAD_SECONDS * rate))
        before = window.kept
        if len(around) == before:
            return
        found = voices(around)[before : before + end - start]
        presence = envelope(spans, start, start + len(found), rate, FADE_SECONDS, FADE_SECONDS)
        yield around[before : before + len(found)] - presence[:, None] * found
        window.advance(len(found))
    yield from window.pass_until(sys.maxsize)


def _pieces(spans: Sequence[Span], rate: int) -> Iterator[tuple[int, int]]:
    """The frames to look into, in order: each span with its fades, in equal parts that are not too long."""
    for start, end in spans:
        first, last = max(0, round((start - FADE_SECONDS) * rate)), round((end + FADE_SECONDS) * rate)
        parts = -(-(last - first) // round(PIECE_SECONDS * rate))
        edges = [first + (last - first) * part // parts for part in range(parts + 1)]
        yield from pairwise(edges)


class _Window:
    """The samples of a stream that are still to be given on, and up to ``most_kept`` that were before them."""

    def __init__(self, blocks: Iterable[Channels], most_kept: int) -> None:
        self._blocks = iter(blocks)
        self._most_kept = most_kept
        self._held: Channels | None = None
        self._position = 0
        self.kept = 0
        """So many of the held samples were given on already."""

    def pass_until(self, frame: int) -> Iterator[Channels]:
        """Give on, as it is, what comes before ``frame``."""
        while self._position < frame:
            held = self._read_until(self._position + 1)
            piece = held[self.kept : self.kept + frame - self._position]
            if not len(piece):
                return
            yield piece
            self.advance(len(piece))

    def look(self, frame: int) -> Channels:
        """What is held and goes on, up to ``frame`` or the end of the stream."""
        return self._read_until(frame)[: self.kept + frame - self._position]

    def advance(self, frames: int) -> None:
        """So many samples more were given on."""
        assert self._held is not None
        self._position += frames
        self.kept += frames
        spare = max(0, self.kept - self._most_kept)
        self._held = self._held[spare:]
        self.kept -= spare

    def _read_until(self, frame: int) -> Channels:
        import numpy as np

        held = [] if self._held is None else [self._held]
        missing = frame - self._position + self.kept - sum(map(len, held))
        while missing > 0 and (block := next(self._blocks, None)) is not None:
            held.append(block)
            missing -= len(block)
        self._held = np.concatenate(held) if held else np.zeros((0, 0), np.float32)
        return self._held
