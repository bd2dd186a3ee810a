"""Which turn a stretch of time falls into, found quickly among thousands."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

from voiceclone_cli.types import Turn


class TurnIndex:
    """Turns in the order of their start, which may overlap."""

    def __init__(self, turns: Iterable[Turn]) -> None:
        self.turns = sorted(turns, key=lambda turn: (turn.start, turn.end))
        self._starts = [turn.start for turn in self.turns]
        # The longest-lasting turn among the first i + 1: tells when a walk back can stop.
        self._lasting: list[Turn] = []
        for turn in self.turns:
            last = self._lasting[-1] if self._lasting else turn
            self._lasting.append(turn if turn.end > last.end else last)

    def overlapping(self, start: float, end: float) -> Iterator[tuple[Turn, float]]:
        """The turns that share time with start..end, and how many seconds, latest first."""
        position = bisect_left(self._starts, end) - 1
        while position >= 0 and self._lasting[position].end > start:
            turn = self.turns[position]
            shared = min(end, turn.end) - max(start, turn.start)
            if shared > 0:
                yield turn, shared
            position -= 1

    def most_shared(self, start: float, end: float) -> Turn | None:
        """The turn that shares most time with start..end; the earliest of equals."""
        best, most = None, 0.0
        for turn, shared in self.overlapping(start, end):
            if shared >= most:
                best, most = turn, shared
        return best

    def nearest(self, start: float, end: float) -> tuple[Turn, float] | None:
        """The nearest turn and its distance in seconds (0.0 when they touch); None when there is no turn."""
        following = bisect_right(self._starts, end)
        candidates = []
        if following > 0:
            turn = self._lasting[following - 1]
            candidates.append((turn, max(0.0, start - turn.end)))
        if following < len(self.turns):
            turn = self.turns[following]
            candidates.append((turn, turn.start - end))
        return min(candidates, key=lambda candidate: candidate[1], default=None)
