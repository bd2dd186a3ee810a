"""A run against an earlier one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from check_samples import failed_row, row
from voiceclone_cli.checking import Check, Gates, Row, to_document
from voiceclone_cli.checking.baseline import read_baseline, worse
from voiceclone_cli.checking.gates import missed
from voiceclone_cli.checking.summary import summarise
from voiceclone_cli.errors import InputError

BEFORE = [row(f"{n:04d}") for n in range(1, 11)]


def document(rows: Sequence[Row]) -> dict[str, Any]:
    check = Check(Path("/runs/good"), tuple(rows), (), summarise(rows), Gates(), (), {}, ())
    loaded: dict[str, Any] = json.loads(json.dumps(to_document(check)))
    return loaded


def offences(now: Sequence[Row]) -> list[tuple[str | None, str]]:
    return [(offence.segment, offence.message) for offence in worse(now, summarise(now), document(BEFORE))]


def changed(**changes: Any) -> list[Row]:
    """The same run, its last row changed."""
    return [*BEFORE[:-1], row("0010", **changes)]


def test_the_same_run_again_is_not_worse() -> None:
    assert offences(BEFORE) == []


def test_a_better_run_is_not_worse() -> None:
    assert offences([row(f"{n:04d}", similarity=0.8, margin=0.4, mos=4.0) for n in range(1, 11)]) == []


def test_a_change_within_the_tolerance_is_noise() -> None:
    assert offences(changed(similarity=0.55, margin=0.15, mos=3.0, wer=0.25, word_errors=1)) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"similarity": 0.4}, "similarity was 0.600 in the baseline and is 0.400"),
        ({"margin": -0.05}, "margin was 0.200 in the baseline and is -0.050"),
        ({"mos": 2.5}, "mos was 3.200 in the baseline and is 2.500"),
    ],
)
def test_a_row_that_is_worse_is_told_with_both_measures(changes: dict[str, float], message: str) -> None:
    assert offences(changed(**changes)) == [("0010", message)]


def test_more_wrong_words_are_worse() -> None:
    found = offences(changed(wer=0.5, word_errors=2))
    assert ("0010", "wer was 0.000 in the baseline and is 0.500") in found


def test_a_little_worse_everywhere_is_worse_as_a_whole() -> None:
    assert offences([row(f"{n:04d}", similarity=0.55) for n in range(1, 11)]) == [
        (None, "similarity was 0.600 in the baseline and is 0.550")
    ]


def test_a_row_that_is_gone_or_has_another_speaker_is_missing() -> None:
    missing = "is in the baseline, and not in this run"
    assert offences(BEFORE[:-1]) == [("0010", missing)]
    assert offences(changed(speaker="BERT")) == [("0010", missing)]


def test_a_new_row_is_no_offence() -> None:
    assert offences([*BEFORE, row("0011")]) == []


def test_a_row_that_failed_is_told_once() -> None:
    rows = [*BEFORE[:-1], failed_row("0010")]
    gates = Gates(baseline=Path("/runs/good"))
    summary = summarise(rows)
    found = missed(gates, rows, [], summary) + worse(rows, summary, document(BEFORE))
    assert [(offence.segment, offence.message) for offence in found] == [
        ("0010", "was not spoken: the worker died")
    ]


def test_a_row_that_failed_then_too_is_not_missing_now() -> None:
    before = document([*BEFORE, failed_row("0011")])
    assert worse(BEFORE, summarise(BEFORE), before) == ()


@pytest.mark.parametrize("given", [".", "run.json", "check.json"])
def test_a_baseline_is_a_run_directory_its_manifest_or_its_check(tmp_path: Path, given: str) -> None:
    (tmp_path / "run.json").write_text("{}", encoding="utf-8")
    (tmp_path / "check.json").write_text(json.dumps(document(BEFORE)), encoding="utf-8")
    assert read_baseline(tmp_path / given)["summary"]["segments"] == 10


def test_a_check_under_another_name_is_a_baseline_too(tmp_path: Path) -> None:
    (tmp_path / "good.json").write_text(json.dumps(document(BEFORE)), encoding="utf-8")
    assert len(read_baseline(tmp_path / "good.json")["segments"]) == 10


def test_a_baseline_that_was_never_checked_says_how_to(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}", encoding="utf-8")
    with pytest.raises(InputError) as raised:
        read_baseline(tmp_path / "run.json")
    assert raised.value.code == "baseline_missing"
    assert f"`voiceclone check {tmp_path}` makes it" in raised.value.message


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"schema": "other"}',
        '{"schema": "voiceclone.check/1", "segments": [{}], "summary": {}}',
        '{"schema": "voiceclone.check/1", "segments": [], "summary": {"mos": "good"}}',
        '{"schema": "voiceclone.check/1", "segments": [], "summary": {"mos": NaN}}',
        "[" * 5000,
    ],
)
def test_a_damaged_baseline_is_told_so(tmp_path: Path, text: str) -> None:
    (tmp_path / "check.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as raised:
        read_baseline(tmp_path)
    assert raised.value.code == "baseline_damaged"
