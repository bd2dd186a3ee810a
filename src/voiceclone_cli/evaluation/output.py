"""An evaluation as JSON, and as JUnit XML for the pages of CI systems.

JUnit: a suite for each speaker, a case for each segment; the elements are those that Jenkins, GitLab and GitHub's
reporters have in common (testsuites, testsuite, testcase, failure, error, properties).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any
from xml.etree import ElementTree as ET

from voiceclone_cli.evaluation import model
from voiceclone_cli.rundir.manifest import CHECK_SCHEMA

_KEYS = {"scored": "judged", "transcript": "heard"}
"""Keys in check.json of measurements that have another name here."""


def evaluation_document(evaluation: model.Evaluation) -> dict[str, Any]:
    """Return the content of check.json, ``voiceclone.check/1``. What could not be measured is null."""
    gates = evaluation.gates
    return {
        "schema": CHECK_SCHEMA,
        "run_dir": str(evaluation.run_dir),
        "status": "passed" if evaluation.passed else "failed",
        "summary": _row(evaluation.summary),
        "gates": {**asdict(gates), "baseline": None if gates.baseline is None else str(gates.baseline)},
        "offences": [asdict(failure) for failure in evaluation.gate_failures],
        "voices": [_row(voice) for voice in evaluation.voices],
        "segments": [{**_row(row), "flags": list(map(str, row.flags))} for row in evaluation.rows],
        "models": dict(evaluation.models),
        "notes": list(evaluation.notes),
    }


def _row(measured: model.SegmentScore | model.SpeakerScore | model.EvaluationSummary) -> dict[str, Any]:
    # Rounded, since further digits are noise that makes equal documents differ. Plus zero: nothing is -0.0.
    return {
        _KEYS.get(name, name): round(value, 4) + 0.0 if isinstance(value, float) else value
        for name, value in asdict(measured).items()
    }


_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot have, not even escaped."""
_MEASURES = (
    "similarity", "margin", "nearest_other", "wer", "mos", "duration_ratio", "loudness_db", "peak_db",
    "clipped_samples", "text", "transcript",
)  # fmt: skip


def to_junit(evaluation: model.Evaluation) -> str:
    """Return the XML document. Measurements and flags of a segment are properties; those without a value are left out."""
    failures: dict[tuple[str | None, str | None], list[model.GateFailure]] = {}
    for failure in evaluation.gate_failures:
        failures.setdefault((failure.speaker, failure.segment), []).append(failure)
    rows = {(row.speaker, row.id): row for row in evaluation.rows}
    # Some may be segments of a baseline that this run does not have.
    named = {(speaker, id) for speaker, id in failures if speaker is not None and id is not None}
    root = ET.Element("testsuites", name="voiceclone check")
    for speaker in sorted({speaker for speaker, _ in rows} | {name for name, _ in failures if name}):
        ids = sorted({id for name, id in rows.keys() | named if name == speaker})
        cases = [_case(speaker, id, failures.get((speaker, id), []), rows.get((speaker, id))) for id in ids]
        cases.append(_case(speaker, "all segments", failures.get((speaker, None), [])))
        root.append(_suite(speaker, cases))
    root.append(_suite("run", [_case("run", "all segments", failures.get((None, None), []))]))
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _suite(name: str, cases: Sequence[ET.Element]) -> ET.Element:
    suite = ET.Element("testsuite", name=_clean(name), tests=str(len(cases)))
    for kind in ("failure", "error"):
        suite.set(f"{kind}s", str(sum(case.find(kind) is not None for case in cases)))
    suite.extend(cases)
    return suite


def _case(
    speaker: str, name: str, failures: Iterable[model.GateFailure], row: model.SegmentScore | None = None
) -> ET.Element:
    case = ET.Element("testcase", classname=_clean(speaker), name=_clean(name))
    if row is not None:
        if row.seconds is not None:
            case.set("time", f"{row.seconds:.3f}")
        case.append(_properties(row))
    messages = [f"{failure.gate}: {failure.message}" for failure in failures]
    if messages:
        is_missing = row is not None and {model.Flag.FAILED, model.Flag.UNREADABLE} & set(row.flags)
        problem = ET.SubElement(case, "error" if is_missing else "failure", message=_clean(messages[0]))
        problem.text = _clean("\n".join(messages))
    return case


def _properties(row: model.SegmentScore) -> ET.Element:
    properties = ET.Element("properties")
    measures = [(name, getattr(row, name)) for name in _MEASURES]
    for name, value in [*measures, ("flags", " ".join(row.flags) or None)]:
        if value is not None:
            shown = f"{value:.4f}" if isinstance(value, float) else str(value)
            ET.SubElement(properties, "property", name=_KEYS.get(name, name), value=_clean(shown))
    return properties


def _clean(text: str) -> str:
    return _NOT_XML.sub("�", text)
