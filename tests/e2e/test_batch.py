"""Batches with the real command."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from command import Ended, voiceclone
from short_talk import short_talk
from voiceclone_cli.engines.select import ECHO_VARIABLE

COLUMNS = ("input", "name", "script", "turns", "seed")


def talks(folder: Path, *names: str) -> Path:
    """Write a folder of talks of ten lines each, and their list with turns and scripts."""
    rows = []
    for number, name in enumerate(names, 1):
        short_talk(folder / name, number, _0003=f"a line of {name}")
        rows.append([f"{name}/talk.wav", "", f"{name}/talk.csv", f"{name}/talk.rttm", ""])
    write_list(folder / "list.csv", rows)
    return folder


def write_list(path: Path, rows: list[list[str]]) -> Path:
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(rows)
    return path


def run(folder: Path, *more: object) -> Ended:
    return voiceclone(
        "run", "--list", folder / "list.csv", "--engine", "echo", "--out", "out", *more, cwd=folder
    )


def record(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "out" / "batch.json").read_text(encoding="utf-8"))
    return found


def sounds(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.glob("*/segments/*.wav")}


def by_name(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in document["inputs"]}


@pytest.fixture
def season(tmp_path: Path) -> Path:
    return talks(tmp_path / "season", "E01", "E02", "E03")


def test_recordings_have_run_directories_and_mixes_on_stdout(season: Path) -> None:
    ended = run(season)
    assert ended.code == 0, ended.err
    mixes = [season / "out" / f"{name}-talk" / "mix.wav" for name in ("E01", "E02", "E03")]
    assert ended.out.splitlines() == [str(mix) for mix in mixes]
    assert all(mix.is_file() for mix in mixes)
    document = record(season)
    assert document["status"] == "success" and document["engine"] == "echo" and document["errors"] == []
    for row in document["inputs"]:
        assert row["segments"] == {"total": 10, "done": 10, "failed": 0, "kept": 0}
        assert (Path(row["run_dir"]) / "run.json").is_file()
    lines = ended.err.splitlines()
    assert "E02-talk: begins" in lines and "files: 100 %" in lines
    assert sum(line.startswith("E02-talk: success, 10 of 10 segments") for line in lines) == 1
    assert lines[-1].startswith("success: 3 of 3 inputs")


def test_batch_makes_the_same_segments_as_single_runs(season: Path) -> None:
    assert run(season, "--mode", "parallel").code == 0
    for name in ("E01", "E02", "E03"):
        place = season / name
        given = ("--script", place / "talk.csv", "--turns", place / "talk.rttm")
        single = voiceclone(
            "run", place / "talk.wav", *given, "--engine", "echo", "--out", season / "single" / f"{name}-talk"
        )
        assert single.code == 0, single.err
    assert sounds(season / "out") == sounds(season / "single")
    assert len(sounds(season / "out")) == 30


def test_failed_recording_is_reported_and_fails_no_other(season: Path) -> None:
    (season / "E02" / "talk.wav").write_bytes(b"no sound at all")
    (season / "E03" / "talk.wav").unlink()
    ended = run(season, "--json")
    assert ended.code == 3
    rows = by_name(ended.document)
    assert ended.document["status"] == "partial"
    assert rows["E01-talk"]["exit_code"] == 0 and rows["E01-talk"]["segments"]["done"] == 10
    assert rows["E02-talk"]["exit_code"] == 2 and rows["E03-talk"]["error"]["code"] == "media_missing"
    assert [error["input"] for error in ended.document["errors"]] == ["E02-talk", "E03-talk"]
    assert "incomplete: E02-talk, E03-talk" in ended.err
    assert ended.document == record(season)


def test_exit_code_when_all_recordings_fail(season: Path) -> None:
    for name in ("E01", "E02", "E03"):
        (season / name / "talk.wav").unlink()
    ended = run(season)
    assert ended.code == 2 and ended.out == "" and record(season)["status"] == "error"


def test_second_command_makes_what_is_missing(season: Path) -> None:
    healthy = (season / "E02" / "talk.wav").read_bytes()
    (season / "E02" / "talk.wav").unlink()
    assert run(season).code == 3
    before = sounds(season / "out")
    (season / "E02" / "talk.wav").write_bytes(healthy)
    again = run(season, "--json")
    assert again.code == 0
    kept = {name: row["segments"]["kept"] for name, row in by_name(again.document).items()}
    assert kept == {"E01-talk": 10, "E02-talk": 0, "E03-talk": 10}
    after = sounds(season / "out")
    assert len(after) == 30 and before.items() < after.items()


def test_names_are_kept_when_recordings_are_added_and_removed(season: Path) -> None:
    rows = {
        name: [f"{name}/talk.wav", "", f"{name}/talk.csv", f"{name}/talk.rttm", ""] for name in ("E01", "E02")
    }
    write_list(season / "list.csv", [rows["E01"]])
    assert by_name(run(season, "--json").document).keys() == {"talk"}
    write_list(season / "list.csv", [rows["E02"]])
    assert by_name(run(season, "--json").document).keys() == {"talk.wav"}
    write_list(season / "list.csv", [rows["E02"], rows["E01"]])
    found = by_name(run(season, "--json").document)
    assert [row["segments"]["kept"] for row in found.values()] == [10, 10]
    assert found["talk"]["input"] == str(season / "E01" / "talk.wav")


def test_options_of_a_row_apply_to_it_only(season: Path) -> None:
    script, turns = "E01/talk.csv", "E01/talk.rttm"
    write_list(
        season / "list.csv",
        [
            ["E01/talk.wav", "first take", script, turns, ""],
            ["E01/talk.wav", "second take", script, turns, "9"],
        ],
    )
    assert run(season, "--seed", "4").code == 0
    settings = {
        name: json.loads((season / "out" / name / "run.json").read_text(encoding="utf-8"))["settings"]["seed"]
        for name in ("first take", "second take")
    }
    assert settings == {
        "first take": {"value": 4, "from": "flag"},
        "second take": {"value": 9, "from": "list"},
    }


def test_invalid_commands_start_nothing(season: Path) -> None:
    (season / "empty").mkdir()
    for arguments, words in (
        (["empty", "E01"], "holds no audio or video file"),
        (["*.flac"], "no audio or video file matches"),
        (["E01", "E02", "--script", "E01/talk.csv"], "--list"),
        (["E01", "--turns", "E01/talk.rttm"], "--list"),
        (["--list", "nothing.csv"], "cannot be read"),
        ([], "--list"),
    ):
        ended = voiceclone("run", *arguments, "--engine", "echo", "--out", "out", "--json", cwd=season)
        assert ended.code == 2 and words in ended.err, ended.err
        assert ended.document["schema"] == "voiceclone.batch/1"
        assert words in ended.document["errors"][0]["message"]
    assert not (season / "out").exists()


def test_folder_is_the_same_as_its_files(season: Path) -> None:
    ended = voiceclone("run", "E01", "*/talk.wav", "--until", "diarization", "--list", "list.csv", cwd=season)
    assert ended.code == 0, ended.err
    root = season / "voiceclone-batch"
    assert ended.out.splitlines() == [
        str(root / f"{name}-talk" / "diarization.rttm") for name in ("E01", "E02", "E03")
    ]
    assert (
        "named more than once, taken once: E01/talk.wav, E01/talk.wav, E02/talk.wav, E03/talk.wav\n"
        in ended.err
    )


def test_dry_run_plans_each_recording_and_sums_the_plans(season: Path) -> None:
    shown = run(season, "--dry-run")
    assert shown.code == 0, shown.err
    assert [line for line in shown.out.splitlines() if line.startswith("== ")] == [
        "== E01-talk",
        "== E02-talk",
        "== E03-talk",
    ]
    assert shown.out.splitlines()[-1].startswith("in all: 3 inputs of 36.0 s, 30 of 30 segments to speak")
    assert not (season / "out" / "batch.json").exists()
    document = run(season, "--dry-run", "--json").document
    assert document["schema"] == "voiceclone.batch-plan/1"
    assert document["total"]["segments"] == document["total"]["to_speak"] == 30
    assert [row["plan"]["segments"]["total"] for row in document["inputs"]] == [10, 10, 10]


def test_one_file_is_a_single_run(season: Path) -> None:
    place = season / "E01"
    given = ("--script", "E01/talk.csv", "--turns", "E01/talk.rttm", "--engine", "echo")
    ended = voiceclone("run", place / "talk.wav", *given, "--json", cwd=season)
    assert ended.code == 0
    assert ended.document["schema"] == "voiceclone.run/1"
    assert ended.document["run_dir"] == str(season / "talk.voiceclone")


def test_stopped_batch_is_reported_and_continued(season: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "voiceclone_cli",
        "run",
        "--list",
        "list.csv",
        "--engine",
        "echo",
        "--out",
        "out",
    ]
    slow = {**os.environ, ECHO_VARIABLE: '{"delay": 0.2}'}
    with subprocess.Popen(
        command, cwd=season, env=slow, stderr=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        deadline = time.monotonic() + 60
        while not sounds(season / "out") and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 143, err
    stopped = record(season)
    assert stopped["status"] == "interrupted"
    assert "interrupted" in [error["code"] for error in stopped["errors"]]
    before = sounds(season / "out")
    assert 0 < len(before) < 30
    assert run(season).code == 0
    after = sounds(season / "out")
    assert len(after) == 30 and before.items() < after.items()


def test_record_of_a_hundred_short_inputs_is_complete(tmp_path: Path) -> None:
    """Inputs that fail at once, in all threads."""
    names = [f"missing/{number:03d}.wav" for number in range(100)]
    ended = voiceclone("run", *names, "--engine", "echo", "--out", "out", "--json", cwd=tmp_path)
    assert ended.code == 2
    assert [row["name"] for row in record(tmp_path)["inputs"]] == [f"{number:03d}" for number in range(100)]
    assert {row["error"]["code"] for row in record(tmp_path)["inputs"]} == {"media_missing"}
    assert "incomplete: 000, 001, 002, 003, 004, 005, 006, 007 and 92 more" in ended.err
