"""A run directory that is deleted, blocked, full of links or used twice, or whose script was edited and given back.

Real commands, the echo engine.
"""

from __future__ import annotations

import json
import shutil
import signal
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from command import Run, voiceclone
from disturbed_runs import LINES, Running, assert_told, contents, make_talk
from voiceclone_cli.files import file_sha256

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> list[object]:
    return make_talk(tmp_path_factory.mktemp("talk"))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, talk: list[object]) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    assert voiceclone(*talk, "--out", folder).code == 0
    return contents(folder)


@pytest.fixture
def running(tmp_path: Path, talk: list[object]) -> Iterator[Running]:
    run = Running(talk, tmp_path / "run")
    try:
        run.wait_for_the_first_line()
        yield run
    finally:
        run.kill()
        run.ended()


def go_on(running: Running, talk: list[object]) -> None:
    """The same command again ends well, and every line is spoken."""
    again = voiceclone(*talk, "--out", running.folder, "--json")
    assert again.code == 0, again.err
    assert again.document["status"] == "success" and len(again.document["segments"]) == LINES
    assert not list(running.folder.rglob("*.part*")) and not (running.folder / "tasks").exists()


def test_a_recording_that_is_gone_when_the_mix_needs_it_costs_the_mix_and_no_line(tmp_path: Path) -> None:
    talk = make_talk(tmp_path)
    run = Running([*talk, "--background", "duck", "--json"], tmp_path / "run")
    run.wait_for_the_first_line()
    (tmp_path / "talk.wav").rename(tmp_path / "elsewhere.wav")
    ended = run.ended()
    assert ended.code == 3, ended.err
    assert [row["status"] for row in ended.document["segments"]] == ["done"] * LINES
    assert ended.document["outputs"]["mix"] is None
    assert [error["code"] for error in ended.document["errors"]] == ["media_missing"]


@pytest.mark.parametrize("name", [".", "segments"])
def test_a_folder_that_is_removed_while_it_is_written_into_is_one_sentence(
    name: str, running: Running, talk: list[object], tmp_path: Path
) -> None:
    # In one step: what still arrives would keep rmtree from ending.
    (running.folder / name).resolve().rename(tmp_path / "gone")
    assert_told(running.ended(), running.folder)
    go_on(running, talk)


# ------------------------------------------------------------------- what stands in the way


def test_a_file_in_the_place_of_a_folder_is_one_sentence(tmp_path: Path, talk: list[object]) -> None:
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    for out in (tmp_path / "file", tmp_path / "file" / "run"):
        assert_told(voiceclone(*talk, "--out", out), out, codes=(2, 4))
    assert (tmp_path / "file").read_text(encoding="utf-8") == "mine"
    assert voiceclone(*talk, "--out", tmp_path / "run").code == 0
    for name in ("segments", "stages"):
        shutil.rmtree(tmp_path / "run" / name)
        (tmp_path / "run" / name).write_text("mine", encoding="utf-8")
        assert_told(voiceclone(*talk, "--out", tmp_path / "run"), tmp_path / "run", codes=(2, 4))
        assert (tmp_path / "run" / name).read_text(encoding="utf-8") == "mine"
        (tmp_path / "run" / name).unlink()


