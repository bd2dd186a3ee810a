"""What an edited script that is fed back to its run directory costs, and where a run can be told to stop."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from command import Run, voiceclone


@pytest.fixture(scope="module")
def heard(
    tmp_path_factory: pytest.TempPathFactory, sample_wav: Path, model_folders: Mapping[str, Path]
) -> Path:
    """A run on the sample with its own words; its speech is tones."""
    out = tmp_path_factory.mktemp("heard") / "run"
    done = voiceclone(*arguments(sample_wav, out))
    assert done.code == 0, done.err
    return out


def arguments(wav: Path, out: Path, *more: object) -> tuple[object, ...]:
    turns = wav.with_suffix(".rttm")
    return ("run", wav, "--turns", turns, "--engine", "echo", "--out", out, "--json", "--no-report", *more)


@pytest.fixture
def out(tmp_path: Path, heard: Path) -> Path:
    return Path(shutil.copytree(heard, tmp_path / "run"))


def again(wav: Path, out: Path, script: Path) -> dict[str, Any]:
    ended = voiceclone(*arguments(wav, out, "--script", script))
    assert ended.code == 0, ended.err
    return ended.document


@pytest.mark.engine
@pytest.mark.parametrize("name", ["script.json", "script.srt"])
def test_a_script_that_is_fed_back_unchanged_makes_nothing_again(
    sample_wav: Path, out: Path, name: str
) -> None:
    before = Run(voiceclone(*arguments(sample_wav, out)), out).sounds()
    document = again(sample_wav, out, out / name)
    assert document["reused"] == len(document["segments"]) and "casting" in document["reused_stages"]
    assert Run(voiceclone(*arguments(sample_wav, out)), out).sounds() == before


@pytest.mark.engine
def test_an_edited_line_is_the_only_one_that_is_spoken_again(sample_wav: Path, out: Path) -> None:
    script = json.loads((out / "script.json").read_text(encoding="utf-8"))
    script["segments"][2]["text"] = "Something else altogether."
    (out / "edited.json").write_text(json.dumps(script), encoding="utf-8")
    document = again(sample_wav, out, out / "edited.json")
    assert document["reused"] == len(document["segments"]) - 1
    assert {"casting", "encoding"} <= set(document["reused_stages"])
    assert document["segments"][2]["text"] == "Something else altogether."


@pytest.mark.engine
def test_a_line_may_have_a_seed_of_its_own(sample_wav: Path, out: Path) -> None:
    script = json.loads((out / "script.json").read_text(encoding="utf-8"))
    script["segments"][0]["seed"] = 4711
    (out / "edited.json").write_text(json.dumps(script), encoding="utf-8")
    document = again(sample_wav, out, out / "edited.json")
    assert document["segments"][0]["seed"] == 4711
    assert document["reused"] == len(document["segments"]) - 1
