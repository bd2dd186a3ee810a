"""The time that a segment has on the timeline, and by how much its speech is sped up to end in it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate

from voiceclone_cli.types import Segment

GUARD_SECONDS = 0.03
"""Pause before the next segment, so that two lines do not touch."""

AUDIBLE_OVERFLOW = 0.05
"""Seconds past the slot; less is not noticed."""


def stretch_to_fit(length: float, room: float, max_stretch: float) -> float:
    """Return the factor by which speech is sped up: what its room asks for, from 1 to ``max_stretch``.

    Length and room in one unit, seconds or frames. What is longer than its room after that overflows.
    """
    if length <= room:
        return 1.0
    return min(length / room, max_stretch) if room > 0 else max_stretch


def slot_ends(
    segments: Sequence[Segment], recording_seconds: float, borrow: float | None = None
) -> dict[str, float]:
    """Return the end of each segment's slot in seconds, by segment id.

    A slot extends to the start of the next segment of any speaker, minus a guard; the last one extends to the
    end of the recording, which limits all slots. A segment that overlaps with the start or the end of another
    one keeps its own end: people who talk over each other do so for as long as they did. No slot goes on past the
    speaker's own next start, whatever the segments say: subtitles often overlap, a speaker does not. ``borrow`` bounds
    in seconds how far a slot extends past the end of its segment; None: as far as there is silence.
    """
    ordered = sorted(segments, key=lambda segment: segment.start)
    own_starts: dict[str, list[float]] = {}
    for segment in ordered:
        own_starts.setdefault(segment.speaker, []).append(segment.start)
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
        if borrow is not None:
            end = min(end, segment.end + borrow)
        own = own_starts[segment.speaker]
        own_following = bisect_right(own, segment.start)
        if own_following < len(own):
            end = min(end, own[own_following])
        ends[segment.id] = min(end, recording_seconds)
    return ends
