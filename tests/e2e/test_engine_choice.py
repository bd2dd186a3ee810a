"""`--engine fish` where something of it is missing: one sentence, exit code 4, nothing left behind."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from command import Ended, voiceclone
from echo_faults import with_faults
from factories import engine_spec, synthesis_task
from media_samples import syllables, write_wav
from voiceclone_worker.protocol import task_to_json


@pytest.fixture
def recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recording, on a machine without fish environment, checkpoint and token."""
    monkeypatch.setenv("VOICECLONE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    return write_wav(tmp_path / "in.wav", syllables(2.0))


def executable(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)
    return path


def run_fish(recording: Path) -> Ended:
    work = recording.parent / "work"
    work.mkdir()
    ended = voiceclone("run", recording, "--engine", "fish", "--progress", "none", cwd=work, timeout=60)
    assert ended.code == 4 and ended.out == "", ended
    assert len(ended.err.splitlines()) == 1 and ended.err.startswith("voiceclone: "), ended.err
    assert not list(work.iterdir()), "nothing is left behind"
    return ended


def test_without_an_environment_the_user_learns_how_to_make_one(recording: Path) -> None:
    assert "voiceclone env create" in run_fish(recording).err


def test_an_interpreter_without_fish_speech_is_reported_at_once(
    recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FISH_SPEECH_PYTHON", sys.executable)
    assert f"{sys.executable} has no" in run_fish(recording).err


@pytest.mark.parametrize("text", ["no program at all", "#!/bin/sh\nexec cat\n", "#!/bin/sh\nkill -9 $$\n"])
def test_a_program_that_is_no_python_is_reported_at_once(
    recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    python = executable(tmp_path / "python", text)
    monkeypatch.setenv("FISH_SPEECH_PYTHON", str(python))
    assert f"{python} is no Python interpreter" in run_fish(recording).err


def test_without_a_checkpoint_the_user_learns_of_every_way_to_one(
    recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FISH_SPEECH_PYTHON", str(executable(tmp_path / "python", "#!/bin/sh\necho '[]'\n")))
    said = run_fish(recording).err
    assert "--checkpoint" in said and "HF_TOKEN" in said and "voiceclone models pull" in said


def test_a_task_file_whose_engine_does_not_load_ends_with_4_and_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FISH_SPEECH_PYTHON", sys.executable)
    task = tmp_path / "task.json"
    engine = engine_spec("fish", tmp_path / "nowhere")
    task.write_text(task_to_json(synthesis_task(tmp_path, count=5, engine=engine)), "utf-8")
    ended = voiceclone("synth", task, "--progress", "none", timeout=120)
    assert ended.code == 4 and ended.out == "", ended
    assert len(ended.err.splitlines()) == 1 and ended.err.startswith("voiceclone: ")


def test_synth_names_the_segments_that_are_not_spoken_in_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOICECLONE_ECHO", "{}")
    task = tmp_path / "task.json"
    spec = synthesis_task(tmp_path, count=2)
    options = with_faults(faults={spec.segments[1].id: "skip"})
    engine = replace(spec.engine, options={**spec.engine.options, **options})
    task.write_text(task_to_json(replace(spec, engine=engine)), "utf-8")
    ended = voiceclone("synth", task, "--progress", "none", timeout=120)
    assert ended.code == 0 and len(ended.out.splitlines()) == 2, ended
    assert f"{spec.segments[1].id} lacks 你好." in ended.err
