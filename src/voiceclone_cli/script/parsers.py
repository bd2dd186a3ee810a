"""Parsers of script files: SRT, WebVTT, ASS, JSON and CSV; each turns the text of a file into ScriptLines.

These are our own parsers because they reject damaged cues instead of skipping them, with the line number, and
because they take time in proportion to the text, whatever it contains.
"""

from __future__ import annotations

import codecs
import csv
import html
import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from voiceclone_cli.errors import InputError
from voiceclone_worker.protocol import MAX_SEED
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
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark is a prefix
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_CLOCK = re.compile(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:[.,]\d+)?)", re.ASCII)


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


def read_text(path: Path) -> str:
    """Read a file as UTF-8, or by its byte order mark, with line ends as ``\\n``.

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
    text = _decode(data).replace("\r\n", "\n").replace("\r", "\n")
    if text.count("\n") > MAX_ROWS:
        raise InputError(f"has more than {MAX_ROWS:,} rows; split it.", code="script_too_long")
    return text


def _decode(data: bytes) -> str:
    mark, encoding = next((pair for pair in _BYTE_ORDER_MARKS if data.startswith(pair[0])), (b"", "utf-8"))
    try:
        text = data[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        raise _not_unicode() from error
    # UTF-16 without a mark decodes as UTF-8 with null characters.
    if "\0" in text:
        raise _not_unicode()
    return text


def _not_unicode() -> InputError:
    return InputError("is not UTF-8 text; save it as UTF-8.", code="script_encoding")


def clean_text(text: str) -> str:
    """Put a text on one line: line breaks, tabs, control characters and runs of blanks become one blank."""
    return " ".join(_CONTROL.sub(" ", text).split())


def parse_time(value: object, where: str) -> float:
    """Parse seconds from a number or text like ``83.5``, ``1:23.5`` or ``0:01:23,500``. Raises InputError."""
    seconds = math.nan
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        # An integer in JSON may exceed the range of floats.
        seconds = float(value) if abs(value) <= MAX_SECONDS else math.inf
    elif isinstance(value, str) and (clock := _CLOCK.fullmatch(value.strip())):
        hours, minutes, rest = clock.groups(default="0")
        seconds = float(hours) * 3600 + float(minutes) * 60 + float(rest.replace(",", "."))
    if not 0 <= seconds <= MAX_SECONDS:
        raise InputError(
            f"{where}: {shown(value)} is not a time; write seconds (83.5) or h:mm:ss.mmm (0:01:23.500), "
            "from 0 to below 100 hours.",
            code="script_time",
        )
    return seconds


def check_markup(text: str, where: str) -> None:
    """Check the length of a line's text with its formatting. Raises InputError."""
    if len(text) > MAX_MARKUP:
        raise InputError(
            f"{where} has {len(text):,} characters with its formatting, more than {MAX_MARKUP:,}; split it.",
            code="script_text",
        )


def clock_seconds(hours: str, minutes: str, seconds: str, fraction: str) -> float:
    """Return the seconds of a time given by its digits; the fraction has up to three."""
    whole = int(hours) * 3600 + int(minutes) * 60 + int(seconds)
    return (whole * 1000 + int(fraction.ljust(3, "0"))) / 1000


_REQUIRED = ("start", "end", "text")
_DELIMITERS = ",;\t"
MAX_COLUMNS = 1_000


def parse_csv(text: str) -> Iterator[ScriptLine]:
    """Parse a table with the columns start, end, text and optionally speaker, language, id.

    Columns are separated by comma, semicolon or tab; other columns are ignored.
    """
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
                yield _csv_line(cells, columns, width, f"line {reader.line_num}")
    except csv.Error as error:
        raise InputError(
            f"line {reader.line_num} is not valid CSV ({error}).", code="script_format"
        ) from error


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


def _csv_line(cells: list[str], columns: dict[str, int], width: int, where: str) -> ScriptLine:
    if any(cell.strip() for cell in cells[width:]):
        raise InputError(
            f'{where} has more cells than the first row; put text that contains the delimiter in "quotes".',
            code="script_format",
        )

    def cell(name: str) -> str:
        at = columns.get(name)
        return cells[at].strip() if at is not None and at < len(cells) else ""

    return ScriptLine(
        where,
        parse_time(cell("start"), where),
        parse_time(cell("end"), where),
        cell("text"),
        speaker=cell("speaker") or None,
        id=cell("id") or None,
        language=cell("language") or None,
    )


