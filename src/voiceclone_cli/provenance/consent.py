"""Who agreed to have their voice cloned: a file that the user keeps, copied beside what was made of it.

    {"speakers": [{"speaker": "SPEAKER_00", "name": "Anna Berg", "agreed_to": "a Spanish dub of this talk",
                   "date": "2026-03-01", "note": "letter in the folder contracts"}]}

or the same as a CSV with the columns speaker, name, agreed_to, date and (if wanted) note.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

from voiceclone_cli.errors import InputError
from voiceclone_cli.files import state_file, write_state, write_text_atomic
from voiceclone_cli.types import Progress, ProgressEvent, no_progress
from voiceclone_worker.engines import ENGINES
from voiceclone_worker.validation import dump_json

SCHEMA = "voiceclone.consent/1"

_REQUIRED = ("speaker", "name", "agreed_to", "date")
_FIELDS = (*_REQUIRED, "note")
_MOST_BYTES = 1 << 20
_LONGEST = 2_000
"""Characters of a field."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """One speaker's."""

    speaker: str
    """As the run calls them."""
    name: str
    """Whose voice it is, or who may speak for them."""
    agreed_to: str
    date: str
    """ISO 8601."""
    note: str = ""
    """Where the agreement can be found: a link, a file, a number."""


def read_consent(path: Path, speakers: Collection[str]) -> tuple[dict[str, Any], list[str]]:
    """The file as the document that a run keeps, and a sentence for each thing that the user should know:
    speakers whom it does not cover, rows for nobody in this recording.

    Raises InputError: ``consent_unreadable``, ``consent_format``, ``consent_row``.
    """
    agreements = _agreements(path)
    covered = {agreement.speaker for agreement in agreements}
    missing, unknown = sorted(set(speakers) - covered), sorted(covered - set(speakers))
    notes = []
    if missing:
        notes.append(f"{path.name} names no consent of {', '.join(missing)}: add a row for each")
    if unknown and speakers:
        notes.append(f"{path.name} names {', '.join(unknown)}, who is not heard in this recording")
    document = {
        "schema": SCHEMA,
        "from": path.name,
        "speakers": [asdict(agreement) for agreement in agreements],
        "missing": missing,
    }
    return document, notes


def copy_consent(
    given: Path | None, kept: Path, speakers: Collection[str]
) -> tuple[dict[str, Any] | None, list[str]]:
    """What a run knows of consent, and sentences for the user: the file that is given, which is put into
    ``kept`` as JSON; without one, what an earlier run kept there; None where nothing was ever given.

    Raises InputError, as :func:`read_consent` does, and OSError when it cannot be written.
    """
    if given is not None:
        document, notes = read_consent(given, speakers)
        write_text_atomic(kept, dump_json(document, indent=1) + "\n")
        return document, notes
    try:
        return json.loads(kept.read_text(encoding="utf-8")), []
    except FileNotFoundError:
        return None, []
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"{kept} cannot be read ({error}): remove it, and give the record again with --consent.",
            code="consent_unreadable",
        ) from error


def _agreements(path: Path) -> list[Agreement]:
    rows = _csv_rows(path) if path.suffix.lower() == ".csv" else _json_rows(path)
    if not rows:
        raise _not_the_format(path, "it names nobody")
    agreements = [_agreement(path, number, row) for number, row in enumerate(rows, 1)]
    names = [agreement.speaker for agreement in agreements]
    for number, name in enumerate(names, 1):
        if name in names[: number - 1]:
            raise _bad_row(path, number, f"{name} has a row already: put both into one")
    return agreements


def _json_rows(path: Path) -> list[Any]:
    try:
        document = json.loads(_text(path))
    except (ValueError, RecursionError) as error:
        raise _not_the_format(path, f"it is not JSON ({error})") from error
    rows = document.get("speakers") if isinstance(document, dict) else document
    if not isinstance(rows, list):
        raise _not_the_format(path, 'it has no list "speakers"')
    return rows


