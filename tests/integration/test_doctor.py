"""`voiceclone doctor` with real interpreters, real workers and real faults."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from command import voiceclone
from voiceclone_cli.config import resolve
from voiceclone_cli.doctor.checks import CheckRow, CheckState
from voiceclone_cli.doctor.run import run_checks, try_worker
from voiceclone_cli.errors import PreflightError
from voiceclone_cli.workers.process import ask_tool, worker_command

posix = pytest.mark.skipif(os.name == "nt", reason="the false interpreters are shell scripts")

CHECKPOINT_FILES = ("config.json", "model.pth", "tokenizer.tiktoken", "special_tokens.json", "codec.pth")


@pytest.fixture(autouse=True)
def nothing_set_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A home without models and without a fish environment."""
    monkeypatch.setenv("VOICECLONE_HOME", str(tmp_path / "home"))


def doctor_rows(seconds: float = 120.0, **flags: Any) -> Mapping[str, CheckRow]:
    rows = run_checks(resolve(flags), examine_seconds=seconds, trial_seconds=max(seconds, 2.0))
    assert len({row.check for row in rows}) == len(rows)
    for row in rows:
        assert row.advice or row.state is CheckState.OK, row
    return {row.check: row for row in rows}


def failed(rows: Mapping[str, CheckRow]) -> set[str]:
    return {row.check for row in rows.values() if row.state is CheckState.FAIL}


