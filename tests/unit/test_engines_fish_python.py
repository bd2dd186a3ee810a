"""Which interpreter fish-speech runs in: the one that is set, else the environment that was made."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

from voiceclone_cli.config import resolve
from voiceclone_cli.engines import fish
from voiceclone_cli.engines.fish import fish_python, given_python, require_fish_speech
from voiceclone_cli.errors import PreflightError


@pytest.fixture(autouse=True)
def empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No environment of this machine's counts."""
    monkeypatch.setenv("VOICECLONE_HOME", str(tmp_path / "home"))


def executable(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def refusal(python: str) -> PreflightError:
    with pytest.raises(PreflightError) as caught:
        require_fish_speech(python, None)
    assert caught.value.exit_code == 4 and "\n" not in caught.value.message
    assert "voiceclone env create" in caught.value.message
    return caught.value


def test_the_interpreter_that_is_set_is_taken_by_the_name_it_has(tmp_path: Path) -> None:
    link = tmp_path / "python"
    link.symlink_to(sys.executable)
    settings = resolve({}, {"FISH_SPEECH_PYTHON": str(link)})
    assert fish_python(settings) == given_python(settings) == str(link)


def test_its_home_sign_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    python = executable(tmp_path / "python", "")
    assert fish_python(resolve({}, {"FISH_SPEECH_PYTHON": "~/python"})) == python


@pytest.mark.parametrize(
    "name, problem",
    [("nothing", "does not exist"), ("folder", "is a folder"), ("text", "may not be executed")],
)
def test_one_that_cannot_be_an_interpreter_is_named_with_where_it_was_set(
    tmp_path: Path, name: str, problem: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "text").write_text("no program", encoding="utf-8")
    if name == "text" and os.access(tmp_path / "text", os.X_OK):
        pytest.skip("this file system lets everything be executed")
    Path(".env").write_text(f"FISH_SPEECH_PYTHON={tmp_path / name}\n", encoding="utf-8")
    with pytest.raises(PreflightError, match=problem) as caught:
        fish_python(resolve({}, {}))
    assert caught.value.code == "worker_interpreter"
    assert "FISH_SPEECH_PYTHON (.env)" in caught.value.message


def test_without_any_the_user_learns_how_to_make_one() -> None:
    assert given_python(resolve({})) is None
    with pytest.raises(PreflightError, match="voiceclone env create") as caught:
        fish_python(resolve({}))
    assert caught.value.code == "fish_environment"


def test_the_environment_that_was_made_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fish, "environment_python", lambda settings: tmp_path / "made" / "python")
    assert fish_python(resolve({})) == str(tmp_path / "made" / "python")


def test_an_interpreter_without_fish_speech_is_told_by_what_it_lacks() -> None:
    error = refusal(sys.executable)
    assert error.code == "fish_missing"
    assert "no fish_speech" in error.message and "no torch" not in error.message


@pytest.mark.parametrize(
    "text, problem",
    [
        ("not even a program", "cannot be started"),
        ("#!/bin/sh\necho a cat\n", "exit code 0 and no answer"),
        ("#!/bin/sh\necho broken libraries >&2\nexit 3\n", "exit code 3 and no answer .*broken libraries"),
    ],
)
def test_a_program_that_is_no_python_is_one_sentence(tmp_path: Path, text: str, problem: str) -> None:
    python = executable(tmp_path / "python", text)
    error = refusal(python)
    assert error.code == "worker_interpreter" and python in error.message
    assert re.search(problem, error.message)


def test_a_program_that_never_answers_is_given_up(tmp_path: Path) -> None:
    python = executable(tmp_path / "python", "#!/bin/sh\nexec sleep 60\n")
    with pytest.raises(PreflightError, match=r"gave no answer in 2 s"):
        require_fish_speech(python, None, seconds=2.0)


@pytest.mark.engine
def test_the_interpreter_of_the_fish_environment_will_do_and_this_one_will_not(fish_python: Path) -> None:
    require_fish_speech(str(fish_python), None)
    with pytest.raises(PreflightError):
        require_fish_speech(sys.executable, None)
