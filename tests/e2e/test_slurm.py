"""The sbatch script of examples/slurm/ on a real Slurm of three nodes (see tests/slurm.py).

The engine is echo: this is about the way through Slurm and Ray, which is the same with any engine.
"""

from __future__ import annotations

import csv
import os
import re
import shlex
import shutil
import time
from pathlib import Path

import pytest

from command import expect_understood, path_with_the_command, voiceclone
from short_talk import short_talk
from slurm import LOCAL, NODES, Job, Slurm, slurm

__all__ = ["slurm"]

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "examples" / "slurm" / "voiceclone.sbatch"
PAGE = ROOT / "docs" / "slurm.md"


@pytest.fixture(autouse=True)
def environment_of_a_job(monkeypatch: pytest.MonkeyPatch) -> None:
    """What travels with the job: the activated environment, and where its nodes have room of their own."""
    monkeypatch.setenv("PATH", path_with_the_command())
    for name in [name for name in os.environ if name.startswith("RAY_")]:  # of clusters in other tests
        monkeypatch.delenv(name)
    monkeypatch.setenv("RAY_TMPDIR", LOCAL)


def talks(folder: Path, *missing: str) -> Path:
    """A list of three short recordings with turns and scripts, and of some that are not there."""
    rows = []
    for name in ("anna", "bert", "carl"):
        files = short_talk(folder / name, _0003=f"{name} says something else here")
        wav = files.wav.rename(folder / name / f"{name}.wav")
        rows.append([wav, files.rttm, files.script])
    rows += [[folder / name, rows[0][1], rows[0][2]] for name in missing]
    with (folder / "talks.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["input", "turns", "script"], *rows])
    return folder / "talks.csv"


def job(slurm: Slurm, nodes: int, *arguments: object, cwd: Path) -> Job:
    return slurm.submit(f"--nodes={nodes}", "--cpus-per-task=1", SCRIPT, *arguments, cwd=cwd)


def sounds(batch: Path) -> dict[str, bytes]:
    """The bytes of every segment and mix."""
    return {str(path.relative_to(batch)): path.read_bytes() for path in sorted(batch.rglob("*.wav"))}


def spoken_so_far(folder: Path) -> dict[Path, int]:
    """The segments, and when each was written."""
    return {path: path.stat().st_mtime_ns for path in (folder / "spoken").glob("*/segments/*.wav")}


def local(talk_list: Path, out: Path) -> dict[str, bytes]:
    ended = voiceclone("run", "--list", talk_list, "--engine", "echo", "--out", out, cwd=out.parent)
    assert ended.code in (0, 3), ended.err
    return sounds(out)


def assert_nothing_of_ray_is_left(slurm: Slurm) -> None:
    commands = slurm.run("ps", "-ax", "--format=args=").splitlines()
    assert not [line for line in commands if re.search(r"ray|voiceclone", line.split()[0])]


@pytest.mark.engine
def test_a_batch_on_three_nodes_is_what_it_is_on_one_machine(
    slurm: Slurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the job's exit code is the command's: 3 for a batch of which one recording is missing."""
    talk_list = talks(tmp_path, "nobody.wav")
    expected = local(talk_list, tmp_path / "local")
    monkeypatch.setenv("VOICECLONE_ECHO", '{"delay": 0.3}')  # so that one node cannot do it all
    arguments = ("--list", talk_list, "--engine", "echo", "--progress", "json", "--out", "spoken")
    ended = job(slurm, NODES, *arguments, cwd=tmp_path)
    assert ended.exit_code() == 3, ended.output
    assert f"Ray is there on {NODES} of {NODES} nodes" in ended.output
    assert len(set(re.findall(r"worker \d on (node\d)", ended.output))) > 1, ended.output
    assert "nobody.wav does not exist" in ended.output
    assert sounds(tmp_path / "spoken") == expected
    assert len(spoken_so_far(tmp_path)) == 30
    assert_nothing_of_ray_is_left(slurm)


@pytest.mark.engine
def test_a_job_that_its_time_limit_stops_goes_on_when_submitted_again(
    slurm: Slurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signal is sent by hand, the one that Slurm sends before the limit: limits are whole minutes."""
    talk_list = talks(tmp_path)
    arguments = ("--list", talk_list, "--engine", "echo", "--out", "spoken")
    monkeypatch.setenv("VOICECLONE_ECHO", '{"delay": 0.2}')
    stopped = job(slurm, 1, *arguments, cwd=tmp_path)
    deadline = time.monotonic() + 60
    while len(spoken_so_far(tmp_path)) < 3:
        assert time.monotonic() < deadline, stopped.output
        time.sleep(0.1)
    stopped.signal("TERM")
    assert stopped.exit_code() == 143, stopped.output
    assert_nothing_of_ray_is_left(slurm)
    kept = spoken_so_far(tmp_path)
    assert 3 <= len(kept) < 30

    again = job(slurm, 1, *arguments, cwd=tmp_path)
    assert again.exit_code() == 0, again.output
    monkeypatch.delenv("VOICECLONE_ECHO")
    assert kept.items() <= spoken_so_far(tmp_path).items(), "what was spoken is kept as it is"
    assert sounds(tmp_path / "spoken") == local(talk_list, tmp_path / "local")


@pytest.mark.engine
def test_a_command_that_cannot_be_used_says_so_by_the_jobs_exit_code(slurm: Slurm, tmp_path: Path) -> None:
    ended = job(slurm, 1, "nobody.wav", "--engine", "echo", cwd=tmp_path)
    assert ended.exit_code() == 2, ended.output
    assert "nobody.wav does not exist" in ended.output


@pytest.mark.engine
def test_an_address_that_no_other_node_reaches_is_refused_at_once(
    slurm: Slurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEAD_IP", "127.0.1.1")
    ended = job(slurm, 2, "nobody.wav", "--engine", "echo", cwd=tmp_path)
    assert ended.exit_code() == 4, ended.output
    assert "give HEAD_IP" in ended.output


# --------------------------------------------------------------------------------------------- the page


def submissions() -> list[list[str]]:
    """The words of each sbatch line of docs/slurm.md that submits the script."""
    lines = re.findall(r"^sbatch .+$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return [words for words in map(shlex.split, lines) if any(word.endswith(".sbatch") for word in words)]


def test_the_page_gives_the_script_what_the_command_takes() -> None:
    assert submissions()
    for words in submissions():
        (at,) = (n for n, word in enumerate(words) if word.endswith(".sbatch"))
        assert (ROOT / words[at]) == SCRIPT
        expect_understood("run", *words[at + 1 :])


def test_slurm_takes_each_submission_of_the_page(slurm: Slurm, tmp_path: Path) -> None:
    """But for GPUs, of which the little Slurm has none."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    for words in submissions():
        known = [word for word in words[1:] if not word.startswith("--gpus")]
        slurm.run("sbatch", "--test-only", *known, cwd=tmp_path)
