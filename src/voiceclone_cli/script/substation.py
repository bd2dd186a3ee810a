"""Lines from ASS and SSA files: their Dialogue lines; styles, fonts and pictures are passed over."""

from __future__ import annotations

import re
from collections.abc import Iterator

from voiceclone_cli.errors import InputError
from voiceclone_cli.script.line import Line, check_markup, clock_seconds

_FIELDS = 10
"""Of a Dialogue line: layer, start, end, style, name, three margins, effect, text. Commas in the text stay."""
_STAMP = re.compile(r"\s*(\d{1,2}):(\d{1,2}):(\d{1,2})\.(\d{1,3})\s*", re.ASCII)
_DRAWING = re.compile(r"\\p[1-9]")
_BREAK = re.compile(r"\\[Nnh]")


def parse_ass(text: str) -> Iterator[Line]:
    """A line for every Dialogue that is text, with its Name (actor) as speaker."""
    position = 0
    for number, row in enumerate(text.split("\n"), 1):
        kind, colon, rest = row.strip().partition(":")
        if kind != "Dialogue" or not colon:
            continue
        cells = rest.split(",", _FIELDS - 1)
        stamps = [_STAMP.fullmatch(cell) for cell in cells[1:3]]
        if len(cells) < _FIELDS or None in stamps:
            raise InputError(
                f"line {number} is not a Dialogue line of ten fields with times like 0:00:01.50.",
                code="script_time",
            )
        start, end = (clock_seconds(*stamp.groups()) for stamp in stamps if stamp is not None)
        check_markup(cells[-1], f"line {number}")
        overrides, spoken = _parted(cells[-1])
        if not _DRAWING.search(overrides):
            position += 1
            yield Line(f"dialogue {position}", start, end, spoken, cells[4].strip() or None)


def _parted(text: str) -> tuple[str, str]:
    r"""A text's overrides (``{\i1}``), joined, and the rest, with blanks for line breaks."""
    overrides, spoken = [], []
    *closed, last = text.split("}")
    for piece in closed:
        before, opening, inside = piece.partition("{")
        spoken.append(before if opening else piece + "}")
        overrides.append(inside)
    return "}".join(overrides), _BREAK.sub(" ", "".join((*spoken, last)))
