"""A list of recordings, a row each, with what holds for that one only: CSV, or JSON Lines."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from voiceclone_cli.batch.naming import RESERVED
from voiceclone_cli.diarization import SpeakerCount
from voiceclone_cli.errors import InputError
from voiceclone_cli.names import shown
from voiceclone_cli.redaction import redacted
from voiceclone_cli.settings import TABLE, Setting
from voiceclone_cli.steps.request import RunRequest
from voiceclone_worker.contract import ContractError, file_key, name_fault, parse_json

_COUNTS = {"speakers": "exactly", "min_speakers": "least", "max_speakers": "most"}
_FILES = ("script", "turns", "consent")
_SETTINGS: dict[str, Setting] = {
    row.name: row
    for row in TABLE
    if row.name in ("language", "seed", "diarizer", "max_stretch", "background", "watermark")
}
COLUMNS = ("input", "name", *_FILES, *_COUNTS, *_SETTINGS, "references")
_DELIMITERS = ",;\t"
_MOST_BYTES = 256 * 2**20


@dataclass(frozen=True, slots=True)
class Row:
    """A recording of a list."""

    where: str
    """For messages: "row 3", counted as an editor counts lines."""
    request: RunRequest
    name: str | None
    """That the list gives it."""


def read_list(path: Path, common: RunRequest) -> list[Row]:
    """The rows of a list: the request that holds for all, changed by what each says.

    Paths are relative to the list's folder. Empty cells and missing keys leave what is common. Raises
    InputError that names the row and the column.
    """
    kinds = {".csv": _csv_rows, ".tsv": _csv_rows, ".jsonl": _json_rows, ".ndjson": _json_rows}
    read = kinds.get(path.suffix.lower())
    if read is None:
        raise InputError(f"the list {path} must be called .csv or .jsonl.", code="list_format")
    try:
        rows = [_row(where, cells, path.parent, common) for where, cells in read(_text(path))]
        if not rows:
            raise InputError("it has no row; give one for each recording.", code="list_format")
        _check_names(rows)
    except InputError as error:
        raise InputError(f"the list {path}: {error.message}", code=error.code) from error
    return rows


def _text(path: Path) -> str:
    """UTF-8 with or without its mark, or the UTF-16 that some spreadsheets write."""
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a name with a null character
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"it cannot be read ({reason}): check the path.", code="list_unreadable") from error
    if len(data) > _MOST_BYTES:
        raise InputError(f"it is larger than {_MOST_BYTES // 2**20} MB; split it.", code="list_unreadable")
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError("it is not UTF-8 text; save it as UTF-8.", code="list_unreadable") from error


def _csv_rows(text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    lines = io.StringIO(text, newline="")
    delimiter = max(_DELIMITERS, key=next((line for line in lines if line.strip()), "").count)
    lines.seek(0)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    columns: list[str] | None = None
    try:
        for cells in reader:
            where = f"row {reader.line_num}"
            if not any(cell.strip() for cell in cells):
                continue
            if columns is None:
                columns = _columns(cells)
            elif any(cell.strip() for cell in cells[len(columns) :]):
                raise InputError(
                    f"{where} has more cells than the first row; put what holds the delimiter in quotes.",
                    code="list_format",
                )
            else:
                yield where, dict(zip(columns, map(str.strip, cells), strict=False))
    except csv.Error as error:
        raise InputError(f"row {reader.line_num} is not one of CSV ({error}).", code="list_format") from error


def _columns(header: list[str]) -> list[str]:
    names = [cell.strip().casefold() for cell in header]
    while names and not names[-1]:  # spreadsheets keep columns that once held something
        names.pop()
    doubled = next((name for name in names if names.count(name) > 1), None)
    if doubled is not None:
        raise InputError(f"it has more than one column {shown(doubled)}.", code="list_format")
    if "input" not in names:
        raise InputError(
            'the first row must name the columns, and one of them "input": the recording\'s path.',
            code="list_format",
        )
    _check_known(names, "the first row")
    return names


def _json_rows(text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        where = f"row {number}"
        try:
            cells = parse_json(line)
        except ContractError as error:
            raise InputError(f"{where} is not JSON ({error}).", code="list_format") from error
        if not isinstance(cells, dict):
            raise InputError(f"{where} must be an object, not {shown(cells)}.", code="list_format")
        _check_known(list(cells), where)
        yield where, {key: value for key, value in cells.items() if value is not None}


def _check_known(names: list[str], where: str) -> None:
    unknown = next((name for name in names if name not in COLUMNS), None)
    if unknown is not None:
        raise InputError(
            f"{where}: there is no column {shown(unknown)}; there are {', '.join(COLUMNS)}.",
            code="list_column",
        )


def _row(where: str, cells: Mapping[str, Any], folder: Path, common: RunRequest) -> Row:
    given = {column: value for column, value in cells.items() if value != ""}
    texts = {
        column: _as_text(value, where, column) for column, value in given.items() if column != "references"
    }
    if "input" not in texts:
        raise _bad_value(where, "input", "must be the recording's path, and is empty")
    changes: dict[str, Any] = {"input": folder / texts["input"]}
    changes |= {column: folder / texts[column] for column in _FILES if column in texts}
    if "references" in given:
        changes["references"] = _references(given["references"], where, folder)
    counted = {field: texts[column] for column, field in _COUNTS.items() if column in texts}
    if counted:
        changes["speakers"] = _count(counted, where)
    set_here = {column: _setting(column, texts[column], where) for column in _SETTINGS if column in texts}
    if set_here:
        sources = {**common.settings.sources, **dict.fromkeys(set_here, "list")}
        changes["settings"] = replace(common.settings, **set_here, sources=sources)
    name = texts.get("name")
    if name is not None:
        _check_name(name, where)
    return Row(where, replace(common, **changes), name)


def _as_text(value: object, where: str, column: str) -> str:
    """A cell as the command line would give it."""
    if isinstance(value, (str, bool, int, float)):
        text = str(value).strip()
        if "\0" not in text and text:
            return text
    raise _bad_value(where, column, f"must be a text or a number, not {shown(value)}")


def _setting(column: str, text: str, where: str) -> Any:
    try:
        return _SETTINGS[column].parse(text)
    except ValueError as error:
        raise _bad_value(where, column, redacted(str(error))) from None


def _count(counted: Mapping[str, str], where: str) -> SpeakerCount:
    """What a row says of the number of speakers takes the place of all that the command says of it."""
    for column, field in _COUNTS.items():
        text = counted.get(field)
        if text is not None and not (text.isascii() and text.isdigit() and 0 < int(text[:9]) < 10**6):
            raise _bad_value(where, column, f"must be a whole number from 1, not {shown(text)}")
    try:
        return SpeakerCount(**{field: int(text) for field, text in counted.items()})
    except InputError as error:
        raise InputError(f"{where}: {error.message}", code=error.code) from error


def _references(value: object, where: str, folder: Path) -> dict[str, Path]:
    """From ``SPEAKER=FILE;SPEAKER=FILE``, or an object."""
    if isinstance(value, str):
        pairs = [pair.strip().partition("=")[::2] for pair in value.split(";") if pair.strip()]
    elif isinstance(value, dict):
        pairs = list(value.items())
    else:
        pairs = []
    if not pairs or not all(isinstance(file, str) and speaker and file for speaker, file in pairs):
        raise _bad_value(where, "references", f"must be SPEAKER=FILE;SPEAKER=FILE, not {shown(value)}")
    return {speaker.strip(): folder / file.strip() for speaker, file in pairs}


def _check_name(name: str, where: str) -> None:
    fault = name_fault(name)
    if fault is None and file_key(name) in map(file_key, RESERVED):
        fault = "is taken by the batch itself"
    if fault is not None:
        raise _bad_value(where, "name", f"{shown(name)} cannot name a folder, because it {fault}")


def _check_names(rows: list[Row]) -> None:
    first: dict[str, Row] = {}
    for row in rows:
        if row.name is not None:
            other = first.setdefault(file_key(row.name), row)
            if other is not row:
                raise _bad_value(
                    row.where,
                    "name",
                    f"{shown(row.name)} names the same folder as in {other.where}; choose another",
                )


def _bad_value(where: str, column: str, fault: str) -> InputError:
    return InputError(f"{where}, column {column}: {fault}.", code="list_value")