def _csv_rows(path: Path) -> list[Any]:
    try:
        reader = csv.DictReader(io.StringIO(_text(path), newline=""), strict=True)
        missing = [name for name in _REQUIRED if name not in (reader.fieldnames or ())]
        if missing:
            raise _not_the_format(path, f"it has no column {', '.join(missing)}")
        return [{key: value for key, value in row.items() if key in _FIELDS} for row in reader]
    except csv.Error as error:
        raise _not_the_format(path, f"it is not CSV ({error})") from error


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
        if len(data) > _MOST_BYTES:
            raise _not_the_format(path, "it is larger than 1 MB")
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _not_the_format(path, "it is not UTF-8 text") from error
    except (OSError, ValueError) as error:  # ValueError: a name with a null character
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"the consent file {path} cannot be read ({reason}): check the path.", code="consent_unreadable"
        ) from error


def _agreement(path: Path, number: int, row: object) -> Agreement:
    if not isinstance(row, Mapping):
        raise _bad_row(path, number, "it is not an object with the fields " + ", ".join(_FIELDS))
    fields = {name: _field(path, number, row, name) for name in _FIELDS}
    try:
        date.fromisoformat(fields["date"])
    except ValueError as error:
        raise _bad_row(path, number, f'"date" must be like 2026-03-01, not {fields["date"]!r:.40}') from error
    return Agreement(**fields)


def _field(path: Path, number: int, row: Mapping[Any, Any], name: str) -> str:
    value = row.get(name)
    text = value.strip() if isinstance(value, str) else value
    if name == "note" and not text:
        return ""
    if not text:
        raise _bad_row(path, number, f'"{name}" is missing')
    if not isinstance(text, str) or len(text) > _LONGEST:
        raise _bad_row(path, number, f'"{name}" must be a text of at most {_LONGEST} characters')
    if any(0xD800 <= ord(character) < 0xE000 for character in text):
        raise _bad_row(path, number, f'"{name}" holds half a character')
    return text


def _not_the_format(path: Path, why: str) -> InputError:
    return InputError(
        f"the consent file {path} cannot be used: {why}. Give JSON or CSV with "
        f"{', '.join(_REQUIRED)} for each speaker.",
        code="consent_format",
    )


def _bad_row(path: Path, number: int, why: str) -> InputError:
    return InputError(f"the consent file {path}, row {number}: {why}.", code="consent_row")


# What somebody who clones voices should have read once: what the law asks, and what a licence forbids.


_LAW = (
    "Clone only voices of people who agreed to it (--consent keeps a record), and say that the voices are "
    "synthetic where the law asks for it, as the EU AI Act does (Article 50); this is no legal advice."
)
_LICENCES = {name: info.license_notice for name, info in ENGINES.items() if info.license_notice}
_ONCE = "(Said once on this machine.)"


def show_first_run_notice(engine: str, progress: Progress) -> None:
    """Tell the notice as a note of the progress, if there is one. It waits for a caller who looks."""
    if progress is no_progress:
        return
    notice = first_run_notice(engine)
    if notice is not None:
        progress(ProgressEvent("note", 1, 1, note=notice))


def first_run_notice(engine: str) -> str | None:
    """The notice for whoever speaks with this engine for the first time on this machine; None when it was told
    before, and for an engine that makes no speech.

    It counts as told from now on. Where that cannot be written down, it is told again the next time.
    """
    if engine not in _LICENCES:
        return None
    told = {name for name in _LICENCES if state_file(f"notice-{name}.txt").is_file()}
    if engine in told:
        return None
    # Who has read of the law with one engine only lacks the licence of the other.
    notice = " ".join([*([] if told else [_LAW]), _LICENCES[engine], _ONCE])
    write_state(state_file(f"notice-{engine}.txt"), notice + "\n")
    return notice
