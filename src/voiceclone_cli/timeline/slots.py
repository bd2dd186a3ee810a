"""How much time each line has, and how fine the mix's time is."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate

from voiceclone_cli.types import Segment

GUARD_SECONDS = 0.03
"""Left free before the next segment, so that two lines do not touch."""


def slot_ends(segments: Sequence[Segment], recording_seconds: float) -> dict[str, float]:
    """Where each segment's slot ends, in seconds, by segment id.

    A slot runs to the start of the next segment of anybody, less a small guard; the last one runs to the end
    of the recording, which no slot passes. A segment into which somebody speaks, or over whose end somebody
    goes on, has its own time and no more: people talk over each other for as long as they did.
    """
    ordered = sorted(segments, key=lambda segment: segment.start)
    starts = [segment.start for segment in ordered]
    latest_ends = list(accumulate((segment.end for segment in ordered), max))
    ends = {}
    for segment in ordered:
        following = bisect_right(starts, segment.start)
        begun = bisect_left(starts, segment.end)
        if begun > following or (begun and latest_ends[begun - 1] > segment.end):
            end = segment.end
        elif following < len(starts):
            end = max(segment.end, starts[following] - GUARD_SECONDS)
        else:
            end = recording_seconds
        ends[segment.id] = min(end, recording_seconds)
    return ends


def mix_rate(source_rate: int, speech_rates: Sequence[int]) -> int:
    """The recording's own rate, or its smallest whole multiple that carries the speech.

    A whole multiple, so that the mix has exactly as many samples as the recording, times that number.
    """
    wanted = max(speech_rates, default=0)
    return source_rate * max(1, -(-wanted // source_rate))
