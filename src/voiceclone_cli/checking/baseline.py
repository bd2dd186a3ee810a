"""A run against an earlier one that was good: segment by segment, and as a whole."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voiceclone_cli.checking.model import Flag, Offence, Row, Summary
from voiceclone_cli.errors import InputError
from voiceclone_cli.rundir.paths import CHECK_SCHEMA

GATE = "baseline"
_MAX_BYTES = 200 * 2**20


@dataclass(frozen=True, slots=True)
class Tolerance:
    """By how much a measure may be worse than it was. ``sign`` is 1 where more is better."""

    measure: str
    sign: int
    of_row: float
    of_run: float


TOLERANCES = (
    Tolerance("similarity", 1, 0.10, 0.03),
    Tolerance("margin", 1, 0.10, 0.03),
    Tolerance("mos", 1, 0.30, 0.10),
    Tolerance("wer", -1, 0.15, 0.03),
)
_SLIP = 1
"""One more wrong word in a row is the recogniser's as likely as the clone's."""


def read_baseline(path: Path) -> dict[str, Any]:
    """The check of an earlier run: its check.json, or the one beside its run.json or in its directory.

    Raises InputError where there is none, saying how to make it, and for one that is damaged.
    """
    folder = path if path.is_dir() else path.parent
    file = path if path.is_file() and path.name != "run.json" else folder / "check.json"
    try:
        if file.stat().st_size > _MAX_BYTES:
            raise ValueError("it is larger than 200 MB")
        document: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        if document["schema"] != CHECK_SCHEMA:
            raise ValueError(f"its schema is {document['schema']!r:.40}")
        for row in document["segments"]:
            _check(row, ("id", "speaker", "sha256"))
        _check(document["summary"], ())
    except OSError as error:
        raise InputError(
            f"--baseline {path}: {file} cannot be read ({error.strerror}); `voiceclone check {folder}` makes it",
            code="baseline_missing",
        ) from error
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise InputError(
            f"--baseline {path}: {file} is no check of this version ({type(error).__name__}: {error}); "
            f"`voiceclone check {folder}` makes it anew",
            code="baseline_damaged",
        ) from error
    return document


def worse(rows: Sequence[Row], summary: Summary, baseline: Mapping[str, Any]) -> tuple[Offence, ...]:
    """What has become worse by more than the tolerance, or is not there any more.

    Segments are the same when id and speaker are; new ones are only counted in the whole.
    """
    before = _by_identity(baseline["segments"])
    now = {(row.id, row.speaker): row for row in rows}
    return (
        *_of_run(summary, baseline["summary"]),
        *(
            offence
            for identity, row in before.items()
            for offence in _of_row(identity, row, now.get(identity))
        ),
    )


def _of_run(summary: Summary, before: Mapping[str, Any]) -> Iterator[Offence]:
    for tolerance in TOLERANCES:
        was, now = before.get(tolerance.measure), getattr(summary, tolerance.measure)
        if _loss(tolerance, was, now) > tolerance.of_run:
            yield Offence(GATE, None, None, f"{tolerance.measure} {_change(was, now)}")


def _of_row(identity: tuple[str, str], before: Mapping[str, Any], row: Row | None) -> Iterator[Offence]:
    id, speaker = identity
    if before["sha256"] is None:
        return
    if row is None:
        yield Offence(GATE, id, speaker, "is in the baseline, and not in this run")
        return
    if {Flag.FAILED, Flag.UNREADABLE, Flag.SILENT} & set(row.flags):
        return  # that misses any gate, and is told once
    for tolerance in TOLERANCES:
        was, now = before.get(tolerance.measure), getattr(row, tolerance.measure)
        if _counts(tolerance, row, before) and _loss(tolerance, was, now) > tolerance.of_row:
            yield Offence(GATE, id, speaker, f"{tolerance.measure} {_change(was, now)}")


def _counts(tolerance: Tolerance, row: Row, before: Mapping[str, Any]) -> bool:
    """Whether a measure of one row tells enough."""
    if not row.judged or not before.get("judged"):
        return False
    more_errors = (row.word_errors or 0) - (before.get("word_errors") or 0)
    return tolerance.measure != "wer" or more_errors > _SLIP


def _loss(tolerance: Tolerance, was: float | None, now: float | None) -> float:
    """By how much it is worse. What cannot be measured any more, as silence has no voice, lost everything."""
    if was is None:
        return -math.inf
    return math.inf if now is None else tolerance.sign * (was - now)


def _change(was: float | None, now: float | None) -> str:
    is_now = "cannot be measured now" if now is None else f"is {now:.3f}"
    return f"was {was:.3f} in the baseline and {is_now}"


def _by_identity(rows: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], Mapping[str, Any]]:
    return {(str(row["id"]), str(row["speaker"])): row for row in rows}


def _check(row: Mapping[str, Any], needed: Sequence[str]) -> None:
    """Raises KeyError, TypeError, ValueError or AttributeError for what is no row of a check."""
    for name in needed:
        row[name]
    for tolerance in TOLERANCES:
        value = row.get(tolerance.measure)
        if value is not None and not math.isfinite(value):
            raise ValueError(f"{tolerance.measure} is {value!r:.40}")
