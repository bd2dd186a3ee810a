"""Lines from SRT and WebVTT files. Every pattern takes time in proportion to the text, whatever that holds."""

from __future__ import annotations

import codecs
import csv
import html
import io
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from voiceclone_cli.errors import InputError
from voiceclone_worker.protocol import MAX_SEED
from voiceclone_worker.validation import ContractError, shown
from voiceclone_worker.validation import parse_json as parse_document

# The text of a script file, whatever Unicode encoding it was saved in.


MAX_BYTES = 32 * 2**20
MAX_ROWS = 1_000_000
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16: its mark begins with that of UTF-16
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def read_text(path: Path) -> str:
    """The file's text with line ends as ``\\n``: UTF-8, or what its byte order mark says.

    Raises InputError when there is no such file, or it is no text, or larger than MAX_BYTES or MAX_ROWS.
    """
    if path.is_dir():
        raise InputError("is a folder; give a script file.", code="script_unreadable")
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise InputError("there is no such file; check the path.", code="script_not_found") from error
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read ({error}).", code="script_unreadable") from error
    if len(data) > MAX_BYTES:
        raise InputError(
            f"is larger than {MAX_BYTES // 2**20} MB, which is no script; split it.", code="script_too_long"
        )
    text = _decode(data).replace("\r\n", "\n").replace("\r", "\n")
    if text.count("\n") > MAX_ROWS:
        raise InputError(
            f"has more than {MAX_ROWS:,} rows, which is no script; split it.", code="script_too_long"
        )
    return text


