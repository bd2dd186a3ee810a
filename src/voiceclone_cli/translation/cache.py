"""Translated lines of earlier commands, by everything that they were made from."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from voiceclone_cli.files import fingerprint, friendly_errors, write_text_atomic
from voiceclone_cli.rundir.manifest import has_type, json_object
from voiceclone_worker.validation import dump_json

SCHEMA = "voiceclone.translated-lines/1"
VERSION = 1
"""Of the stage. To be counted up when the same line and translator would give another text."""
_WRITING_SHARE = 20
"""Until the end, at most one part in twenty of the time is spent on writing."""


@dataclass(frozen=True, slots=True)
class CachedLine:
    """A line that was asked for."""

    text: str
    """Its translation; empty where it failed."""
    reason: str = ""
    """Why it failed."""
    room: str = ""
    """Fingerprint of the slot that the translation was fitted to."""


class TranslationCache:
    """Translated lines in a file, which is written whole and under a temporary name.

    ``path`` None: nothing is cached. A file that cannot be read counts as empty.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        document = json_object(path) if path is not None else {}
        is_known = document.get("schema") == SCHEMA and document.get("version") == VERSION
        self.translator: Mapping[str, str] = dict.fromkeys(("name", "destination", "identity", "chosen"), "")
        """Name, destination and identity of the translator that was asked last, and a fingerprint of what chose it."""
        self.output = ""
        """SHA-256 of the script that was written with these lines."""
        self._lines: dict[str, CachedLine] = {}
        if is_known:
            self._load(document)
        self._next_write = 0.0

    def _load(self, document: Mapping[str, Any]) -> None:
        translator, output, rows = (document.get(key) for key in ("translator", "output", "lines"))
        if has_type(translator, dict[str, str]):
            self.translator = {**self.translator, **(translator or {})}
        self.output = output if isinstance(output, str) else ""
        for key, row in rows.items() if isinstance(rows, dict) else ():
            if has_type(row, dict[str, str]) and row.keys() == {"text", "reason", "room"}:
                self._lines[key] = CachedLine(**row)

    def find(self, key: str) -> CachedLine | None:
        """Return a line by its key; None where it has not been asked for."""
        return self._lines.get(key)

    def add(self, key: str, line: CachedLine) -> None:
        """Add a line, and write the file if the last time is long enough ago. Raises RunError."""
        self._lines[key] = line
        if time.monotonic() >= self._next_write:
            started = time.monotonic()
            self.save()
            now = time.monotonic()
            self._next_write = now + _WRITING_SHARE * (now - started)

    def save(self) -> None:
        """Write the file. Raises RunError where that fails."""
        if self._path is None:
            return
        document = {
            "schema": SCHEMA,
            "version": VERSION,
            "translator": dict(self.translator),
            "output": self.output,
            "lines": {key: asdict(line) for key, line in self._lines.items()},
        }
        with friendly_errors(self._path.parent):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_text_atomic(self._path, dump_json(document, indent=1) + "\n", sync=False)


def key_of(parts: Mapping[str, Any]) -> str:
    """Return the key of a line: the fingerprint of all that its translation is made from."""
    return fingerprint(parts)[:32]
