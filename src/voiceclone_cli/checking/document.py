"""A check as a document: what check.json holds and ``--json`` prints."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from voiceclone_cli.checking.model import Check, Gates, Row
from voiceclone_cli.rundir.paths import CHECK_SCHEMA

_DIGITS = 4
"""Of measures. What lies behind is noise, and makes two documents differ that say the same."""


def to_document(check: Check) -> dict[str, Any]:
    """``voiceclone.check/1``. A measure that could not be taken is null."""
    return {
        "schema": CHECK_SCHEMA,
        "run_dir": str(check.run_dir),
        "status": "passed" if check.passed else "failed",
        "summary": _rounded(asdict(check.summary)),
        "gates": _gates(check.gates),
        "offences": [asdict(offence) for offence in check.offences],
        "voices": [_rounded(asdict(voice)) for voice in check.voices],
        "segments": [_row(row) for row in check.rows],
        "models": dict(check.models),
        "notes": list(check.notes),
    }


def _row(row: Row) -> dict[str, Any]:
    return {**_rounded(asdict(row)), "flags": [str(flag) for flag in row.flags]}


def _gates(gates: Gates) -> dict[str, Any]:
    return {**asdict(gates), "baseline": None if gates.baseline is None else str(gates.baseline)}


def _rounded(measures: dict[str, Any]) -> dict[str, Any]:
    # Plus zero: no measure is -0.0.
    return {
        name: round(value, _DIGITS) + 0.0 if isinstance(value, float) else value
        for name, value in measures.items()
    }
