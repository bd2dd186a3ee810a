"""Lines from a JSON script: {"schema", "language", "segments": [{id, speaker, start, end, text, language, seed}]}."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from voiceclone_cli.errors import InputError
from voiceclone_cli.names import shown
from voiceclone_cli.script.line import SCHEMA, Line, parse_time
from voiceclone_worker.contract import MAX_SEED, ContractError
from voiceclone_worker.contract import parse_json as parse_document


def parse_json(text: str) -> Iterator[Line]:
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
    return (_line(row, f"segment {at}", language) for at, row in enumerate(document["segments"], 1))


def _line(row: Any, where: str, language: str | None) -> Line:
    if not isinstance(row, dict):
        raise InputError(f"{where} must be an object, not {shown(row)}.", code="script_format")
    for key in ("start", "end", "text"):
        if key not in row:
            raise InputError(f'{where} has no "{key}".', code="script_format")
    return Line(
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