def parse_json(text: str) -> Iterator[ScriptLine]:
    """Parse an object with "schema", "language" and "segments", or a plain list of segments.

    A segment has start, end and text, and optionally id, speaker, language and seed. The language of the whole
    document is not given to the segments: see :mod:`voiceclone_cli.script.language`.
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
    _text(document, "language", "the document")
    return (_json_line(row, f"segment {at}") for at, row in enumerate(document["segments"], 1))


def _json_line(row: Any, where: str) -> ScriptLine:
    if not isinstance(row, dict):
        raise InputError(f"{where} must be an object, not {shown(row)}.", code="script_format")
    for key in ("start", "end", "text"):
        if key not in row:
            raise InputError(f'{where} has no "{key}"; add it.', code="script_format")
    return ScriptLine(
        where,
        parse_time(row["start"], where),
        parse_time(row["end"], where),
        _text(row, "text", where) or "",
        speaker=_text(row, "speaker", where),
        id=_text(row, "id", where),
        language=_text(row, "language", where),
        seed=_seed(row, where),
    )


def _seed(row: Mapping[str, Any], where: str) -> int | None:
    value = row.get("seed")
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_SEED):
        return value
    raise InputError(
        f'{where}: "seed" must be a whole number from 0 to {MAX_SEED}, not {shown(value)}.',
        code="script_format",
    )


def _text(row: Mapping[str, Any], key: str, where: str) -> str | None:
    """Return the text of a key; None if it is missing, null or blank."""
    value = row.get(key)
    if key == "id" and isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**9:
        value = str(value)
    if value is not None and not isinstance(value, str):
        raise InputError(f'{where}: "{key}" must be text, not {shown(value)}.', code="script_format")
    return value.strip() or None if value else None


_ASS_FIELDS = 10
"""Fields of a Dialogue: layer, start, end, style, name, three margins, effect, text (with its commas)."""
_ASS_TIME = re.compile(r"\s*(\d{1,2}):(\d{1,2}):(\d{1,2})\.(\d{1,3})\s*", re.ASCII)
_ASS_DRAWING = re.compile(r"\\p[1-9]")


def parse_ass(text: str) -> Iterator[ScriptLine]:
    """Parse the Dialogue lines of an ASS or SSA file, with their Name (actor) as speaker; skip drawings."""
    position = 0
    for number, row in enumerate(text.split("\n"), 1):
        kind, colon, rest = row.strip().partition(":")
        if kind != "Dialogue" or not colon:
            continue
        cells = rest.split(",", _ASS_FIELDS - 1)
        times = [_ASS_TIME.fullmatch(cell) for cell in cells[1:3]]
        if len(cells) < _ASS_FIELDS or None in times:
            raise InputError(
                f"line {number} is not a Dialogue line of ten fields with times like 0:00:01.50.",
                code="script_time",
            )
        start, end = (clock_seconds(*time.groups()) for time in times if time is not None)
        check_markup(cells[-1], f"line {number}")
        overrides, plain = _split_overrides(cells[-1])
        if not _ASS_DRAWING.search(overrides):
            position += 1
            yield ScriptLine(f"dialogue {position}", start, end, plain, cells[4].strip() or None)


def _split_overrides(text: str) -> tuple[str, str]:
    r"""Return a text's overrides (``{\i1}``), joined, and the rest, with blanks for line breaks."""
    overrides, plain = [], []
    *closed, last = text.split("}")
    for part in closed:
        before, brace, inside = part.partition("{")
        plain.append(before if brace else part + "}")
        overrides.append(inside)
    return "}".join(overrides), _BREAK.sub(" ", "".join((*plain, last)))


_TAG = re.compile(r"</?[A-Za-z][^<>]*>|\{\\[^{}]*\}")
_TIME_TAG = re.compile(r"<\d[\d:.]*>")
_BREAK = re.compile(r"\\[Nnh]")
_VOICE = re.compile(r"<v(?:\.[^\s<>.]*)*\s+([^\s<>][^<>]*)>")


