"""Which lines want an ear first."""

from __future__ import annotations

from typing import Any

from voiceclone_cli.report.worst import badness, flags_of

DONE: dict[str, Any] = {"status": "done", "stretch": 1.0, "overflow_seconds": 0.0}


def flags(row: dict[str, Any], check: dict[str, Any] | None = None, *, lost: bool = False) -> list[str]:
    return flags_of(row, check or {}, lost=lost, max_stretch=1.3)


def bad(row: dict[str, Any], check: dict[str, Any] | None = None) -> float:
    return badness(flags(row, check), row, check or {})


def test_a_line_that_fits_has_no_flags() -> None:
    assert flags(DONE) == []


def test_flags_say_what_the_timeline_and_the_check_found_worst_first() -> None:
    row = {**DONE, "stretch": 1.3, "overflow_seconds": 0.4, "warnings": ["It was cut."]}
    assert flags(row, {"flags": ["wrong_speaker"]}) == ["wrong speaker", "overflow", "warning", "stretched"]


def test_an_overflow_that_nobody_hears_is_none() -> None:
    assert flags({**DONE, "overflow_seconds": 0.03}) == []


def test_failed_planned_and_lost_lines_say_so() -> None:
    assert flags({"status": "failed"}) == ["failed"]
    assert flags({"status": "planned"}) == ["planned"]
    assert flags(DONE, lost=True) == ["file missing"]


def test_a_flag_that_both_raise_stands_once() -> None:
    assert flags({"status": "failed"}, {"flags": ["failed"]}) == ["failed"]


def test_a_failed_line_is_worse_than_any_measure() -> None:
    assert bad({"status": "failed"}) > bad({**DONE, "overflow_seconds": 9.0}, {"wer": 1.0, "mos": 1.0})


def test_each_measure_orders_by_itself() -> None:
    pairs = (("wer", 0.5, 0.1), ("similarity", 0.4, 0.8), ("margin", -0.2, 0.3), ("mos", 1.5, 4.0))
    for name, worse, better in pairs:
        assert bad(DONE, {name: worse}) > bad(DONE, {name: better}), name
    assert bad({**DONE, "stretch": 1.2}) > bad(DONE)


def test_what_a_check_could_not_judge_makes_a_line_no_worse() -> None:
    assert bad(DONE, {"similarity": 0.1, "margin": -0.5, "mos": 1.0, "judged": False}) == 0.0


def test_what_is_planned_is_no_trouble() -> None:
    assert bad({"status": "planned"}) == 0.0


def test_values_of_another_kind_count_as_not_measured() -> None:
    assert bad(DONE, {"wer": "high", "mos": None, "similarity": float("nan"), "flags": "clipped"}) == 0.0