def _decode(data: bytes) -> str:
    mark, encoding = next((pair for pair in _MARKS if data.startswith(pair[0])), (b"", "utf-8"))
    try:
        text = data[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        raise _not_unicode() from error
    # Zero characters are what UTF-16 without its mark looks like as UTF-8.
    if "\0" in text:
        raise _not_unicode()
    return text


def _not_unicode() -> InputError:
    return InputError("is not UTF-8 text; save it as UTF-8.", code="script_encoding")


# A line as a script file gives it, before it has a speaker and an id.


SCHEMA = "voiceclone.script/1"
"""What a JSON script calls itself."""
MAX_SECONDS = 100 * 3600 - 0.001
"""The latest time that subtitle files can hold: 99:59:59.999."""
MAX_MARKUP = 100_000
"""Characters of a line's text before its formatting is taken away."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_CLOCK = re.compile(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:[.,]\d+)?)", re.ASCII)


@dataclass(frozen=True, slots=True)
class ScriptLine:
    """``where`` names the line for messages ("cue 3"); None stands for what the file does not say."""

    where: str
    start: float
    end: float
    text: str
    speaker: str | None = None
    id: str | None = None
    language: str | None = None
    seed: int | None = None


def clean_text(text: str) -> str:
    """The text on one line: line breaks, tabs, control characters and runs of blanks become one blank."""
    return " ".join(_CONTROL.sub(" ", text).split())


def parse_time(value: object, where: str) -> float:
    """Seconds from a number, or from text like ``83.5``, ``1:23.5`` or ``0:01:23,500``. Raises InputError."""
    seconds = math.nan
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        # A whole number in JSON may be longer than any float.
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
    """Raises InputError for a line's text, formatting included, that is beyond any use."""
    if len(text) > MAX_MARKUP:
        raise InputError(
            f"{where} has {len(text):,} characters, more than {MAX_MARKUP:,} with its formatting; split it.",
            code="script_text",
        )


def clock_seconds(hours: str, minutes: str, seconds: str, fraction: str) -> float:
    """Seconds from the digits of a time; the fraction has up to three."""
    whole = int(hours) * 3600 + int(minutes) * 60 + int(seconds)
    return (whole * 1000 + int(fraction.ljust(3, "0"))) / 1000


# Lines from a table: a header row with start, end, text and optionally speaker, language, id.


_REQUIRED = ("start", "end", "text")
_DELIMITERS = ",;\t"
MAX_COLUMNS = 1_000


def parse_csv(text: str) -> Iterator[ScriptLine]:
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
                yield _csv_line(cells, columns, width, f"line {reader.line_num}")
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


def _csv_line(cells: list[str], columns: dict[str, int], width: int, where: str) -> ScriptLine:
    if any(cell.strip() for cell in cells[width:]):
        raise InputError(
            f'{where} has more cells than the first row; put text that holds the delimiter in "quotes".',
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


# Lines from a JSON script: {"schema", "language", "segments": [{id, speaker, start, end, text, language, seed}]}.


def parse_json(text: str) -> Iterator[ScriptLine]:
    """The lines of an object with "segments", or of a plain list of them; start, end and text are required."""
    try:
        document = parse_document(text)
    except ContractError as error:
        raise InputError(f"cannot be read: {error}.", code="script_format") from error
    if isinstance(document, list):
        document = {"segments": document}
    if not isinstance(document, dict) or not isinstance(document.get("segments"), list):
        raise InputError(
            'must be a JSON object with a list of "segments"; `voiceclone script` writes one to start from.',
            code="script_format",
        )
    schema = document.get("schema", SCHEMA)
    if schema != SCHEMA:
        raise InputError(
            f'has the schema {shown(schema)}; this version reads "{SCHEMA}".', code="script_format"
        )
    language = _text(document, "language", "the document")
    return (_json_line(row, f"segment {at}", language) for at, row in enumerate(document["segments"], 1))


def _json_line(row: Any, where: str, language: str | None) -> ScriptLine:
    if not isinstance(row, dict):
        raise InputError(f"{where} must be an object, not {shown(row)}.", code="script_format")
    for key in ("start", "end", "text"):
        if key not in row:
            raise InputError(f'{where} has no "{key}".', code="script_format")
    return ScriptLine(
        where,
        parse_time(row["start"], where),
        parse_time(row["end"], where),
        _text(row, "text", where) or "",
        speaker=_text(row, "speaker", where),
        id=_text(row, "id", where),
        language=_text(row, "language", where) or language,
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
    """The text under a key; None when it is not there, null or blank."""
    value = row.get(key)
    if key == "id" and isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**9:
        value = str(value)
    if value is not None and not isinstance(value, str):
        raise InputError(f'{where}: "{key}" must be text, not {shown(value)}.', code="script_format")
    return value.strip() or None if value else None


# Lines from ASS and SSA files: their Dialogue lines; styles, fonts and pictures are passed over.


_FIELDS = 10
"""Of a Dialogue line: layer, start, end, style, name, three margins, effect, text. Commas in the text stay."""
_STAMP = re.compile(r"\s*(\d{1,2}):(\d{1,2}):(\d{1,2})\.(\d{1,3})\s*", re.ASCII)
_DRAWING = re.compile(r"\\p[1-9]")
_ASS_BREAK = re.compile(r"\\[Nnh]")


def parse_ass(text: str) -> Iterator[ScriptLine]:
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
            yield ScriptLine(f"dialogue {position}", start, end, spoken, cells[4].strip() or None)


def _parted(text: str) -> tuple[str, str]:
    r"""A text's overrides (``{\i1}``), joined, and the rest, with blanks for line breaks."""
    overrides, spoken = [], []
    *closed, last = text.split("}")
    for piece in closed:
        before, opening, inside = piece.partition("{")
        spoken.append(before if opening else piece + "}")
        overrides.append(inside)
    return "}".join(overrides), _ASS_BREAK.sub(" ", "".join((*spoken, last)))


_TAG = re.compile(r"</?[A-Za-z][^<>]*>|\{\\[^{}]*\}")
_TIME_TAG = re.compile(r"<\d[\d:.]*>")
_BREAK = re.compile(r"\\[Nnh]")
_VOICE = re.compile(r"<v(?:\.[^\s<>.]*)*\s+([^\s<>][^<>]*)>")


class _Times:
    """How a format writes a cue's times; ``example`` is for messages."""

    def __init__(self, strict: str, loose: str, example: str) -> None:
        self._row = re.compile(rf"\s*{strict}\s*-->\s*{strict}(?:\s.*)?", re.ASCII)
        self._stamp = re.compile(loose, re.ASCII)
        self._example = example

    def seem_to_be(self, row: str) -> bool:
        """Whether a person, or another program, may take a row for the times of a cue."""
        return "-->" in row or len(self._stamp.findall(row)) == 2

    def read(self, row: str, number: int) -> tuple[float, float]:
        found = self._row.fullmatch(row)
        # A third stamp is a slip too.
        if found is None or len(self._stamp.findall(row)) != 2:
            raise InputError(
                f'line {number} should give the times of a cue, like "{self._example}", '
                f"but is {shown(row.strip())}.",
                code="script_time",
            )
        stamps = found.groups(default="0")
        return clock_seconds(*stamps[:4]), clock_seconds(*stamps[4:])


_SRT = _Times(
    r"(\d{1,2}):(\d{1,2}):(\d{1,2})[.,](\d{1,3})",
    r"\d{1,2}:\d{1,2}:\d{1,2}[.,]\d{1,3}",
    "00:00:01,500 --> 00:00:03,000",
)
_VTT = _Times(
    r"(?:(\d{1,4}):)?(\d{2}):(\d{2})\.(\d{3})",
    r"(?:\d{1,4}:)?\d{2}:\d{2}\.\d{2,3}",
    "00:00:01.500 --> 00:00:03.000",
)


@dataclass(slots=True)
class _Cue:
    where: str
    times: tuple[float, float]
    number: str | None = None
    rows: list[str] = field(default_factory=list)


def parse_srt(text: str) -> Iterator[ScriptLine]:
    """A line for every cue; its number becomes the id."""
    cue: _Cue | None = None
    above = ""
    cues = 0
    for row_number, row in enumerate(text.split("\n"), 1):
        if _SRT.seem_to_be(row):
            times = _SRT.read(row, row_number)
            if cue is not None:
                _drop_next_number(cue.rows)
                yield _cue_line(cue)
            cues += 1
            number = above.strip() if re.fullmatch(r"\s*[0-9]{1,9}\s*", above) else None
            cue = _Cue(f"cue {number or cues}", times, number)
        elif cue is not None:
            cue.rows.append(row)
        above = row
    if cue is not None:
        yield _cue_line(cue)


def _drop_next_number(rows: list[str]) -> None:
    """Take the number of the cue that follows off the end of a cue's text, which is never that number alone."""
    while rows and not rows[-1].strip():
        rows.pop()
    if len(rows) > 1 and rows[-1].strip().isdecimal():
        rows.pop()


def parse_vtt(text: str) -> Iterator[ScriptLine]:
    """A line for every cue, with the speaker of its voice tag (``<v Anna>``)."""
    cue: _Cue | None = None
    cues = 0
    for row_number, raw in enumerate(text.split("\n"), 1):
        row = _TIME_TAG.sub("", raw)
        # Outside of a cue, names, notes and styles may hold anything but an arrow.
        if "-->" in row or (cue is not None and _VTT.seem_to_be(row)):
            times = _VTT.read(row, row_number)
            if cue is not None:
                yield _cue_line(cue)
            cues += 1
            cue = _Cue(f"cue {cues}", times)
        elif cue is not None and row.strip():
            cue.rows.append(row)
        elif cue is not None:
            yield _cue_line(cue)
            cue = None
    if cue is not None:
        yield _cue_line(cue)


def plain(text: str) -> str:
    """The text of a cue without formatting: no tags, no entities, blanks for line breaks."""
    return _unescaped(_BREAK.sub(" ", _TAG.sub("", text)))


def looks_like_times(row: str) -> bool:
    """Whether a row of an SRT file would be taken for the times of a cue."""
    return _SRT.seem_to_be(row)


def _unescaped(text: str) -> str:
    try:
        return html.unescape(text)
    except ValueError:  # a character number of thousands of digits
        return text


def _cue_line(cue: _Cue) -> ScriptLine:
    text = "\n".join(cue.rows)
    check_markup(text, cue.where)
    voices = {name for voice in _VOICE.findall(text) if (name := _unescaped(voice).strip())}
    if len(voices) > 1:
        named = " and ".join(sorted(voices)) if len(voices) == 2 else f"{len(voices)} speakers"
        raise InputError(
            f"{cue.where} is spoken by {named:.100}; write a cue for each of them.", code="script_speaker"
        )
    return ScriptLine(
        cue.where, *cue.times, plain(text), speaker=voices.pop() if voices else None, id=cue.number
    )
