"""What is remarkable about a row. Flags are remarks; only gates decide.

The limits were measured on a telephone call spoken by kokoro, undisturbed and disturbed: docs/check.md.
"""

from __future__ import annotations

from collections.abc import Sequence

from voiceclone_cli.checking.edits import edit_distance
from voiceclone_cli.checking.model import Flag, Row
from voiceclone_cli.checking.reading import Line

_WRONG_MARGIN = -0.02
"""Nearer to zero the two voices are a tie."""
_WRONG_WER = 0.5
_WRONG_LETTERS = 0.5
"""Share of wrong letters. A recogniser mishears a short line as one that sounds like it; of another line
most letters are wrong too."""
_LONGER = 0.1
"""Seconds past the slot."""
_SHORTER = 0.4
_SHORTER_FROM = 1.5
"""Seconds of an original from which on a clone of less than _SHORTER of it lacks something."""
_OFF_DB = 6.0


def flags_of(row: Row, line: Line, wanted: Sequence[str], found: Sequence[str] | None) -> tuple[Flag, ...]:
    """The flags of a row that was measured. ``wanted`` and ``found``: the words of its text, and those heard."""
    is_silent = row.mos is None  # whatever sounds has one
    remarks = {
        Flag.ALTERED: line.sha256 not in (None, row.sha256),
        Flag.SILENT: is_silent,
        Flag.CLIPPED: bool(row.clipped_samples),
        Flag.WRONG_SPEAKER: row.judged and row.margin is not None and row.margin < _WRONG_MARGIN,
        Flag.WRONG_WORDS: not is_silent and found is not None and are_other_words(wanted, found),
        Flag.TOO_LONG: line.overflow_seconds > _LONGER,
        Flag.TOO_SHORT: _is_too_short(row, line),
        Flag.OFF_LEVEL: row.loudness_db is not None and abs(row.loudness_db) > _OFF_DB,
    }
    return tuple(flag for flag, holds in remarks.items() if holds)


def are_other_words(wanted: Sequence[str], found: Sequence[str]) -> bool:
    """Whether another line was said, or none."""
    if not wanted or edit_distance(wanted, found) <= _WRONG_WER * len(wanted):
        return False
    letters = "".join(wanted)
    return edit_distance(letters, "".join(found)) > _WRONG_LETTERS * len(letters)


def _is_too_short(row: Row, line: Line) -> bool:
    long_enough = line.end - line.start >= _SHORTER_FROM
    return long_enough and row.duration_ratio is not None and row.duration_ratio < _SHORTER
