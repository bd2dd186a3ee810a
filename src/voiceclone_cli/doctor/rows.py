"""What a check has to say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from voiceclone_cli.errors import VoicecloneError


class State(StrEnum):
    OK = "ok"
    NOTE = "note"
    """Worth knowing; a run works all the same."""
    FAIL = "fail"
    """A run with these settings could not work."""


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that was looked at. ``advice`` is what to do, one sentence; empty where nothing is."""

    check: str
    state: State
    found: str
    advice: str = ""


def rows_of(check: str, rows: Iterable[Row], trouble: State) -> Iterator[Row]:
    """The rows of a check, which may raise on the way: an error of ours becomes a last row in the
    state ``trouble``, so that a broken piece never keeps the others from being looked at."""
    try:
        yield from rows
    except VoicecloneError as error:
        yield unusable(check, trouble, error)


def unusable(check: str, state: State, error: VoicecloneError) -> Row:
    """A row for what cannot be used; an error's one sentence says why and what to do."""
    return Row(check, state, "cannot be used", error.message)
