"""Captions of a dubbed video: what is shown of the script, when, and in which rows."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator, Sequence

from voiceclone_cli.script.parsers import ScriptLine, share_time
from voiceclone_cli.script.typography import captions, full_width
from voiceclone_cli.types import Segment

Cue = tuple[int, int, str]
"""Start and end in milliseconds, and the text on the screen, with line breaks between its rows."""

SHORTEST = 1.0
"""Seconds. A line is not divided into captions that are shorter."""


def caption_cues(segments: Sequence[Segment]) -> list[Cue]:
    """Return cues that do not overlap, as 3GPP timed text (TS 26.245) requires.

    A line that needs more than two rows is shown in several cues, one after the other, which share its time by their
    units of speech. The texts of lines that overlap are in one cue, each with a dash.
    """
    lines = sorted(
        (round(start * 1000), index, round(end * 1000), text)
        for index, (start, end, text) in enumerate(itertools.chain(*map(_captions, segments)))
    )
    times = sorted({time for start, _, end, _ in lines for time in (start, end)})
    cues: list[Cue] = []
    active: list[tuple[int, int, str]] = []
    """Heap of (end, index, text)."""
    next_line = 0
    for start, end in itertools.pairwise(times):
        while next_line < len(lines) and lines[next_line][0] <= start:
            _, index, line_end, text = lines[next_line]
            heapq.heappush(active, (line_end, index, text))
            next_line += 1
        while active and active[0][0] <= start:
            heapq.heappop(active)
        texts = [text for _, _, text in sorted(active, key=lambda line: line[1]) if text]
        if texts:
            cues.append((start, end, texts[0] if len(texts) == 1 else "\n".join(f"- {t}" for t in texts)))
    return cues


def _captions(segment: Segment) -> Iterator[tuple[float, float, str]]:
    """Yield start, end and rows of each caption of a segment."""
    text = full_width(segment.text.strip(), segment.language)
    texts = captions(text, segment.language, int((segment.end - segment.start) / SHORTEST))
    for part in share_time(ScriptLine("", segment.start, segment.end, text), texts):
        yield part.start, part.end, part.text
