"""Consent to voice cloning: the record that the user gives, and the notice of the first run.

A record is JSON:

    {"speakers": [{"speaker": "SPEAKER_00", "name": "Anna Berg", "agreed_to": "a Spanish dub of this talk",
                   "date": "2026-03-01", "note": "letter in the folder contracts"}]}

or CSV with the columns speaker, name, agreed_to, date and (optionally) note.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Collection, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from voiceclone_cli.encodings import DecodedText, decode_whole
from voiceclone_cli.errors import InputError
from voiceclone_cli.files import state_file, write_state, write_text_atomic
from voiceclone_cli.types import Progress, ProgressEvent, no_progress
from voiceclone_worker.validation import dump_json

SCHEMA = "voiceclone.consent/1"

_REQUIRED = ("speaker", "name", "agreed_to", "date")
_FIELDS = (*_REQUIRED, "note")
_MAX_BYTES = 1 << 20
_MAX_CHARACTERS = 2_000
"""Of a field."""


def read_consent(
    path: Path, speakers: Collection[str], encoding: str | None = None
) -> tuple[dict[str, Any], list[str]]:
    """Return the record as the document that a run keeps, and notes for the user.

    Notes name speakers without consent, entries of speakers who are not in the recording, and an encoding that was
    found out; ``encoding`` is that of a file that is not UTF-8, if the user said it. Raises InputError:
    ``consent_unreadable``, ``consent_format``, ``consent_row``.
    """
    contents = _read(path, encoding)
    entries = _read_entries(path, contents.text)
    covered = {entry["speaker"] for entry in entries}
    missing, unknown = sorted(set(speakers) - covered), sorted(covered - set(speakers))
    notes = list(contents.notes(path.name))
    if missing:
        notes.append(f"{path.name} has no consent of {', '.join(missing)}: add a row for each")
    if unknown and speakers:
        notes.append(f"{path.name} names {', '.join(unknown)}, who is not in this recording")
    document = {"schema": SCHEMA, "from": path.name, "speakers": entries, "missing": missing}
    return document, notes


def copy_consent(
    given: Path | None, kept: Path, speakers: Collection[str], encoding: str | None = None
) -> tuple[dict[str, Any] | None, list[str]]:
    """Return the document of a run's consent record, and notes for the user.

    ``given`` is copied to ``kept`` as JSON; without it, the document is what an earlier run kept there, or None.
    Raises InputError like ``read_consent``, and OSError when the copy cannot be written.
    """
    if given is not None:
        document, notes = read_consent(given, speakers, encoding)
        write_text_atomic(kept, dump_json(document, indent=1) + "\n")
        return document, notes
    try:
        return json.loads(kept.read_text(encoding="utf-8")), []
    except FileNotFoundError:
        return None, []
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"{kept} cannot be read ({error}): remove it, and pass the record again with --consent.",
            code="consent_unreadable",
        ) from error


def _read_entries(path: Path, text: str) -> list[dict[str, str]]:
    rows = _csv_rows(path, text) if path.suffix.lower() == ".csv" else _json_rows(path, text)
    if not rows:
        raise _bad_format(path, "it has no entry")
    entries = [_entry(path, number, row) for number, row in enumerate(rows, 1)]
    names = [entry["speaker"] for entry in entries]
    for number, name in enumerate(names, 1):
        if name in names[: number - 1]:
            raise _bad_row(path, number, f"{name} has a row already: merge both rows")
    return entries


def _json_rows(path: Path, text: str) -> list[Any]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _bad_format(path, f"it is not JSON ({error})") from error
    rows = document.get("speakers") if isinstance(document, dict) else document
    if not isinstance(rows, list):
        raise _bad_format(path, 'it has no list "speakers"')
    return rows


def _csv_rows(path: Path, text: str) -> list[Any]:
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        missing = [name for name in _REQUIRED if name not in (reader.fieldnames or ())]
        if missing:
            raise _bad_format(path, f"it has no column {', '.join(missing)}")
        return [{key: value for key, value in row.items() if key in _FIELDS} for row in reader]
    except csv.Error as error:
        raise _bad_format(path, f"it is not CSV ({error})") from error


def _read(path: Path, encoding: str | None) -> DecodedText:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise _bad_format(path, "it is larger than 1 MB")
        return decode_whole(data, encoding)
    except InputError as error:
        raise _bad_format(path, f"it {error.message.rstrip('.')}") from error
    except (OSError, ValueError) as error:  # ValueError: a name with a null character
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"the consent file {path} cannot be read ({reason}): check the path.", code="consent_unreadable"
        ) from error


def _entry(path: Path, number: int, row: object) -> dict[str, str]:
    if not isinstance(row, Mapping):
        raise _bad_row(path, number, "it is not an object with the fields " + ", ".join(_FIELDS))
    entry = {name: _field(path, number, row, name) for name in _FIELDS}
    try:
        date.fromisoformat(entry["date"])
    except ValueError as error:
        raise _bad_row(path, number, f'"date" must be like 2026-03-01, not {entry["date"]!r:.40}') from error
    return entry


def _field(path: Path, number: int, row: Mapping[Any, Any], name: str) -> str:
    value = row.get(name)
    text = value.strip() if isinstance(value, str) else value
    if name == "note" and not text:
        return ""
    if not text:
        raise _bad_row(path, number, f'"{name}" is missing')
    if not isinstance(text, str) or len(text) > _MAX_CHARACTERS:
        raise _bad_row(path, number, f'"{name}" must be a text of at most {_MAX_CHARACTERS} characters')
    if any(0xD800 <= ord(character) < 0xE000 for character in text):
        raise _bad_row(path, number, f'"{name}" contains a lone surrogate')
    return text


def _bad_format(path: Path, reason: str) -> InputError:
    return InputError(
        f"the consent file {path} cannot be used: {reason}. Give JSON or CSV with "
        f"{', '.join(_REQUIRED)} for each speaker.",
        code="consent_format",
    )


def _bad_row(path: Path, number: int, reason: str) -> InputError:
    return InputError(f"the consent file {path}, row {number}: {reason}.", code="consent_row")


# The notice of the first run: legal requirements and licences

_LAW = (
    "Clone only voices of people who agreed to it (--consent keeps a record), and say that the voices are "
    "synthetic where the law requires it, as the EU AI Act does (Article 50); this is no legal advice."
)
_ONCE = "(Shown once on this machine.)"


def show_first_run_notice(key: str, licence: str, progress: Progress) -> None:
    """Report the notice as a note, if there is one and the caller shows progress."""
    if progress is no_progress:
        return
    notice = first_run_notice(key, licence)
    if notice is not None:
        progress(ProgressEvent("note", 1, 1, note=notice))


def first_run_notice(key: str, licence: str) -> str | None:
    """Return the notice for the first speech on this machine of an engine with some weights.

    ``licence`` is the sentence on the licence of these weights, ``key`` the name under which it is remembered. None
    if it was shown before, and without a licence: such an engine makes no speech. The notice counts as shown from now
    on, unless that cannot be saved.
    """
    if not licence:
        return None
    notice_file = state_file(f"notice-{key}.txt")
    if notice_file.is_file():
        return None
    # The second engine adds its licence only.
    is_first = not any(notice_file.parent.glob("notice-*.txt"))
    notice = " ".join([*([_LAW] if is_first else []), licence, _ONCE])
    write_state(notice_file, notice + "\n")
    return notice
