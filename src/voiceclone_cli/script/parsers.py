"""What all parsers of script files share, and those of JSON and CSV; for subtitles see :mod:`.subtitles`.

A parser takes the text of a file and yields what it finds, in the order of the file: lines, text that is not
spoken (a damaged line is a DamagedLine) and notes for the user (str). It raises InputError only where the whole
file cannot be read. These are our own parsers because no text may be lost in silence, and because they take
time in proportion to the text, whatever it contains.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

from voiceclone_cli.encodings import DecodedText, decode
from voiceclone_cli.errors import InputError
from voiceclone_cli.script.typography import join_rows
from voiceclone_cli.types import OmittedText
from voiceclone_worker.protocol import MAX_SEED
from voiceclone_worker.speech_units import speech_units
from voiceclone_worker.validation import ContractError, shown
from voiceclone_worker.validation import parse_json as parse_document

SCHEMA = "voiceclone.script/1"
"""The schema of a JSON script."""
MAX_SECONDS = 100 * 3600 - 0.001
"""The latest time of a subtitle: 99:59:59.999."""
MAX_MARKUP = 100_000
"""Characters of a line's text, with formatting."""

MAX_BYTES = 32 * 2**20
MAX_ROWS = 1_000_000
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_CLOCK = re.compile(r"(-?)(?:(?:(\d+):)?(\d+):)?(\d+(?:[.,]\d+)?)", re.ASCII)
_JOINT = re.compile(r"(?<!\n)\ufeff(?=WEBVTT|\[Script Info\]|\d{1,9}[ \t]*\n[^\n]*-->)|(?<=\n)\ufeff")
"""The byte order mark of a file that was appended to another one; the last row of that may have no end."""


@dataclass(frozen=True, slots=True)
class ScriptLine:
    """A line of a script file; None stands for a value that the file does not give.

    ``where`` names the line in messages ("cue 3").
    """

    where: str
    start: float
    end: float
    text: str
    speaker: str | None = None
    id: str | None = None
    language: str | None = None
    seed: int | None = None
    original: str | None = None


@dataclass(frozen=True, slots=True)
class DamagedLine(OmittedText):
    """A line that cannot be spoken because of a fault; ``reason`` is a clause that fits behind ``where``."""

    code: str = "script_format"


@dataclass(frozen=True, slots=True)
class NamedLanguage:
    """What a file says its language is, as it is written there."""

    text: str


Parsed = ScriptLine | OmittedText | NamedLanguage | str
"""A line, text that is not spoken, the language of the file, or a note for the user."""


def damaged(where: str, text: str, fault: InputError, times: Sequence[float | None] = ()) -> DamagedLine:
    """Return the text of a line that has a fault, with its start and end if they are known."""
    start, end = times or (None, None)
    return DamagedLine(where, start, end, text, fault.message, code=fault.code)


