"""A check as JUnit XML: a suite for each speaker, a case for each segment, for the pages of CI systems.

The elements are those that Jenkins, GitLab and GitHub's reporters read in common: testsuites, testsuite,
testcase, failure, error, properties.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any
from xml.etree import ElementTree as ET

from voiceclone_cli.evaluation.model import Evaluation, Flag, GateFailure, GateLimits, SegmentScore
from voiceclone_cli.rundir.manifest import CHECK_SCHEMA

# A check as a document: what check.json holds and ``--json`` prints.


_DIGITS = 4
"""Of measures. What lies behind is noise, and makes two documents differ that say the same."""


def evaluation_document(check: Evaluation) -> dict[str, Any]:
    """``voiceclone.check/1``. A measure that could not be taken is null."""
    return {
        "schema": CHECK_SCHEMA,
        "run_dir": str(check.run_dir),
        "status": "passed" if check.passed else "failed",
        "summary": _rounded(asdict(check.summary)),
        "gates": _gates(check.gates),
        "offences": [asdict(gate_failure) for gate_failure in check.gate_failures],
        "voices": [_rounded(asdict(voice)) for voice in check.voices],
        "segments": [_row(row) for row in check.rows],
        "models": dict(check.models),
        "notes": list(check.notes),
    }


def _row(row: SegmentScore) -> dict[str, Any]:
    return {**_rounded(asdict(row)), "flags": [str(flag) for flag in row.flags]}


def _gates(gates: GateLimits) -> dict[str, Any]:
    return {**asdict(gates), "baseline": None if gates.baseline is None else str(gates.baseline)}


def _rounded(measures: dict[str, Any]) -> dict[str, Any]:
    # Plus zero: no measure is -0.0.
    return {
        name: round(value, _DIGITS) + 0.0 if isinstance(value, float) else value
        for name, value in measures.items()
    }


_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""XML 1.0 has no place for other characters, not even escaped."""
_MEASURES = (
    "similarity", "margin", "nearest_other", "wer", "mos", "duration_ratio", "loudness_db", "peak_db",
    "clipped_samples", "text", "heard",
)  # fmt: skip


def to_junit(check: Evaluation) -> str:
    """The document. What was not measured on a segment has no property; flags are one."""
    gate_failures: dict[tuple[str | None, str | None], list[GateFailure]] = {}
    for gate_failure in check.gate_failures:
        gate_failures.setdefault((gate_failure.speaker, gate_failure.segment), []).append(gate_failure)
    rows = {(row.speaker, row.id): row for row in check.rows}
    # Some may be segments of a baseline that this run does not have.
    named = {(speaker, id) for speaker, id in gate_failures if speaker is not None and id is not None}
    root = ET.Element("testsuites", name="voiceclone check")
    for speaker in sorted({row.speaker for row in check.rows} | {name for name, _ in gate_failures if name}):
        ids = sorted({id for name, id in rows.keys() | named if name == speaker})
        cases = [
            _case(speaker, id, gate_failures.get((speaker, id), []), rows.get((speaker, id))) for id in ids
        ]
        cases.append(_case(speaker, "all segments", gate_failures.get((speaker, None), []), None))
        root.append(_suite(speaker, cases))
    root.append(_suite("run", [_case("run", "all segments", gate_failures.get((None, None), []), None)]))
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _suite(name: str, cases: Sequence[ET.Element]) -> ET.Element:
    suite = ET.Element("testsuite", name=_clean(name), tests=str(len(cases)))
    for kind in ("failure", "error"):
        suite.set(f"{kind}s", str(sum(case.find(kind) is not None for case in cases)))
    suite.extend(cases)
    return suite


def _case(
    speaker: str, name: str, gate_failures: Iterable[GateFailure], row: SegmentScore | None
) -> ET.Element:
    case = ET.Element("testcase", classname=_clean(speaker), name=_clean(name))
    if row is not None:
        if row.seconds is not None:
            case.set("time", f"{row.seconds:.3f}")
        case.append(_properties(row))
    messages = [f"{gate_failure.gate}: {gate_failure.message}" for gate_failure in gate_failures]
    if messages:
        is_missing = row is not None and {Flag.FAILED, Flag.UNREADABLE} & set(row.flags)
        problem = ET.SubElement(case, "error" if is_missing else "failure", message=_clean(messages[0]))
        problem.text = _clean("\n".join(messages))
    return case


def _properties(row: SegmentScore) -> ET.Element:
    properties = ET.Element("properties")
    measures = [(name, getattr(row, name)) for name in _MEASURES]
    for name, value in [*measures, ("flags", " ".join(row.flags) or None)]:
        if value is not None:
            shown = f"{value:.4f}" if isinstance(value, float) else str(value)
            ET.SubElement(properties, "property", name=name, value=_clean(shown))
    return properties


def _clean(text: str) -> str:
    return _NOT_XML.sub("�", text)