class _CueTimes:
    """The row with a cue's times in a format; ``example`` is for messages."""

    def __init__(self, strict: str, loose: str, example: str) -> None:
        self._row = re.compile(rf"\s*{strict}\s*-->\s*{strict}(?:\s.*)?", re.ASCII)
        self._time = re.compile(loose, re.ASCII)
        self._example = example

    def resembles(self, row: str) -> bool:
        """Tell whether a row looks like the times of a cue to a person or another program."""
        return "-->" in row or len(self._time.findall(row)) == 2

    def parse(self, row: str, number: int) -> tuple[float, float]:
        """Parse the row with this line number into start and end in seconds. Raises InputError."""
        match = self._row.fullmatch(row)
        # A third time is an error too.
        if match is None or len(self._time.findall(row)) != 2:
            raise InputError(
                f'line {number} should give the times of a cue, like "{self._example}", '
                f"but is {shown(row.strip())}.",
                code="script_time",
            )
        digits = match.groups(default="0")
        return clock_seconds(*digits[:4]), clock_seconds(*digits[4:])


_SRT = _CueTimes(
    r"(\d{1,2}):(\d{1,2}):(\d{1,2})[.,](\d{1,3})",
    r"\d{1,2}:\d{1,2}:\d{1,2}[.,]\d{1,3}",
    "00:00:01,500 --> 00:00:03,000",
)
_VTT = _CueTimes(
    r"(?:(\d{1,4}):)?(\d{2}):(\d{2})\.(\d{3})",
    r"(?:\d{1,4}:)?\d{2}:\d{2}\.\d{2,3}",
    "00:00:01.500 --> 00:00:03.000",
)


def parse_srt(text: str) -> Iterator[ScriptLine]:
    """Parse the cues of a SubRip file; their numbers become the ids."""
    cue: ScriptLine | None = None
    rows: list[str] = []
    previous = ""
    count = 0
    for row_number, row in enumerate(text.split("\n"), 1):
        if _SRT.resembles(row):
            times = _SRT.parse(row, row_number)
            if cue is not None:
                _drop_next_number(rows)
                yield _with_text(cue, rows)
            count += 1
            id = previous.strip() if re.fullmatch(r"\s*[0-9]{1,9}\s*", previous) else None
            cue, rows = ScriptLine(f"cue {id or count}", *times, "", id=id), []
        elif cue is not None:
            rows.append(row)
        previous = row
    if cue is not None:
        yield _with_text(cue, rows)


def _drop_next_number(rows: list[str]) -> None:
    """Remove the number of the following cue from the rows of a cue, unless it is their only text."""
    while rows and not rows[-1].strip():
        rows.pop()
    if len(rows) > 1 and rows[-1].strip().isdecimal():
        rows.pop()


def parse_vtt(text: str) -> Iterator[ScriptLine]:
    """Parse the cues of a WebVTT file, with the name in a voice tag (``<v Anna>``) as speaker."""
    cue: ScriptLine | None = None
    rows: list[str] = []
    count = 0
    for row_number, raw in enumerate(text.split("\n"), 1):
        row = _TIME_TAG.sub("", raw)
        # Outside of a cue, names, notes and styles may contain anything but an arrow.
        if "-->" in row or (cue is not None and _VTT.resembles(row)):
            times = _VTT.parse(row, row_number)
            if cue is not None:
                yield _with_text(cue, rows)
            count += 1
            cue, rows = ScriptLine(f"cue {count}", *times, ""), []
        elif cue is not None and row.strip():
            rows.append(row)
        elif cue is not None:
            yield _with_text(cue, rows)
            cue = None
    if cue is not None:
        yield _with_text(cue, rows)


def _with_text(cue: ScriptLine, rows: Sequence[str]) -> ScriptLine:
    """Return the cue with the plain text of its rows, and the speaker of its voice tag."""
    text = "\n".join(rows)
    check_markup(text, cue.where)
    voices = {name for voice in _VOICE.findall(text) if (name := _unescape(voice).strip())}
    if len(voices) > 1:
        names = " and ".join(sorted(voices)) if len(voices) == 2 else f"{len(voices)} speakers"
        raise InputError(
            f"{cue.where} has the voices of {names:.100}; write one cue for each.", code="script_speaker"
        )
    return replace(cue, text=plain_text(text), speaker=next(iter(voices), None))


def plain_text(text: str) -> str:
    """Remove the formatting of a cue's text: tags, entities and line breaks."""
    return _unescape(_BREAK.sub(" ", _TAG.sub("", text)))


def _unescape(text: str) -> str:
    try:
        return html.unescape(text)
    except ValueError:  # a character reference of thousands of digits
        return text


def resembles_srt_times(row: str) -> bool:
    """Tell whether a row would be read as the times of a cue in an SRT file."""
    return _SRT.resembles(row)
