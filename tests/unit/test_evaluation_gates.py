"""Limits of measurements, and comparison with an earlier run."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from check_samples import failed_row, row, voice
from voiceclone_cli.errors import InputError
from voiceclone_cli.evaluation.evaluate import summarise
from voiceclone_cli.evaluation.gates import (
    check_gates,
    compare_with_baseline,
    find_gate_failures,
    read_baseline,
)
from voiceclone_cli.evaluation.model import (
    Evaluation,
    Flag,
    GateFailure,
    GateLimits,
    SegmentScore,
    SpeakerScore,
)
from voiceclone_cli.evaluation.output import evaluation_document

ALL = GateLimits(min_similarity=0.5, min_margin=0.0, max_wer=0.2, min_mos=3.0)


def gate_failures(
    gates: GateLimits, rows: Sequence[SegmentScore], voices: Sequence[SpeakerScore] = ()
) -> list[tuple[str, str | None, str | None]]:
    found: tuple[GateFailure, ...] = find_gate_failures(gates, rows, voices, summarise(rows))
    return [(failure.gate, failure.segment, failure.speaker) for failure in found]


def test_a_good_run_misses_no_gate() -> None:
    assert gate_failures(ALL, [row("0001"), row("0002")], [voice()]) == []


def test_without_gates_nothing_is_missed() -> None:
    assert gate_failures(GateLimits(), [failed_row("0001"), row("0002", margin=-1.0)]) == []


@pytest.mark.parametrize(
    ("gate", "changes"),
    [
        ("min_similarity", {"similarity": 0.4}),
        ("min_margin", {"margin": -0.1}),
        ("min_mos", {"mos": 2.5}),
    ],
)
def test_each_measure_has_its_gate(gate: str, changes: dict[str, float]) -> None:
    assert gate_failures(ALL, [row("0001"), row("0002", **changes)]) == [(gate, "0002", "ANNA")]


def test_a_value_at_the_limit_passes() -> None:
    assert gate_failures(ALL, [row(similarity=0.5, margin=0.0, wer=0.2, mos=3.0)]) == []


def test_wrong_words_are_reported_with_the_recognised_ones() -> None:
    rows = [row("0001", words=100), row("0002", wer=0.5, word_errors=2, transcript="We eat at one.")]
    (failure,) = find_gate_failures(ALL, rows, [], summarise(rows))
    assert failure == GateFailure(
        "max_wer", "0002", "ANNA", "wer 0.50, wanted at most 0.2: recognised 'We eat at one.'"
    )


def test_one_wrong_word_is_the_recognisers_unless_the_line_is_another() -> None:
    rows = [row("0001", words=100), row("0002", wer=0.25, word_errors=1)]
    assert gate_failures(ALL, rows) == []
    rows[1] = row("0002", wer=1.0, word_errors=1, words=1, flags=(Flag.WRONG_WORDS,))
    assert gate_failures(ALL, rows) == [("max_wer", "0002", "ANNA")]


def test_the_words_of_the_whole_run_have_the_same_gate() -> None:
    rows = [row(f"{n:04d}", wer=0.25, word_errors=1, words=4) for n in range(9)]
    assert gate_failures(ALL, rows) == [("max_wer", None, None)]


def test_a_short_line_misses_no_gate_by_its_measures() -> None:
    assert (
        gate_failures(ALL, [row("0001"), row("0002", scored=False, similarity=0.1, margin=-1.0, mos=1.5)])
        == []
    )


def test_a_line_without_a_measurement_passes_its_gate() -> None:
    """One speaker alone has no margin."""
    assert gate_failures(ALL, [row(margin=None, nearest_other=None)]) == []


@pytest.mark.parametrize("flag", [Flag.FAILED, Flag.UNREADABLE, Flag.SILENT])
def test_a_missing_line_misses_any_gate(flag: Flag) -> None:
    assert gate_failures(GateLimits(min_mos=1.0), [row(flags=(flag,), scored=False)]) == [
        (str(flag), "0001", "ANNA")
    ]


def test_a_failed_line_is_reported_with_its_reason() -> None:
    rows = [failed_row("0001")]
    (failure,) = find_gate_failures(ALL, rows, [], summarise(rows))
    assert failure.message == "was not synthesized: the worker died"


def test_all_lines_of_a_speaker_have_the_gates_of_voices() -> None:
    voices = [voice("ANNA", margin=-0.1), voice("BERT", similarity=0.2, scored=False)]
    assert gate_failures(ALL, [row()], voices) == [("min_margin", None, "ANNA")]


@pytest.mark.parametrize("value", [math.nan, math.inf, -2.5])
@pytest.mark.parametrize("name", ["min_similarity", "min_margin", "max_wer", "min_mos"])
def test_a_limit_out_of_range_is_refused(name: str, value: float) -> None:
    with pytest.raises(InputError, match=f"--{name.replace('_', '-')} must be a number"):
        check_gates(GateLimits(**{name: value}))


BEFORE = [row(f"{n:04d}") for n in range(1, 11)]


def document(rows: Sequence[SegmentScore]) -> dict[str, Any]:
    check = Evaluation(Path("/runs/good"), tuple(rows), (), summarise(rows), GateLimits(), (), {}, ())
    loaded: dict[str, Any] = json.loads(json.dumps(evaluation_document(check)))
    return loaded


def failures_against_baseline(now: Sequence[SegmentScore]) -> list[tuple[str | None, str]]:
    return [
        (failure.segment, failure.message)
        for failure in compare_with_baseline(now, summarise(now), document(BEFORE))
    ]


def changed(**changes: Any) -> list[SegmentScore]:
    """The same run, its last row changed."""
    return [*BEFORE[:-1], row("0010", **changes)]


def test_the_same_run_again_is_not_worse() -> None:
    assert failures_against_baseline(BEFORE) == []


def test_a_better_run_is_not_worse() -> None:
    assert (
        failures_against_baseline(
            [row(f"{n:04d}", similarity=0.8, margin=0.4, mos=4.0) for n in range(1, 11)]
        )
        == []
    )


def test_a_change_within_the_tolerance_is_noise() -> None:
    assert (
        failures_against_baseline(changed(similarity=0.55, margin=0.15, mos=3.0, wer=0.25, word_errors=1))
        == []
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"similarity": 0.4}, "similarity was 0.600 in the baseline and is 0.400"),
        ({"margin": -0.05}, "margin was 0.200 in the baseline and is -0.050"),
        ({"mos": 2.5}, "mos was 3.200 in the baseline and is 2.500"),
    ],
)
def test_a_worse_row_is_reported_with_both_values(changes: dict[str, float], message: str) -> None:
    assert failures_against_baseline(changed(**changes)) == [("0010", message)]


def test_more_wrong_words_are_worse() -> None:
    found = failures_against_baseline(changed(wer=0.5, word_errors=2))
    assert ("0010", "wer was 0.000 in the baseline and is 0.500") in found


def test_a_little_worse_everywhere_is_worse_as_a_whole() -> None:
    assert failures_against_baseline([row(f"{n:04d}", similarity=0.55) for n in range(1, 11)]) == [
        (None, "similarity was 0.600 in the baseline and is 0.550")
    ]


def test_a_row_without_counterpart_or_with_another_speaker_is_missing() -> None:
    missing = "is in the baseline, and not in this run"
    assert failures_against_baseline(BEFORE[:-1]) == [("0010", missing)]
    assert failures_against_baseline(changed(speaker="BERT")) == [("0010", missing)]


def test_a_new_row_is_no_failure() -> None:
    assert failures_against_baseline([*BEFORE, row("0011")]) == []


def test_a_failed_row_is_reported_once() -> None:
    rows = [*BEFORE[:-1], failed_row("0010")]
    gates = GateLimits(baseline=Path("/runs/good"))
    summary = summarise(rows)
    found = find_gate_failures(gates, rows, [], summary) + compare_with_baseline(
        rows, summary, document(BEFORE)
    )
    assert [(failure.segment, failure.message) for failure in found] == [
        ("0010", "was not synthesized: the worker died")
    ]


def test_a_row_that_failed_then_too_is_not_missing_now() -> None:
    before = document([*BEFORE, failed_row("0011")])
    assert compare_with_baseline(BEFORE, summarise(BEFORE), before) == ()


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
def test_a_damaged_baseline_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "check.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as raised:
        read_baseline(tmp_path)
    assert raised.value.code == "baseline_damaged"
