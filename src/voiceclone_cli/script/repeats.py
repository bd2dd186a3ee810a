"""Text that subtitles show more than once: rolling captions, layers, and signs that move.

- Rolling captions of video sites and of television repeat the last rows of a cue above the next one, and some
  write a row word by word. People repeat themselves too ("No." - "No."), so a row counts as rolling only if the
  file does this throughout, or several times in sequence.
- Layers of ASS files (outline, glow) and files that were joined show the same text twice at the same time.
- A sign that moves is a cue for each picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from voiceclone_cli.script.parsers import ScriptLine
from voiceclone_cli.script.sounds import REPEATED_AT_ONCE, REPEATED_CUE
from voiceclone_cli.types import OmittedText

SAME_TIME = 0.1
"""Seconds by which the starts and the ends of two lines may differ that are shown at the same time."""
FLASH = 0.05
"""Seconds. A shorter cue only carries rows from one cue to the next."""
FRAMES = 0.25
"""Seconds. A shorter cue is a step of a moving sign, if its text goes on in the next one."""
MAX_ROWS = 8
"""Rows of a cue that can roll."""
MIN_WORDS = 3
"""Words that a cue must repeat where the rows of the captions were joined."""
MAX_WORDS = 40


def remove_repeats(
    lines: Sequence[ScriptLine],
) -> tuple[list[ScriptLine], list[OmittedText], list[str]]:
    """Return the lines with each text once, the repeated text, and a note for each kind of repetition.

    The lines must be sorted by their start. The text of a line has rows; a row is spoken at the time where it
    is new, until the next row begins or it is gone.
    """
    once, copies = _without_copies(lines)
    kept, rolled = _unroll(once)
    notes = []
    if copies:
        notes.append(
            f"{_count(len(copies), 'line shows', 'lines show')} the text of another one at the same time, as "
            "layers and moving signs do: each text is spoken once."
        )
    if rolled:
        notes.append(
            f"The captions roll: {_count(len(rolled), 'cue repeats', 'cues repeat')} text of the cue before; each "
            "text is spoken once, when it is new."
        )
    return kept, [*copies, *rolled], notes


def _count(number: int, one: str, more: str) -> str:
    return f"{number:,} {one if number == 1 else more}"


def _without_copies(lines: Sequence[ScriptLine]) -> tuple[list[ScriptLine], list[OmittedText]]:
    """Drop lines with the text of another one at the same time, and join the steps of moving signs."""
    kept: list[ScriptLine] = []
    copies: list[OmittedText] = []
    # By text and speaker: the position of the latest line, and that line or the latest step of its sign.
    latest: dict[tuple[str, str | None], tuple[int, ScriptLine]] = {}
    # Of texts that come again: the lines by tenths of a second.
    places: dict[tuple[str, str | None, int, int], ScriptLine] = {}
    for line in lines:
        if not any(map(str.isalnum, line.text)):
            kept.append(line)
            continue
        key = (line.text, line.speaker)
        if (before := latest.get(key)) is not None:
            at, step = before
            if _is_next_step(step, line):
                kept[at] = replace(kept[at], end=line.end)
                latest[key] = at, line
                copies.append(OmittedText(line.where, line.start, line.end, line.text, REPEATED_CUE))
                continue
            places[(*key, *_tenths(step))] = step
            start, end = _tenths(line)
            if any(
                (other := places.get((*key, first, last))) is not None and _is_same_time(line, other)
                for first in (start, start - 1, start + 1)
                for last in (end, end - 1, end + 1)
            ):
                copies.append(OmittedText(line.where, line.start, line.end, line.text, REPEATED_AT_ONCE))
                continue
        latest[key] = len(kept), line
        kept.append(line)
    return kept, copies


def _tenths(line: ScriptLine) -> tuple[int, int]:
    return int(line.start / SAME_TIME), int(line.end / SAME_TIME)


def _is_same_time(line: ScriptLine, other: ScriptLine) -> bool:
    return abs(line.start - other.start) <= SAME_TIME and abs(line.end - other.end) <= SAME_TIME


def _is_next_step(step: ScriptLine, line: ScriptLine) -> bool:
    """Tell whether a line continues a moving sign: both are short, without a pause between."""
    return (
        max(step.end - step.start, line.end - line.start) <= FRAMES
        and abs(line.start - step.end) <= FLASH / 2
    )


@dataclass(slots=True)
class _Shown:
    """A line that is spoken, with its rows and the time until which they are shown."""

    line: ScriptLine
    rows: list[str]
    end: float
    rolls: bool = False


def _unroll(lines: Sequence[ScriptLine]) -> tuple[list[ScriptLine], list[OmittedText]]:
    """Drop what captions repeat from the cue before, and extend each text until the next one begins."""
    rows = [line.text.split("\n") for line in lines]
    overlaps = _overlaps(lines, rows, MAX_ROWS, 1)
    joint = "\n"
    if max(map(len, rows), default=0) == 1:
        # Some programs join the rows of a cue to one; then the words show whether captions roll.
        words = [line.text.split() for line in lines]
        by_word = _overlaps(lines, words, MAX_WORDS, MIN_WORDS)
        if sum(map(bool, by_word)) > sum(map(bool, overlaps)):
            rows, overlaps, joint = words, by_word, " "
    if not any(overlaps):
        return list(lines), []
    shown: list[_Shown] = []
    repeated: list[OmittedText] = []
    for at, line in enumerate(lines):
        overlap = overlaps[at]
        if not overlap:
            shown.append(_Shown(line, list(rows[at]), line.end))
            continue
        latest = shown[-1]
        latest.rolls = True
        if line.start <= latest.end + SAME_TIME:
            latest.end = max(latest.end, line.end)
        # The last row of the cue before may have grown by some words.
        latest.rows[-1] = rows[at][overlap - 1]
        old = [*rows[at][: overlap - 1], rows[at - 1][-1]]
        repeated.append(OmittedText(line.where, line.start, line.end, joint.join(old), REPEATED_CUE))
        if new := rows[at][overlap:]:
            shown.append(_Shown(line, new, line.end, rolls=True))
    kept = []
    for at, item in enumerate(shown):
        end = item.end
        if item.rolls and at + 1 < len(shown) and item.line.start < shown[at + 1].line.start:
            end = min(end, shown[at + 1].line.start)
        kept.append(replace(item.line, text=joint.join(item.rows), end=end) if item.rolls else item.line)
    return kept, repeated


def _overlaps(
    lines: Sequence[ScriptLine], rows: Sequence[Sequence[str]], limit: int, enough: int
) -> list[int]:
    """Return for each cue how many rows (or words) it repeats from the cue before; 0 where captions do not roll.

    At most ``limit`` rows are compared; fewer than ``enough`` count only if they are all rows of one of the cues.
    """
    found = [0] * len(lines)
    for at in range(1, len(lines)):
        before, own = rows[at - 1], rows[at]
        overlap = _overlap(before, own, limit)
        if not overlap:
            continue
        is_flash = lines[at].end - lines[at].start <= FLASH
        has_news = len(own) > overlap or own[overlap - 1] != before[-1]
        if has_news:
            counts = overlap >= enough or overlap == len(before)
        else:  # all of it is repeated: a flash between two cues, or the rest of rows that rolled away
            is_rest = overlap >= enough and (len(before) > len(own) or (enough == 1 and len(own) > 1))
            counts = (is_flash or is_rest) and lines[at].start <= lines[at - 1].end + SAME_TIME
        found[at] = overlap if counts else 0
    count = sum(map(bool, found))
    if count >= 2 and 3 * count >= len(lines) - 1:
        return found
    # A part of a file that rolls: at least three cues in sequence.
    first = 0
    for at in range(len(lines) + 1):
        if at == len(lines) or not found[at]:
            if at - first < 3:
                found[first:at] = [0] * (at - first)
            first = at + 1
    return found


def _overlap(before: Sequence[str], rows: Sequence[str], limit: int) -> int:
    """Return how many rows at the start of a cue are the last ones of the cue before; the last may have grown."""
    last = before[-1] if before else ""
    if not last or not rows or not (rows[0] in before or rows[0].startswith(f"{last} ")):
        return 0
    for count in range(min(len(before), len(rows), limit), 0, -1):
        row = rows[count - 1]
        if (row == last or row.startswith(f"{last} ")) and list(before[-count:-1]) == list(rows[: count - 1]):
            return count
    return 0