def share_time(line: ScriptLine, texts: Sequence[str]) -> list[ScriptLine]:
    """Return a line for each text; together they take the time of the line, shared by their units of speech.

    Times are whole milliseconds. The first line keeps the id, the others have a letter behind it (3, 0003b).
    A line of fewer milliseconds than texts cannot be shared: each text then takes all of its time.
    """
    if len(texts) == 1:
        return [line if line.text == texts[0] else replace(line, text=texts[0])]
    sizes = [max(1, speech_units(text)) for text in texts]
    start, end = round(line.start * 1000), round(line.end * 1000)
    whole = sum(sizes)
    # Every text has a millisecond; the rest is shared.
    rest = end - start - len(texts)
    cuts = [start + at + rest * size // whole for at, size in enumerate(accumulate(sizes, initial=0))]
    times = (
        [(line.start, line.end)] * len(texts)
        if rest < 0
        else [(first / 1000, last / 1000) for first, last in pairwise(cuts)]
    )
    return [
        replace(line, start=first, end=last, text=text, id=_part_id(line.id, at))
        for at, (text, (first, last)) in enumerate(zip(texts, times, strict=True))
    ]


def _part_id(id: str | None, at: int) -> str | None:
    if id is None or at == 0:
        return id
    return id.zfill(4) + (chr(ord("a") + at) if at < 26 else f"-{at + 1}")


def read_text(path: Path, encoding: str | None = None) -> DecodedText:
    """Read a file, with line ends as ``\\n``; for ``encoding`` see :func:`voiceclone_cli.encodings.decode`.

    A few damaged bytes among many whole characters become unpaired surrogates, which cost only their lines.
    Raises InputError if the file does not exist, is not text, or is larger than MAX_BYTES or MAX_ROWS.
    """
    if path.is_dir():
        raise InputError("is a folder; give a script file.", code="script_unreadable")
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise InputError("does not exist; check the path.", code="script_not_found") from error
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read ({error}).", code="script_unreadable") from error
    if len(data) > MAX_BYTES:
        raise InputError(f"is larger than {MAX_BYTES // 2**20} MB; split it.", code="script_too_long")
    try:
        decoded = decode(data, encoding)
    except InputError as error:
        raise InputError(error.message, code="script_encoding") from error
    text = decoded.text.replace("\r\n", "\n").replace("\r", "\n")
    text = _JOINT.sub(lambda mark: "" if text[mark.start() - 1] == "\n" else "\n\n", text)
    if text.count("\n") > MAX_ROWS:
        raise InputError(f"has more than {MAX_ROWS:,} rows; split it.", code="script_too_long")
    return replace(decoded, text=text)


def clean_text(text: str) -> str:
    """Put a text on one line: tabs, control characters and runs of blanks become one blank.

    So do line breaks, but beside a character of Chinese or Japanese, where they become nothing.
    """
    return " ".join(_CONTROL.sub(" ", join_rows(text)).split())


def parse_time(value: object) -> float:
    """Parse seconds from a number or text like ``83.5``, ``-1:23.5`` or ``0:01:23,500``.

    Raises InputError with a clause for :func:`damaged`.
    """
    seconds = math.nan
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        # An integer in JSON may exceed the range of floats.
        seconds = float(value) if abs(value) <= MAX_SECONDS else math.inf
    elif isinstance(value, str) and (clock := _CLOCK.fullmatch(value.strip())):
        sign, hours, minutes, rest = clock.groups(default="0")
        seconds = float(hours) * 3600 + float(minutes) * 60 + float(rest.replace(",", "."))
        seconds = -seconds if sign == "-" else seconds
    if not abs(seconds) <= MAX_SECONDS:
        raise InputError(
            f"{shown(value)} is not a time; write seconds (83.5) or h:mm:ss.mmm (0:01:23.500), "
            "below 100 hours",
            code="script_time",
        )
    return seconds


_REQUIRED = ("start", "end", "text")
_DELIMITERS = ",;\t"
MAX_COLUMNS = 1_000


def parse_csv(text: str) -> Iterator[Parsed]:
    """Parse a table with the columns start, end, text and optionally speaker, language, id.

    Columns are separated by comma, semicolon or tab; other columns are ignored. A line with quotes that do not
    match is a DamagedLine, and the table goes on in the next row.
    """
    rows = text.split("\n")
    header = next((row for row in rows if row.strip()), "")
    delimiter = max(_DELIMITERS, key=header.count)
    columns: dict[str, int] | None = None
    names: list[str] = []
    for number, cells in _csv_rows(rows, delimiter):
        where = f"line {number}"
        if isinstance(cells, InputError):
            if columns is None:
                raise InputError(f"{where} {cells.message}.", code=cells.code)
            yield damaged(where, rows[number - 1].strip(), cells)
        elif len(cells) > MAX_COLUMNS:
            raise InputError(
                f"{where} has {len(cells):,} cells, more than {MAX_COLUMNS:,}.", code="script_format"
            )
        elif not any(cell.strip() for cell in cells):
            continue
        elif columns is None:
            columns, names = _columns(cells), cells
        elif cells != names:  # tables that were joined repeat the header
            yield _csv_line(cells, columns, len(names), where)


def _csv_rows(rows: Sequence[str], delimiter: str) -> Iterator[tuple[int, list[str] | InputError]]:
    """Yield the number of the row where each record ends, and its cells or its fault.

    A fault ends its first row: a quote that is not closed takes in the rows up to the next quote, so each row
    is read at most twice.
    """
    first = 0
    while first < len(rows):
        remaining = (f"{rows[at]}\n" for at in range(first, len(rows)))
        reader = csv.reader(remaining, delimiter=delimiter, strict=True)
        done = 0
        try:
            for cells in reader:
                done = reader.line_num
                yield first + done, cells
            return
        except csv.Error as error:
            first += done + 1
            yield first, InputError(f"is not valid CSV ({error})", code="script_format")


def _columns(header: list[str]) -> dict[str, int]:
    """Map the names of columns to their indices."""
    names = [cell.strip().casefold() for cell in header]
    missing = [name for name in _REQUIRED if name not in names]
    if missing:
        raise InputError(
            f"the first row must name the columns start, end and text; {' and '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} missing.",
            code="script_format",
        )
    for name in (*_REQUIRED, "speaker", "language", "id"):
        if names.count(name) > 1:
            raise InputError(f'has more than one column "{name}"; remove all but one.', code="script_format")
    return {name: at for at, name in enumerate(names)}


def _csv_line(cells: list[str], columns: dict[str, int], width: int, where: str) -> ScriptLine | DamagedLine:
    def cell(name: str) -> str:
        at = columns.get(name)
        return cells[at].strip() if at is not None and at < len(cells) else ""

    try:
        if any(cell.strip() for cell in cells[width:]):
            raise InputError(
                'has more cells than the first row; put text that contains the delimiter in "quotes"',
                code="script_format",
            )
        return ScriptLine(
            where,
            parse_time(cell("start")),
            parse_time(cell("end")),
            cell("text"),
            speaker=cell("speaker") or None,
            id=cell("id") or None,
            language=cell("language") or None,
        )
    except InputError as error:
        text = " ".join([cell("text"), *(cell.strip() for cell in cells[width:])])
        return damaged(where, text.strip(), error)


def parse_json(text: str) -> Iterator[Parsed]:
    """Parse an object with "schema", "language" and "segments", or a plain list of segments.

    A segment has start, end and text, and optionally id, speaker, language, seed and original, which the text translates. The language of the whole
    document is first, and is not given to the segments: see :mod:`voiceclone_cli.script.language`.
    """
    try:
        document = parse_document(text)
    except ContractError as error:
        raise InputError(f"cannot be read as JSON: {error}.", code="script_format") from error
    if isinstance(document, list):
        document = {"segments": document}
    if not isinstance(document, dict) or not isinstance(document.get("segments"), list):
        raise InputError(
            'must be a JSON object with a list of "segments"; `voiceclone script` writes an example.',
            code="script_format",
        )
    schema = document.get("schema", SCHEMA)
    if schema != SCHEMA:
        raise InputError(
            f'has the schema {shown(schema)}; this version reads "{SCHEMA}".', code="script_format"
        )
    try:
        language = _text(document, "language")
    except InputError as error:
        raise InputError(f"{error.message}.", code=error.code) from error
    if language:
        yield NamedLanguage(language)
    for number, row in enumerate(document["segments"], 1):
        yield _json_line(row, f"segment {number}")


def _json_line(row: Any, where: str) -> ScriptLine | DamagedLine:
    try:
        if not isinstance(row, dict):
            raise InputError(f"must be an object, not {shown(row)}", code="script_format")
        for key in ("start", "end", "text"):
            if key not in row:
                raise InputError(f'has no "{key}"; add it', code="script_format")
        return ScriptLine(
            where,
            parse_time(row["start"]),
            parse_time(row["end"]),
            _text(row, "text") or "",
            speaker=_text(row, "speaker"),
            id=_text(row, "id"),
            language=_text(row, "language"),
            seed=_seed(row),
            original=_text(row, "original"),
        )
    except InputError as error:
        text = row.get("text") if isinstance(row, dict) else row
        return damaged(where, text.strip() if isinstance(text, str) else "", error)


def _seed(row: Mapping[str, Any]) -> int | None:
    value = row.get("seed")
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_SEED):
        return value
    raise InputError(
        f'"seed" must be a whole number from 0 to {MAX_SEED}, not {shown(value)}', code="script_format"
    )


def _text(row: Mapping[str, Any], key: str) -> str | None:
    """Return the text of a key; None if it is missing, null or blank."""
    value = row.get(key)
    if key == "id" and isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**9:
        value = str(value)
    if value is not None and not isinstance(value, str):
        raise InputError(f'"{key}" must be text, not {shown(value)}', code="script_format")
    return value.strip() or None if value else None
