"""A check as JUnit XML: a suite for each speaker, a case for each segment, for the pages of CI systems.

The elements are those that Jenkins, GitLab and GitHub's reporters read in common: testsuites, testsuite,
testcase, failure, error, properties.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from xml.etree import ElementTree as ET

from voiceclone_cli.checking.model import Check, Flag, Offence, Row

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""XML 1.0 has no place for other characters, not even escaped."""
_MEASURES = (
    "similarity", "margin", "nearest_other", "wer", "mos", "duration_ratio", "loudness_db", "peak_db",
    "clipped_samples", "text", "heard",
)  # fmt: skip


def to_junit(check: Check) -> str:
    """The document. What was not measured on a segment has no property; flags are one."""
    offences: dict[tuple[str | None, str | None], list[Offence]] = {}
    for offence in check.offences:
        offences.setdefault((offence.speaker, offence.segment), []).append(offence)
    rows = {(row.speaker, row.id): row for row in check.rows}
    # Some may be segments of a baseline that this run does not have.
    named = {(speaker, id) for speaker, id in offences if speaker is not None and id is not None}
    root = ET.Element("testsuites", name="voiceclone check")
    for speaker in sorted({row.speaker for row in check.rows} | {name for name, _ in offences if name}):
        ids = sorted({id for name, id in rows.keys() | named if name == speaker})
        cases = [_case(speaker, id, offences.get((speaker, id), []), rows.get((speaker, id))) for id in ids]
        cases.append(_case(speaker, "all segments", offences.get((speaker, None), []), None))
        root.append(_suite(speaker, cases))
    root.append(_suite("run", [_case("run", "all segments", offences.get((None, None), []), None)]))
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _suite(name: str, cases: Sequence[ET.Element]) -> ET.Element:
    suite = ET.Element("testsuite", name=_clean(name), tests=str(len(cases)))
    for kind in ("failure", "error"):
        suite.set(f"{kind}s", str(sum(case.find(kind) is not None for case in cases)))
    suite.extend(cases)
    return suite


def _case(speaker: str, name: str, offences: Iterable[Offence], row: Row | None) -> ET.Element:
    case = ET.Element("testcase", classname=_clean(speaker), name=_clean(name))
    if row is not None:
        if row.seconds is not None:
            case.set("time", f"{row.seconds:.3f}")
        case.append(_properties(row))
    messages = [f"{offence.gate}: {offence.message}" for offence in offences]
    if messages:
        is_missing = row is not None and {Flag.FAILED, Flag.UNREADABLE} & set(row.flags)
        problem = ET.SubElement(case, "error" if is_missing else "failure", message=_clean(messages[0]))
        problem.text = _clean("\n".join(messages))
    return case


def _properties(row: Row) -> ET.Element:
    properties = ET.Element("properties")
    measures = [(name, getattr(row, name)) for name in _MEASURES]
    for name, value in [*measures, ("flags", " ".join(row.flags) or None)]:
        if value is not None:
            shown = f"{value:.4f}" if isinstance(value, float) else str(value)
            ET.SubElement(properties, "property", name=name, value=_clean(shown))
    return properties


def _clean(text: str) -> str:
    return _NOT_XML.sub("�", text)
