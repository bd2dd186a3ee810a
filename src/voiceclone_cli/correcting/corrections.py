"""The kinds of corrections, and how corrections.json writes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Was:
    """A line as it was right before it was corrected."""

    text: str
    speaker: str
    seed: int | None


@dataclass(frozen=True, slots=True)
class LineCorrection:
    """A line is spoken with other words, by another speaker or as another take; None: as it was."""

    at: str
    """ISO 8601, UTC. Corrections that were asked for together have the same."""
    id: str
    was: Was
    text: str | None = None
    speaker: str | None = None
    seed: int | None = None

    @property
    def becomes(self) -> Was:
        """The line after it."""
        return Was(
            self.was.text if self.text is None else self.text,
            self.was.speaker if self.speaker is None else self.speaker,
            self.was.seed if self.seed is None else self.seed,
        )


@dataclass(frozen=True, slots=True)
class Rename:
    """A speaker has another name."""

    at: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Merge:
    """Two speakers are one person: ``new``, who keeps their own reference."""

    at: str
    old: str
    new: str
    lines: int
    """That were ``old``'s."""


Correction = LineCorrection | Rename | Merge


def describe(correction: Correction) -> str:
    """What it changes, for people."""
    if isinstance(correction, Rename):
        return f"{correction.old} is {correction.new}"
    if isinstance(correction, Merge):
        lines = "1 line" if correction.lines == 1 else f"{correction.lines} lines"
        return f"{correction.old} is {correction.new}, with {lines}"
    if correction.text is not None:
        return f"{correction.id} has other words"
    if correction.speaker is not None:
        return f"{correction.id} is {correction.speaker}'s"
    return f"{correction.id} is another take"


def as_row(correction: Correction) -> dict[str, Any]:
    """As corrections.json and the manifest's history have it."""
    if isinstance(correction, Rename):
        return {"at": correction.at, "kind": "rename", "from": correction.old, "to": correction.new}
    if isinstance(correction, Merge):
        names = {"from": correction.old, "to": correction.new}
        return {"at": correction.at, "kind": "merge", **names, "lines": correction.lines}
    was = {"text": correction.was.text, "speaker": correction.was.speaker, "seed": correction.was.seed}
    changes = {"text": correction.text, "speaker": correction.speaker, "seed": correction.seed}
    given = {key: value for key, value in changes.items() if value is not None}
    return {"at": correction.at, "kind": "line", "id": correction.id, "was": was, **given}


def from_row(row: Mapping[str, Any]) -> Correction:
    """What ``as_row`` wrote. Raises ValueError, with the fault as a phrase, for anything else."""
    at, kind = _text(row, "at"), row.get("kind")
    if kind == "rename":
        return Rename(at, _text(row, "from"), _text(row, "to"))
    if kind == "merge":
        return Merge(at, _text(row, "from"), _text(row, "to"), _whole(row, "lines"))
    if kind != "line":
        raise ValueError('its "kind" must be line, rename or merge')
    was = row.get("was")
    if not isinstance(was, dict):
        raise ValueError('"was" must be an object')
    return LineCorrection(
        at,
        _text(row, "id"),
        Was(_text(was, "text"), _text(was, "speaker"), _optional_seed(was)),
        text=_text(row, "text") if "text" in row else None,
        speaker=_text(row, "speaker") if "speaker" in row else None,
        seed=_optional_seed(row),
    )


def _text(row: Mapping[str, Any], key: str) -> str:
    value = row.get(key)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f'"{key}" must be text')
    return value


def _whole(row: Mapping[str, Any], key: str) -> int:
    value = row.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63:
        raise ValueError(f'"{key}" must be a whole number from 0')
    return value


def _optional_seed(row: Mapping[str, Any]) -> int | None:
    return None if row.get("seed") is None else _whole(row, "seed")
