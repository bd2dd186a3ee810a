"""Lines from a table: a header row with start, end, text and optionally speaker, language, id."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from voiceclone_cli.errors import InputError
from voiceclone_cli.script.line import Line, parse_time

_REQUIRED = ("start", "end", "text")
_DELIMITERS = ",;\t"
MAX_COLUMNS = 1_000


def parse_csv(text: str) -> Iterator[Line]:
    """The lines of a table with columns parted by comma, semicolon or tab; other columns are passed over."""
    header = next((row for row in text.split("\n") if row.strip()), "")
    delimiter = max(_DELIMITERS, key=header.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    columns: dict[str, int] | None = None
    width = 0
    try:
        for cells in reader:
            if len(cells) > MAX_COLUMNS:
                raise InputError(
                    f"line {reader.line_num} has {len(cells):,} cells, more than {MAX_COLUMNS:,}.",
                    code="script_format",
                )
            if not any(cell.strip() for cell in cells):
                continue
            if columns is None:
                columns, width = _columns(cells), len(cells)
            else:
                yield _line(cells, columns, width, f"line {reader.line_num}")
    except csv.Error as error:
        raise InputError(
            f"line {reader.line_num} is not a row of CSV ({error}).", code="script_format"
        ) from error


def _columns(header: list[str]) -> dict[str, int]:
    """Where each column stands."""
    names = [cell.strip().casefold() for cell in header]
    missing = [name for name in _REQUIRED if name not in names]
    if missing:
        raise InputError(
            f"the first row must name the columns start, end and text; there is no {' and no '.join(missing)}.",
            code="script_format",
        )
    for name in (*_REQUIRED, "speaker", "language", "id"):
        if names.count(name) > 1:
            raise InputError(f'has more than one column "{name}".', code="script_format")
    return {name: at for at, name in enumerate(names)}


def _line(cells: list[str], columns: dict[str, int], width: int, where: str) -> Line:
    if any(cell.strip() for cell in cells[width:]):
        raise InputError(
            f'{where} has more cells than the first row; put text that holds the delimiter in "quotes".',
            code="script_format",
        )

    def cell(name: str) -> str:
        at = columns.get(name)
        return cells[at].strip() if at is not None and at < len(cells) else ""

    return Line(
        where,
        parse_time(cell("start"), where),
        parse_time(cell("end"), where),
        cell("text"),
        speaker=cell("speaker") or None,
        id=cell("id") or None,
        language=cell("language") or None,
    )
