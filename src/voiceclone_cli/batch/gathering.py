"""From what the command line and a list say to a batch: each recording once, with its own run directory."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from voiceclone_cli.batch.document import earlier_names
from voiceclone_cli.batch.inputs import find_inputs, names_many
from voiceclone_cli.batch.list_file import Row, read_list
from voiceclone_cli.batch.naming import give_names
from voiceclone_cli.batch.types import Batch, BatchItem
from voiceclone_cli.errors import InputError
from voiceclone_cli.rundir.paths import MANIFEST
from voiceclone_cli.steps.request import RunRequest

DEFAULT_ROOT = Path("voiceclone-batch")


def is_single(arguments: Sequence[Path], list_file: Path | None) -> bool:
    """Whether this is a run of one recording, and no batch."""
    return list_file is None and len(arguments) == 1 and not names_many(arguments[0])


def gather(arguments: Sequence[Path], list_file: Path | None, common: RunRequest) -> Batch:
    """The batch that these arguments and this list make; what the list does not say is as in ``common``, whose
    ``out`` is the root.

    Raises InputError before anything is started: for what names no recording, a list that cannot be read, an
    option that is for one recording only.
    """
    _check_options(common)
    root = (common.out or DEFAULT_ROOT).absolute()
    _check_root(root)
    listed = read_list(list_file, common) if list_file is not None else []
    named = [Row("", replace(common, input=path), None) for path in find_inputs(arguments)]
    rows, doubled = _each_once(named, listed)
    if not rows:
        raise InputError("name at least one recording, or a --list of them", code="no_input")
    earlier = earlier_names(root)
    items = tuple(_items(rows, root, earlier))
    present = {str(item.request.input) for item in items}
    gone = {path: name for path, name in earlier.items() if path not in present}
    return Batch(items, root, common.settings, gone, (*common.settings.notes, *_note(doubled)))


def _check_options(common: RunRequest) -> None:
    for option, value in (
        ("--script", common.script),
        ("--turns", common.turns),
        ("--reference", common.references),
    ):
        if value:
            raise InputError(
                f"{option} is for one recording: with several, put each one's own into a list and give that "
                "with --list",
                code="option_of_one",
            )


def _check_root(root: Path) -> None:
    if (root / MANIFEST).exists() or (root.exists() and not root.is_dir()):
        kind = "the run directory of one recording" if root.is_dir() else "a file"
        raise InputError(f"{root} is {kind}; choose another folder with --out", code="not_a_batch")


def _each_once(named: Iterable[Row], listed: Sequence[Row]) -> tuple[list[Row], list[Path]]:
    """The rows without those that only repeat another, and the recordings that were repeated. What a list says
    of a recording holds for it, also where an argument names it too."""
    of_list: dict[str, list[Row]] = {}
    distinct: list[Row] = []
    doubled: list[Path] = []
    for row in listed:
        others = of_list.setdefault(_identity(row), [])
        if _repeats(row, others):
            doubled.append(row.request.input)
        else:
            others.append(row)
            distinct.append(row)
    alone: dict[str, Row] = {}
    for row in named:
        identity = _identity(row)
        if identity in of_list or alone.setdefault(identity, row) is not row:
            doubled.append(row.request.input)
    return [*alone.values(), *distinct], doubled


def _identity(row: Row) -> str:
    return os.path.realpath(row.request.input)


def _repeats(row: Row, others: Sequence[Row]) -> bool:
    """Whether a row of a list says nothing new. Raises InputError where two rows of one recording want
    different things, and a name is missing that would tell them apart."""
    for other in others:
        if row.name == other.name and row.request == replace(other.request, input=row.request.input):
            return True
        if row.name is None or other.name is None:
            raise InputError(
                f"{row.request.input} stands in {other.where} and in {row.where} of the list with different "
                "options: give each row a name",
                code="list_name",
            )
    return False


def _items(rows: Sequence[Row], root: Path, earlier: dict[str, str]) -> Iterable[BatchItem]:
    # Not resolved: a link has the name that its user gave it.
    paths = [Path(os.path.abspath(row.request.input)) for row in rows]
    unnamed = [path for path, row in zip(paths, rows, strict=True) if row.name is None]
    taken = [row.name for row in rows if row.name is not None]
    found = dict(zip(unnamed, give_names(unnamed, earlier, taken), strict=True))
    for path, row in zip(paths, rows, strict=True):
        name = found[path] if row.name is None else row.name
        yield BatchItem(replace(row.request, input=path, out=root / name), name)


def _note(doubled: Sequence[Path]) -> list[str]:
    if not doubled:
        return []
    more = f" and {len(doubled) - 3} more" if len(doubled) > 3 else ""
    return [f"named more than once, taken once: {', '.join(map(str, doubled[:3]))}{more}"]