def false_interpreter(tmp_path: Path, *lines: str) -> str:
    path = tmp_path / "python"
    path.write_text("\n".join(("#!/bin/sh", *lines, "")), encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def test_with_nothing_set_up_a_run_works_and_what_fish_needs_is_noted(tmp_path: Path) -> None:
    ended = voiceclone("doctor")
    assert ended.code == 0, ended.err
    lines = ended.out.splitlines()
    assert [line for line in lines if line.startswith("note  worker interpreter  none")]
    assert [line for line in lines if "voiceclone env create" in line]
    assert [line for line in lines if line.startswith("ok    worker answers")]
    assert not (tmp_path / "home").exists()


def test_json_is_one_document_and_a_run_that_could_not_work_ends_with_4(tmp_path: Path) -> None:
    ended = voiceclone("doctor", "--json", "--engine", "fish", "--progress", "none")
    assert ended.code == 4
    assert ended.document["schema"] == "voiceclone.doctor/1"
    assert ended.document["ok"] is False
    rows = {row["check"]: row for row in ended.document["rows"]}
    assert {name for name, row in rows.items() if row["state"] == "fail"} == {
        "worker interpreter",
        "checkpoint",
        "worker answers",
    }
    assert all(set(row) == {"check", "state", "found", "advice"} for row in rows.values())
    assert ended.err.count("\n") == 1 and "worker interpreter, checkpoint, worker answers" in ended.err


@pytest.mark.parametrize("engine", ["fish", "auto"])
def test_a_wrong_path_is_named_with_the_variable_it_stands_in(
    engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FISH_SPEECH_PYTHON", "/nowhere/python")
    rows = doctor_rows(engine=engine)
    assert "FISH_SPEECH_PYTHON (environment) names /nowhere/python" in rows["worker interpreter"].advice
    assert ("worker answers" in failed(rows)) == (engine == "fish")
    assert (failed(rows) == set()) == (engine == "auto")


def test_an_interpreter_without_fish_speech_runs_the_worker_but_cannot_be_fish(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FISH_SPEECH_PYTHON", sys.executable)
    rows = doctor_rows(engine="fish")
    assert failed(rows) == {"fish-speech", "checkpoint"}
    assert "not installed" in rows["fish-speech"].found
    assert rows["worker answers"].state is CheckState.OK


@posix
def test_a_program_that_prints_garbage_is_reported_with_its_exit_code_and_last_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    python = false_interpreter(tmp_path, "echo garbage", "echo something broke >&2", "exit 7")
    monkeypatch.setenv("FISH_SPEECH_PYTHON", python)
    rows = doctor_rows(engine="fish")
    for row in (rows["worker interpreter"], rows["worker answers"]):
        assert row.state is CheckState.FAIL
        for part in (python, "something broke"):
            assert part in row.found
        assert "FISH_SPEECH_PYTHON" in row.advice and "voiceclone env create" in row.advice
    assert "exit code 7" in rows["worker interpreter"].found
    assert "cannot be read" in rows["worker answers"].found


@posix
def test_a_program_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    python = false_interpreter(tmp_path, "exec sleep 600")
    monkeypatch.setenv("FISH_SPEECH_PYTHON", python)
    began = time.monotonic()
    rows = doctor_rows(seconds=1.0, engine="fish")
    assert time.monotonic() - began < 30
    assert "no answer in 1 s" in rows["worker interpreter"].found
    assert "no answer in 2 s" in rows["worker answers"].found


@posix
def test_a_worker_that_runs_and_is_disturbed_differs_from_one_that_does_not_run(tmp_path: Path) -> None:
    hello = """echo '@voiceclone {"event": "hello"}' >&2"""
    disturbed = try_worker(false_interpreter(tmp_path, hello, "sleep 1", "echo noise"), seconds=30)
    assert disturbed.state is CheckState.FAIL
    assert "runs the worker, but" in disturbed.found and "cannot be read" in disturbed.found
    assert "prints to stdout" in disturbed.advice and "logs/worker-1.log" in disturbed.advice


def test_a_checkpoint_without_its_codec_is_named(tmp_path: Path) -> None:
    for name in CHECKPOINT_FILES[:-1]:
        (tmp_path / name).write_text('{"model_type": "dual_ar"}', encoding="utf-8")
    row = doctor_rows(engine="fish", checkpoint=str(tmp_path))["checkpoint"]
    assert (row.state, row.found) == (CheckState.FAIL, "not complete")
    assert "lacks codec.pth" in row.advice


def test_examine_also_runs_where_nothing_is_installed(tmp_path: Path) -> None:
    import venv

    venv.create(tmp_path / "bare", with_pip=False)
    python = tmp_path / "bare" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    answer = ask_tool(worker_command(str(python), threads=1), "examine", ["", "auto", "auto"])
    assert answer["executable"] == str(python)
    assert not answer["dac_importable"]
    for package in ("protobuf", "numpy", "torch", "fish_speech", "place"):
        assert set(answer[package]) == {"error"}
    assert answer["cores"] >= 1
    assert try_worker(str(python), seconds=30).state is CheckState.OK


def test_a_checkout_that_is_none_is_a_value_of_the_answer(tmp_path: Path) -> None:
    answer = ask_tool(worker_command(None, threads=1), "examine", [str(tmp_path), "cpu", "bf16"])
    assert str(tmp_path) in answer["fish_speech"]["error"]
    place = answer["place"]
    assert (place["device"], place["precision"]) == ("cpu", "bf16")
    assert {"float32", "bf16"} <= set(place["precisions"]) <= {"float32", "bf16", "int8"}


def test_an_interpreter_that_cannot_be_started_is_a_preflight_error(tmp_path: Path) -> None:
    with pytest.raises(PreflightError, match="FISH_SPEECH_PYTHON"):
        try_worker(str(tmp_path / "none"), seconds=5)


@pytest.mark.engine
def test_where_all_is_there_nothing_fails(
    fish_python: Path, tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FISH_SPEECH_PYTHON", str(fish_python))
    rows = doctor_rows(checkpoint=str(tiny_checkpoint))
    assert failed(rows) == set()
    assert rows["engine"].found.startswith("fish")
    assert (rows["worker protobuf"].found, rows["fish-speech"].state) == ("3.19.6", CheckState.OK)
    assert "DAC can be imported" in rows["fish-speech"].found
    assert "generated" in rows["checkpoint"].found