def test_the_run_directory_may_be_a_link_because_the_user_said_so(
    tmp_path: Path, talk: list[object], undisturbed: dict[str, bytes]
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").symlink_to("elsewhere", target_is_directory=True)
    assert voiceclone(*talk, "--out", tmp_path / "run").code == 0
    assert contents(tmp_path / "elsewhere") == undisturbed


def test_nothing_is_written_through_a_link_in_the_run_directory(
    tmp_path: Path, talk: list[object], undisturbed: dict[str, bytes]
) -> None:
    run, theirs = tmp_path / "run", tmp_path / "theirs"
    assert voiceclone(*talk, "--out", run).code == 0
    theirs.mkdir()
    files = [
        "mix.wav",
        "run.json",
        "script.json",
        "diarization.rttm",
        "segments/0001.wav",
        "segments/0002.json",
    ]
    files += ["stems/A.wav", "speakers/A/reference.wav", "speakers/B/codes.txt", "stages/timeline.json"]
    files += ["logs/worker-1.log"]
    for number, name in enumerate(files):
        target = theirs / f"{number}{Path(name).suffix}"
        if name == "run.json":
            shutil.copy(run / name, target)
        else:
            target.write_bytes(b"theirs")
        (run / name).unlink(missing_ok=True)
        (run / name).symlink_to(target)
    (run / "tasks").mkdir()
    (run / "tasks" / "task-00001.json").symlink_to(theirs / "made by us")
    before = contents(theirs)
    again = voiceclone(*talk, "--out", run)
    assert again.code == 0, again.err
    assert contents(theirs) == before and not (theirs / "made by us").exists()
    assert contents(run) == undisturbed
    assert not [path for path in run.rglob("*") if path.is_symlink()]


@pytest.mark.parametrize(
    "name", ["segments", "speakers", "speakers/A", "stems", "stages", "tasks", "logs", ".lock"]
)
def test_a_folder_or_lock_of_ours_that_leads_elsewhere_is_refused(
    name: str, tmp_path: Path, talk: list[object]
) -> None:
    run, theirs = tmp_path / "run", tmp_path / "theirs"
    (run / "speakers").mkdir(parents=True)
    manifest = {
        "schema": "voiceclone.run/1",
        "input": {"sha256": file_sha256(Path(str(talk[1])))},
    }
    (run / "run.json").write_text(json.dumps(manifest), encoding="utf-8")
    theirs.mkdir()
    if name == "speakers":
        (run / name).rmdir()
    (run / name).symlink_to(theirs, target_is_directory=True)
    assert_told(voiceclone(*talk, "--out", run), run / name, "link", codes=(2, 4))
    assert list(theirs.iterdir()) == []


# ------------------------------------------------------------------------- two runs at once


def test_a_second_run_in_the_same_directory_is_told_who_holds_it_and_the_first_goes_on(
    running: Running, talk: list[object]
) -> None:
    with running.suspended():  # however slowly the second one starts
        second = voiceclone(*talk, "--out", running.folder, "--json")
    assert_told(second, running.folder, running.pid, socket.gethostname(), time.strftime("%Y-"), codes=(4,))
    assert second.document["errors"][0]["code"] == "run_in_progress"
    assert running.ended().code == 0


def test_after_the_holder_was_killed_the_next_run_goes_on(running: Running, talk: list[object]) -> None:
    running.kill()
    assert running.ended().code == -signal.SIGKILL
    go_on(running, talk)


# An edited script of the run directory, given back to it


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory, sample_wav: Path, model_folders: Mapping[str, Path]
) -> Path:
    """A run on the sample with its own words; its speech is tones."""
    out = tmp_path_factory.mktemp("finished") / "run"
    done = voiceclone(*arguments(sample_wav, out))
    assert done.code == 0, done.err
    return out


def arguments(wav: Path, out: Path, *more: object) -> tuple[object, ...]:
    turns = wav.with_suffix(".rttm")
    return ("run", wav, "--turns", turns, "--engine", "echo", "--out", out, "--json", "--no-report", *more)


@pytest.fixture
def out(tmp_path: Path, finished: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


def again(wav: Path, out: Path, script: Path) -> dict[str, Any]:
    ended = voiceclone(*arguments(wav, out, "--script", script))
    assert ended.code == 0, ended.err
    return ended.document


@pytest.mark.parametrize("name", ["script.json", "script.srt"])
def test_a_script_that_is_fed_back_unchanged_makes_nothing_again(
    sample_wav: Path, out: Path, name: str
) -> None:
    before = Run(voiceclone(*arguments(sample_wav, out)), out).sounds()
    document = again(sample_wav, out, out / name)
    assert document["reused"] == len(document["segments"]) and "casting" in document["reused_stages"]
    assert Run(voiceclone(*arguments(sample_wav, out)), out).sounds() == before


def test_an_edited_line_is_the_only_one_that_is_spoken_again(sample_wav: Path, out: Path) -> None:
    script = json.loads((out / "script.json").read_text(encoding="utf-8"))
    script["segments"][2]["text"] = "Something else altogether."
    (out / "edited.json").write_text(json.dumps(script), encoding="utf-8")
    document = again(sample_wav, out, out / "edited.json")
    assert document["reused"] == len(document["segments"]) - 1
    assert {"casting", "encoding"} <= set(document["reused_stages"])
    assert document["segments"][2]["text"] == "Something else altogether."


def test_a_line_may_have_a_seed_of_its_own(sample_wav: Path, out: Path) -> None:
    script = json.loads((out / "script.json").read_text(encoding="utf-8"))
    script["segments"][0]["seed"] = 4711
    (out / "edited.json").write_text(json.dumps(script), encoding="utf-8")
    document = again(sample_wav, out, out / "edited.json")
    assert document["segments"][0]["seed"] == 4711
    assert document["reused"] == len(document["segments"]) - 1
