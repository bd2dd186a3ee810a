"""Corrections of lines, applied to a script: the recording's own, or a file's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from voiceclone_cli.correcting.corrections import Correction, LineCorrection
from voiceclone_cli.correcting.names import Names
from voiceclone_cli.types import Script, Segment


def correct_lines(script: Script, corrections: Sequence[Correction], *, in_script: int = 0) -> Script:
    """The script as its corrections want it, with notes on those that fit it no more.

    Speakers have today's names. A correction of a line holds for the words that it corrected: where the
    line says something else by now, it is passed over. The first ``in_script`` corrections are in the
    script already, where a hand may have changed the line since: only their seeds still count, where
    words and speaker are as corrected.
    """
    names = Names(corrections)
    lines = {line.id: replace(line, speaker=names.now(line.speaker)) for line in script.segments}
    fits: dict[str, bool] = {}
    for number, correction in enumerate(corrections):
        if not isinstance(correction, LineCorrection):
            continue
        line = lines.get(correction.id)
        corrected = None
        if line is not None:
            settled = number < in_script
            corrected = (_take if settled else _corrected)(line, correction, names)
            lines[line.id] = corrected or line
        # The last correction of a line tells: those before it led up to it.
        fits[correction.id] = corrected is not None or number < in_script
    return Script(tuple(lines.values()), (*script.notes, *_notes(fits, lines)))


def _corrected(line: Segment, correction: LineCorrection, names: Names) -> Segment | None:
    """The line after a correction; None where that was made of other words."""
    if line.text != correction.was.text:
        return _take(line, correction, names)
    after = correction.becomes
    return replace(
        line,
        text=after.text,
        speaker=line.speaker if correction.speaker is None else names.now(correction.speaker),
        seed=line.seed if correction.seed is None else correction.seed,
    )


def _take(line: Segment, correction: LineCorrection, names: Names) -> Segment | None:
    """A line that is as corrected already, with the seed of the correction; None where it is not."""
    after = correction.becomes
    if (line.text, line.speaker) != (after.text, names.now(after.speaker)):
        return None
    return replace(line, seed=after.seed) if after.seed is not None else line


def _notes(fits: dict[str, bool], lines: dict[str, Segment]) -> list[str]:
    gone = [id for id, fit in fits.items() if not fit and id not in lines]
    other = [id for id, fit in fits.items() if not fit and id in lines]
    notes = []
    if gone:
        notes.append(f"Corrections of lines that are no more are passed over: {_few(gone)}.")
    if other:
        notes.append(f"Corrections of lines that say something else by now are passed over: {_few(other)}.")
    return notes


def _few(ids: Sequence[str], most: int = 10) -> str:
    more = f" and {len(ids) - most} more" if len(ids) > most else ""
    return ", ".join(ids[:most]) + more
