"""What a worker says of its rows, and how much of it is believed.

A worker is another program, perhaps a damaged one. A row is believed when it is one of the lease's and,
if it says that speech was made, the very file that was asked for is there and as long as it says.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from voiceclone_cli.workers.held import Held, RowName
from voiceclone_cli.workers.outcome import SegmentKey
from voiceclone_worker.contract import (
    ContractError,
    Failure,
    ReferenceRow,
    Result,
    SegmentRow,
    reference_row_from_dict,
    segment_row_from_dict,
)

WAV_HEADER = 44
"""Bytes before the samples of a mono PCM_16 file as the worker writes it."""

NAMES_TOLD = 3


@dataclass(slots=True)
class Examined:
    """A result against its lease."""

    segments: list[SegmentRow] = field(default_factory=list)
    """Rows to believe."""
    references: list[ReferenceRow] = field(default_factory=list)
    faults: dict[RowName, Failure] = field(default_factory=dict)
    """Rows that have no outcome that could be believed, and why."""
    notes: list[str] = field(default_factory=list)
    """Sentences about rows that were ignored."""


def news(event: dict[str, Any]) -> SegmentRow | ReferenceRow | RowName | None:
    """What an event says of a lease: an outcome, or the name of a row that is begun.

    Raises ContractError or KeyError for a damaged event.
    """
    match event["event"]:
        case "segment_started":
            task, segment_id = event["task"], event["id"]
            if not isinstance(task, int) or not isinstance(segment_id, str):
                raise ContractError("a row is named by a number and a text")
            return task, segment_id
        case "segment_done" | "segment_failed":
            return segment_row_from_dict(event)
        case "encoded":
            return reference_row_from_dict(event)
    return None


def why_not_spoken(row: SegmentRow, key: SegmentKey) -> str | None:
    """Why a row is not to be believed; None where it is."""
    if row.status != "done":
        return None
    folder, segment_id = key
    wanted = os.path.join(folder, f"{segment_id}.wav")
    if not _same(row.file, wanted):
        return f"it says that it wrote {row.file}, not {wanted}"
    size = _size(wanted)
    if size is None:
        return f"it says that it wrote {wanted}, where no file is"
    if row.frames is None or size != WAV_HEADER + 2 * row.frames:
        return f"{wanted} has {size} bytes, which are not the {row.frames} samples that it says it wrote"
    return None


def why_not_encoded(row: ReferenceRow, codes: str) -> str | None:
    """Why the row of a reference is not to be believed; None where it is."""
    if row.status != "done":
        return None
    if not _same(row.file, codes):
        return f"it says that it wrote {row.file}, not {codes}"
    return None if _size(codes) else f"it says that it wrote {codes}, where no file is"


def examine(held: Held, result: Result) -> Examined:
    """Every row of the lease that has no outcome yet: believed, or at fault."""
    found = Examined()
    told = _Told(held)
    for row in result.segments:
        name = (row.task, row.id)
        if told.first(name, held.segments) and name not in held.finished:
            doubt = why_not_spoken(row, held.segments[name])
            if doubt is None:
                found.segments.append(row)
            else:
                found.faults[name] = _wrong(held, doubt)
    for reference in result.references:
        name = (reference.task, reference.speaker)
        if told.first(name, held.references) and name not in held.encoded:
            doubt = why_not_encoded(reference, held.references[name])
            if doubt is None:
                found.references.append(reference)
            else:
                found.faults[name] = _wrong(held, doubt)
    for name in (*held.unfinished, *held.unencoded):
        if name not in told.seen:
            found.faults[name] = Failure("no_outcome", f"{held.worker} gave no outcome for it")
    found.notes += told.notes()
    return found


class _Told:
    """Which rows a result has named, and which it should not have."""

    def __init__(self, held: Held) -> None:
        self._worker = held.worker
        self.seen: set[RowName] = set()
        self._doubled: list[str] = []
        self._unknown: list[str] = []

    def first(self, name: RowName, given: Container[RowName]) -> bool:
        """Whether this is the first row for one of the ``given``."""
        if name not in given:
            self._unknown.append(name[1])
        elif name in self.seen:
            self._doubled.append(name[1])
        else:
            self.seen.add(name)
            return True
        return False

    def notes(self) -> list[str]:
        notes = []
        if self._doubled:
            notes.append(f"{self._worker} answered twice for {named(self._doubled)}: the first answer counts")
        if self._unknown:
            notes.append(
                f"{self._worker} answered for {named(self._unknown)}, which it was not given: ignored"
            )
        return notes


def _wrong(held: Held, doubt: str) -> Failure:
    return Failure("result_wrong", f"{held.worker} cannot be believed: {doubt}")


def named(names: Iterable[str]) -> str:
    """A few of the names, and how many more there are."""
    every = list(names)
    told = ", ".join(repr(name)[1:-1][:60] for name in every[:NAMES_TOLD])
    return told if len(every) <= NAMES_TOLD else f"{told} and {len(every) - NAMES_TOLD} more"


def _same(told: str | None, wanted: str) -> bool:
    return told == wanted or (told is not None and Path(told) == Path(wanted))


def _size(path: str) -> int | None:
    """Bytes of a file; None where there is none, or a link."""
    try:
        found = os.lstat(path)
    except (OSError, ValueError):
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None
