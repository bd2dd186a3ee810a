"""The history of a run: what was corrected, when, and what it was before."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from voiceclone_cli.report.folder import Folder
from voiceclone_cli.report.loose import Document, mapping, number, plain, rows, text

_OF_LINES = ("text", "speaker", "seed")


def corrections_of(folder: Folder) -> list[dict[str, Any]]:
    """The oldest first: when (ISO 8601, UTC), the line's id or none, what was done, and each change as
    (what, before, after)."""
    return [_correction(row) for row in rows(folder.run.get("history"))]


def _correction(row: Document) -> dict[str, Any]:
    kind = text(row.get("kind"))
    old, new = text(row.get("from")), text(row.get("to"))
    done = {
        "line": "spoken again",
        "rename": "a speaker has another name",
        "merge": f"two speakers are one ({number(row.get('lines')) or 0:g} lines)",
    }
    changes = list(_changes(row)) if kind == "line" else [("speaker", old, new)] if kind in done else []
    return {
        "at": text(row.get("at")),
        "line": text(row.get("id")) or None,
        "done": done.get(kind) or plain({key: value for key, value in row.items() if key != "at"}),
        "changes": changes,
    }


def _changes(row: Document) -> Iterator[tuple[str, str, str]]:
    was = mapping(row.get("was"))
    for name in _OF_LINES:
        if row.get(name) is not None and row.get(name) != was.get(name):
            yield name, "" if was.get(name) is None else plain(was.get(name)), plain(row[name])
