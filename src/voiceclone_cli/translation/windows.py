"""Which lines go out together, and which of these windows one after the other.

Windows are of consecutive lines and end at pauses. Where several requests are sent at a time, the windows are cut into
as many parts, in the order of the script. The requests of a part follow each other, so that each one tells what was
translated before; the parts know nothing of each other, so that what is sent does not depend on which answer is first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from voiceclone_cli.types import Segment

WINDOW, SHORTEST_WINDOW = 20, 10
"""Lines that are asked for together, at most, and before a pause at least."""
WINDOW_CHARACTERS = 4_000
"""Characters of these lines, unless a single one has more."""
PAUSE = 1.0
"""Seconds of silence where a window ends rather than within a conversation."""

Window = Sequence[int]
"""Lines, by their index in the script."""


def windows(segments: Sequence[Segment], wanted: Sequence[int]) -> Iterator[Window]:
    """Yield the wanted lines in windows of consecutive lines in one language, cut at a pause where there is one."""
    at = 0
    while at < len(wanted):
        end, characters = at, 0
        while end < len(wanted) and end - at < WINDOW:
            n = wanted[end]
            characters += len(segments[n].text)
            follows = end == at or (
                n == wanted[end - 1] + 1 and segments[n].language == segments[wanted[at]].language
            )
            if not follows or (end > at and characters > WINDOW_CHARACTERS):
                break
            end += 1
        if end - at == WINDOW and end < len(wanted):
            end = _best_cut(segments, wanted, at, end)
        yield list(wanted[at:end])
        at = end


def _best_cut(segments: Sequence[Segment], wanted: Sequence[int], at: int, end: int) -> int:
    """Return where the longest pause is that a window may end at; without one, its longest end."""

    def pause(cut: int) -> float:
        return segments[wanted[cut]].start - segments[wanted[cut - 1]].end

    longest = max(range(at + SHORTEST_WINDOW, end + 1), key=lambda cut: (pause(cut), cut))
    return longest if pause(longest) >= PAUSE else end


def parts(found: Sequence[Window], at_once: int) -> list[Sequence[Window]]:
    """Return at most ``at_once`` parts of these windows, in their order; their lengths differ by one at most."""
    count = min(at_once, len(found))
    return [found[len(found) * n // count : len(found) * (n + 1) // count] for n in range(count)]
