"""`voiceclone check` as it is typed: what it refuses before anything is listened to."""

from __future__ import annotations

from pathlib import Path

import pytest

from check_samples import finished_run
from command import voiceclone


def test_a_folder_that_is_no_run_is_bad_input(tmp_path: Path) -> None:
    ended = voiceclone("check", tmp_path)
    assert (ended.code, ended.out) == (2, "")
    assert f"{tmp_path} is not a run directory" in ended.err


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--min-similarity", "1.5"),
        ("--min-margin", "nan"),
        ("--max-wer", "-1"),
        ("--min-mos", "many"),
        ("--against", "nobody"),
    ],
)
def test_a_value_out_of_range_is_bad_input(tmp_path: Path, option: str, value: str) -> None:
    run = finished_run(tmp_path / "talk.voiceclone")
    ended = voiceclone("check", run, option, value)
    assert (ended.code, ended.out) == (2, "")
    assert option in ended.err and "Traceback" not in ended.err


def test_a_baseline_that_was_not_checked_is_bad_input_and_says_how_to(tmp_path: Path) -> None:
    run, other = finished_run(tmp_path / "talk.voiceclone"), finished_run(tmp_path / "other.voiceclone")
    ended = voiceclone("check", run, "--baseline", other / "run.json")
    assert ended.code == 2
    assert f"`voiceclone check {other}` makes it" in ended.err


def test_a_junit_file_that_cannot_be_written_is_reported_before_the_measurement(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "talk.voiceclone")
    ended = voiceclone("check", run, "--junit", tmp_path)
    assert ended.code == 1 and str(tmp_path.parent) in ended.err
    assert not (run / "check.json").exists()
