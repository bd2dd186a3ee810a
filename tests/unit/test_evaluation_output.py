"""The XML that CI systems read."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from check_samples import failed_row, row
from voiceclone_cli.evaluation.evaluate import summarise
from voiceclone_cli.evaluation.model import Evaluation, GateFailure, GateLimits, SegmentScore
from voiceclone_cli.evaluation.output import to_junit


def parsed(rows: list[SegmentScore], *failures: GateFailure) -> ET.Element:
    check = Evaluation(
        Path("/run"), tuple(rows), (), summarise(rows), GateLimits(min_mos=3.0), failures, {}, ()
    )
    return ET.fromstring(to_junit(check))


def case(document: ET.Element, name: str) -> ET.Element:
    (found,) = document.iterfind(f".//testcase[@name='{name}']")
    return found


def test_a_speaker_is_a_suite_and_a_segment_a_case() -> None:
    document = parsed([row("0001"), row("0002", speaker="BERT"), row("0003")])
    names = {suite.get("name"): [c.get("name") for c in suite] for suite in document}
    assert names == {
        "ANNA": ["0001", "0003", "all segments"],
        "BERT": ["0002", "all segments"],
        "run": ["all segments"],
    }
    assert not document.findall(".//failure")


def test_measures_are_properties_and_what_was_not_measured_has_none() -> None:
    document = parsed([row("0001", margin=None)])
    properties = {p.get("name"): p.get("value") for p in case(document, "0001").iter("property")}
    assert properties["similarity"] == "0.6000"
    assert properties["text"] == "We meet at noon."
    assert "margin" not in properties


def test_a_failure_fails_its_case_and_counts_in_its_suite() -> None:
    missed = GateFailure("min_mos", "0001", "ANNA", "mos 2.500, wanted at least 3")
    document = parsed([row("0001"), row("0002")], missed)
    failure = case(document, "0001").find("failure")
    assert failure is not None and failure.get("message") == "min_mos: mos 2.500, wanted at least 3"
    assert case(document, "0002").find("failure") is None
    (suite,) = document.iterfind("testsuite[@name='ANNA']")
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("3", "1", "0")


def test_a_segment_that_was_not_synthesized_is_an_error() -> None:
    document = parsed([failed_row("0001")], GateFailure("failed", "0001", "ANNA", "was not synthesized"))
    assert case(document, "0001").find("error") is not None


def test_failures_of_a_speaker_of_the_run_and_of_a_missing_segment_have_their_cases() -> None:
    document = parsed(
        [row("0001")],
        GateFailure("min_margin", None, "ANNA", "margin -0.1"),
        GateFailure("max_wer", None, None, "wer 0.5"),
        GateFailure("baseline", "0009", "ANNA", "is in the baseline, and not in this run"),
        GateFailure("baseline", "0008", "CARLA", "is in the baseline, and not in this run"),
    )
    failed = [
        (suite.get("name"), c.get("name"))
        for suite in document
        for c in suite
        if c.find("failure") is not None
    ]
    assert failed == [
        ("ANNA", "0009"),
        ("ANNA", "all segments"),
        ("CARLA", "0008"),
        ("run", "all segments"),
    ]


def test_a_segment_that_changed_its_speaker_fails_under_the_old_one_only() -> None:
    missing = GateFailure("baseline", "0001", "ANNA", "is in the baseline, and not in this run")
    document = parsed([row("0001", speaker="BERT")], missing)
    failed = [suite.get("name") for suite in document for c in suite if c.find("failure") is not None]
    assert failed == ["ANNA"]


@given(st.text(max_size=40))
def test_any_text_gives_valid_xml(text: str) -> None:
    failure = GateFailure("min_mos", "0001", "ANNA", text)
    document = parsed([row("0001", text=text, transcript=f"<b>&\x00\x1b{text}")], failure)
    assert case(document, "0001").find("failure") is not None


def test_markup_in_a_text_stays_text() -> None:
    document = parsed([row("0001", text='</testcase> & "so"')])
    properties = {p.get("name"): p.get("value") for p in document.iter("property")}
    assert properties["text"] == '</testcase> & "so"'
