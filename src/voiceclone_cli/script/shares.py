"""How much each speaker speaks during a stretch of time, as quickly for a long stretch as for a short one."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from itertools import accumulate

from voiceclone_cli.types import Turn


class SpeakerShares:
    """Sums over the turns of each speaker, in whole microseconds, so that equal shares are equal."""

    def __init__(self, turns: Iterable[Turn]) -> None:
        by_speaker: dict[str, list[Turn]] = {}
        for turn in turns:
            by_speaker.setdefault(turn.speaker, []).append(turn)
        self._starts = {name: _Passed(turn.start for turn in own) for name, own in by_speaker.items()}
        self._ends = {name: _Passed(turn.end for turn in own) for name, own in by_speaker.items()}

    def most(self, start: float, end: float) -> str | None:
        """Who speaks most from ``start`` to ``end`` (seconds), the first by name among equals; None in silence."""
        first, last = _microseconds(start), _microseconds(end)
        best, most = None, 0
        for name in sorted(self._starts):
            starts, ends = self._starts[name], self._ends[name]
            share = starts.since(last) - ends.since(last) - starts.since(first) + ends.since(first)
            if share > most:
                best, most = name, share
        return best


class _Passed:
    """Moments in time, and how long ago all of them together are."""

    def __init__(self, seconds: Iterable[float]) -> None:
        self._moments = sorted(map(_microseconds, seconds))
        self._sums = list(accumulate(self._moments, initial=0))

    def since(self, now: int) -> int:
        """The sum of now - moment over the moments before now."""
        count = bisect_left(self._moments, now)
        return count * now - self._sums[count]


def _microseconds(seconds: float) -> int:
    return round(seconds * 1_000_000)
