"""What a user wants corrected, before it is known whether that can be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from voiceclone_cli.correcting.wording import check_text
from voiceclone_cli.errors import InputError


@dataclass(frozen=True, slots=True)
class LineWish:
    """A line with other words, another speaker or another seed; another take of it where nothing is said."""

    id: str
    text: str | None = None
    speaker: str | None = None
    seed: int | None = None
    """A run's: the line gets the take that a run with this seed would give it."""


@dataclass(frozen=True, slots=True)
class RenameWish:
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class MergeWish:
    """``old``'s lines are to be ``new``'s."""

    old: str
    new: str


@dataclass(frozen=True, slots=True)
class UndoWish:
    """Take back what was asked for last."""


Wish = LineWish | RenameWish | MergeWish | UndoWish


def wishes_for(
    ids: Sequence[str],
    *,
    text: str | None = None,
    speaker: str | None = None,
    seed: int | None = None,
    rename: Sequence[str] = (),
    merge: Sequence[str] = (),
    undo: bool = False,
) -> tuple[Wish, ...]:
    """The wishes of one command, in the order in which they are met: speakers first, then lines.

    ``rename`` and ``merge`` hold ``OLD=NEW``. Raises InputError for what does not go together.
    """
    ids = list(dict.fromkeys(ids))
    changes = {"--text": text, "--speaker": speaker, "--seed": seed}
    given = [option for option, value in changes.items() if value is not None]
    if given and not ids:
        raise InputError(
            f"{given[0]} says nothing without a line; give its id, as in: voiceclone redo RUN_DIR 0007 {given[0]} ...",
            code="no_line_given",
        )
    if text is not None and len(ids) > 1:
        raise InputError(
            f"--text is for one line, not for {len(ids)}; give a command for each of them.",
            code="text_for_many",
        )
    if undo and (ids or rename or merge):
        raise InputError("--undo takes back what was asked for last; give it alone.", code="undo_not_alone")
    if undo:
        return (UndoWish(),)
    words = None if text is None else check_text(text)
    return (
        *(RenameWish(*_pair("--rename", pair)) for pair in rename),
        *(MergeWish(*_pair("--merge", pair)) for pair in merge),
        *(LineWish(id, words, speaker, seed) for id in ids),
    )


def _pair(option: str, pair: str) -> tuple[str, str]:
    old, _, new = (part.strip() for part in pair.partition("="))
    if not (old and new):
        raise InputError(
            f"{option} takes OLD=NEW, as in {option} SPEAKER_01={'Anna' if option == '--rename' else 'SPEAKER_00'}, "
            f"not {pair!r:.60}.",
            code="bad_pair",
        )
    return old, new
