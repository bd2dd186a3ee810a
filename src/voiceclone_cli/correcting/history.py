"""corrections.json: every correction of a run in order, which is its history and its state at once."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voiceclone_cli.atomic import explain_write_errors, write_text_atomic
from voiceclone_cli.correcting.corrections import Correction, Merge, Rename, as_row, from_row
from voiceclone_cli.correcting.wording import check_name, check_text
from voiceclone_cli.errors import InputError
from voiceclone_cli.names import check_speakers
from voiceclone_worker.contract import ContractError, parse_json

SCHEMA = "voiceclone.corrections/1"
_MAX_BYTES = 32 * 2**20


@dataclass(frozen=True, slots=True)
class History:
    """The corrections of a run, the oldest first."""

    corrections: tuple[Correction, ...] = ()
    in_script: int = 0
    """How many of them the script that was fed back from the run directory holds already."""

    def rows(self) -> list[dict[str, Any]]:
        """As the manifest has them."""
        return [as_row(correction) for correction in self.corrections]


def read_history(path: Path) -> History:
    """Raises InputError where a hand has written something else into the file."""
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        return History()
    except OSError as error:
        raise _bad(path, f"cannot be read ({error.strerror or error})") from error
    if len(data) > _MAX_BYTES:
        raise _bad(path, f"is larger than {_MAX_BYTES // 2**20} MB")
    try:
        document = parse_json(data.decode("utf-8-sig"))
    except (UnicodeDecodeError, ContractError) as error:
        raise _bad(path, "is not JSON in UTF-8") from error
    return _history(path, document)


def _history(path: Path, document: Any) -> History:
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise _bad(path, f'does not say "schema": "{SCHEMA}"')
    rows, in_script = document.get("corrections"), document.get("in_script", 0)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise _bad(path, 'has no list of "corrections"')
    if not isinstance(in_script, int) or isinstance(in_script, bool) or not 0 <= in_script <= len(rows):
        raise _bad(path, '"in_script" is not the number of some of them')
    corrections = []
    for number, row in enumerate(rows, 1):
        try:
            corrections.append(_checked(from_row(row)))
        except (ValueError, InputError) as error:
            raise _bad(path, f"is wrong in correction {number}: {error}") from error
    return History(tuple(corrections), in_script)


def _checked(correction: Correction) -> Correction:
    """The correction, if a command could have written it. Raises InputError."""
    if isinstance(correction, Rename | Merge):
        check_speakers([correction.old])
        check_name(correction.new)
        return correction
    check_speakers([correction.becomes.speaker])
    check_text(correction.becomes.text)
    return correction


def _bad(path: Path, fault: str) -> InputError:
    return InputError(
        f"{path} {fault.rstrip('.')}; mend it, or remove it: the corrections are gone then, nothing else.",
        code="bad_corrections",
    )


def write_history(path: Path, history: History) -> None:
    """Raises RunError where it cannot be written."""
    document = {"schema": SCHEMA, "in_script": history.in_script, "corrections": history.rows()}
    with explain_write_errors(path.parent):
        write_text_atomic(path, json.dumps(document, ensure_ascii=False, indent=1) + "\n")
