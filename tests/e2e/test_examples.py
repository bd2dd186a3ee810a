"""The files under examples/: the CI script does what it says, its workflow calls nothing that is not there, and a
translation of the sample is spoken.

The script's way through run, check, gates and exit codes is the same with any engine, so tones do.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from command import TONES, expect_understood, path_with_the_command, voiceclone
from voiceclone_cli.config import SETTINGS

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "examples" / "ci" / "regression.sh"
WORKFLOW = ROOT / "examples" / "ci" / "voiceclone.yml"
LINES = ROOT / "examples" / "sample.en.srt"


def regression(*arguments: object, **environ: str) -> subprocess.CompletedProcess[str]:
    """The script as a CI job starts it."""
    return subprocess.run(
        ["bash", str(SCRIPT), *map(str, arguments)],
        env={**os.environ, "PATH": path_with_the_command(), **TONES, **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
    )


@pytest.fixture(scope="module")
def good_run(
    tmp_path_factory: pytest.TempPathFactory, sample_wav: Path, model_folders: Any
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    folder = tmp_path_factory.mktemp("ci") / "talk.voiceclone"
    return folder, regression(sample_wav, LINES, folder)


@pytest.mark.engine
def test_a_good_run_passes_and_leaves_its_papers(
    good_run: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    folder, ended = good_run
    assert ended.returncode == 0, ended.stderr
    suites = ElementTree.parse(folder / "check.xml").getroot()
    cases = {case.get("name", "").split()[0] for case in suites.iter("testcase")}
    assert cases >= {f"{number:04d}" for number in range(1, 10)} and not list(suites.iter("failure"))
    assert (folder / "check.json").is_file() and (folder / "report.html").is_file()


@pytest.mark.engine
def test_a_limit_that_is_not_met_is_exit_code_3(
    good_run: tuple[Path, subprocess.CompletedProcess[str]], sample_wav: Path
) -> None:
    folder, _ = good_run
    ended = regression(sample_wav, LINES, folder, MIN_MOS="4.9")
    assert ended.returncode == 3, ended.stderr
    assert list(ElementTree.parse(folder / "check.xml").getroot().iter("failure"))


@pytest.mark.engine
def test_a_run_that_got_worse_than_its_baseline_is_exit_code_3(
    good_run: tuple[Path, subprocess.CompletedProcess[str]], sample_wav: Path, tmp_path: Path
) -> None:
    folder, _ = good_run
    baseline = tmp_path / "baseline"
    baseline.mkdir()
    for name in ("run.json", "check.json"):
        shutil.copy(folder / name, baseline)
    assert regression(sample_wav, LINES, folder, baseline).returncode == 0
    better = json.loads((baseline / "check.json").read_text(encoding="utf-8"))
    for row in better["segments"]:
        row["mos"] += 1.0
    (baseline / "check.json").write_text(json.dumps(better), encoding="utf-8")
    assert regression(sample_wav, LINES, folder, baseline).returncode == 3


@pytest.mark.engine
def test_a_line_that_cannot_be_synthesized_is_exit_code_3(
    good_run: tuple[Path, subprocess.CompletedProcess[str]], sample_wav: Path
) -> None:
    folder, _ = good_run
    wav = folder / "segments" / "0005.wav"
    wav.unlink()
    wav.mkdir()  # nothing can be written there
    try:
        ended = regression(sample_wav, LINES, folder)
    finally:
        wav.rmdir()
    assert ended.returncode == 3 and "0005" in ended.stderr, ended.stderr
    assert "0005" in (folder / "check.xml").read_text(encoding="utf-8")


def test_unusable_input_is_reported_as_such(sample_wav: Path, tmp_path: Path) -> None:
    assert regression(sample_wav, LINES).returncode == 2
    assert regression(tmp_path / "nothing.wav", LINES, tmp_path / "out").returncode == 2


@pytest.mark.engine
def test_the_sample_is_dubbed_into_chinese_for_a_chinese_reader(
    sample_wav: Path, tmp_path: Path, model_folders: Any
) -> None:
    """tests/unit/test_example_scripts.py reads the other languages; each is spoken in the same way."""
    folder = tmp_path / "中文.voiceclone"
    chinese = ("--language", "zh", "--lang", "zh")
    script = ROOT / "examples" / "sample.zh.srt"
    run = voiceclone(
        "run", sample_wav, "--script", script, *chinese, "--engine", "kokoro", "--out", folder, cwd=tmp_path
    )
    assert run.code == 0, run.err
    assert "全部完成：9 / 9 句" in run.err.splitlines()[-1]
    segments = json.loads((folder / "run.json").read_text(encoding="utf-8"))["segments"]
    assert [(line["status"], line["language"], line["warnings"]) for line in segments] == [
        ("done", "zh", [])
    ] * 9
    # The translation fits: no line is cut or squeezed.
    assert max(line["overflow_seconds"] for line in segments) < 0.05
    assert max(line["stretch"] for line in segments) <= 1.3
    check = voiceclone("check", folder, "--lang", "zh", "--json", cwd=tmp_path)
    # Nine short lines with two names in them, heard by whisper-base.
    assert check.document["summary"]["wer"] < 0.4, check.out
    assert '<html lang="zh-Hans">' in (folder / "report.html").read_text(encoding="utf-8")


# ------------------------------------------------------------------------------------- the workflow


def steps() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))["jobs"]["regression"][
        "steps"
    ]
    return found


def command_lines() -> Iterator[list[str]]:
    for step in steps():
        for line in step.get("run", "").splitlines():
            if line.strip():
                yield shlex.split(re.sub(r"^\w+=\$\((.*)\)$", r"\1", line.strip()))


def test_the_workflow_runs_on_pull_requests_and_may_only_read() -> None:
    workflow = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))
    # YAML 1.1 takes the key `on` for a truth.
    assert "pull_request" in workflow[True]
    assert workflow["permissions"] == {"contents": "read"}
    assert all(re.fullmatch(r"actions/[a-z-]+@v\d+", step["uses"]) for step in steps() if "uses" in step)


def test_every_command_of_the_workflow_is_there() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    called = []
    for words in command_lines():
        called.append(words[0])
        match words[0]:
            case "make":
                assert all(re.search(rf"^{name}:", makefile, re.MULTILINE) for name in words[1:])
            case "voiceclone":
                expect_understood(*words[1:])
            case "bash" | "python":
                assert (ROOT / words[1]).is_file()
            case _:
                assert words[0] == "echo"
    assert {"make", "voiceclone", "bash"} <= set(called)


def test_the_workflow_gives_the_script_what_it_takes() -> None:
    (call,) = (words for words in command_lines() if words[0] == "bash")
    assert ROOT / call[1] == SCRIPT and 3 <= len(call[2:]) <= 4
    assert ROOT / call[3] == LINES


def test_the_workflow_keeps_models_and_results_where_they_are() -> None:
    job = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))["jobs"]["regression"]
    own_variables = {setting.variable for setting in SETTINGS.values()} | {"RUN_DIR"}
    assert all(
        job_env.keys() <= own_variables
        for job_env in [job["env"], *(step.get("env", {}) for step in steps())]
    )
    with_paths = {step["uses"].split("@")[0]: step["with"] for step in steps() if "with" in step}
    assert job["env"]["VOICECLONE_HOME"].endswith(with_paths["actions/cache"]["path"])
    assert job["env"]["RUN_DIR"].endswith(with_paths["actions/upload-artifact"]["path"].split()[0])
    (hashed,) = re.findall(r"hashFiles\('(.+?)'\)", with_paths["actions/cache"]["key"])
    assert (ROOT / hashed).is_file()
