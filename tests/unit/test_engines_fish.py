"""The parts of fish on this machine: its checkout, its checkpoint and its interpreter."""

from __future__ import annotations

import os
import re
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from fish_checkpoints import S1_FILES, make_checkout, make_s1, make_s2, register
from platforms import HOME_VARIABLE, needs_shell_scripts, needs_symlinks, write_program
from voiceclone_cli.config import Settings, resolve
from voiceclone_cli.engines import fish
from voiceclone_cli.engines.checkpoint import S1_MINI, S2_PRO, missing_files
from voiceclone_cli.engines.fish import (
    fish_checkout,
    fish_python,
    given_python,
    local_checkpoint,
    require_fish_speech,
    s2_checkout,
)
from voiceclone_cli.engines.memory import DeviceMemory
from voiceclone_cli.errors import PreflightError
from voiceclone_cli.models import store
from voiceclone_cli.types import Progress, no_progress

MODEL = "fish_speech/models/text2semantic/llama.py"
CODEC = "fish_speech/models/dac/modded_dac.py"


def checkout(folder: Path, files: dict[str, str]) -> Path:
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    return folder


def found(folder: Path) -> Path | None:
    return fish_checkout(resolve({}, {"FISH_SPEECH_DIR": str(folder)}))


def checkout_error(folder: Path) -> PreflightError:
    with pytest.raises(PreflightError) as caught:
        found(folder)
    message = caught.value.message
    assert message.startswith(f"FISH_SPEECH_DIR (environment) names {folder}")
    assert "leave it unset" in message and "\n" not in message
    return caught.value


def test_without_the_setting_there_is_none() -> None:
    assert fish_checkout(resolve({}, {})) is None


def test_one_of_the_s1_generation_is_taken(tmp_path: Path) -> None:
    files = {
        MODEL: "from transformers import AutoTokenizer\n",
        CODEC: "class DAC:\n    def decode(self, z): ...\n",
    }
    assert found(checkout(tmp_path, files)) == tmp_path


def test_the_error_for_a_folder_that_is_no_checkout_says_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    problems = {"nowhere": "does not exist", "file": "is a file", "folder": "is no checkout of fish-speech"}
    for name, problem in problems.items():
        error = checkout_error(tmp_path / name)
        assert error.code == "fish_checkout" and problem in error.message


@pytest.mark.parametrize(
    "files",
    [
        {MODEL: 'case "fish_qwen3_omni":\n', CODEC: "class DAC: ...\n"},
        {
            MODEL: "class DualARTransformer: ...\n",
            CODEC: "class DAC:\n    def from_indices(self, indices): ...\n",
        },
    ],
)
def test_one_of_the_s2_generation_is_recognised_by_its_files_and_its_code_is_not_used(
    tmp_path: Path, files: dict[str, str]
) -> None:
    folder = checkout(tmp_path, files)
    assert found(folder) is None
    assert s2_checkout(resolve({}, {"FISH_SPEECH_DIR": str(folder)})) == folder
    note = fish.checkout_note(folder)
    assert str(folder) in note and "S2 generation" in note and "its code is not" in note


def test_one_of_before_s1_is_recognised_too(tmp_path: Path) -> None:
    files = {MODEL: "class DualARTransformer: ...\n", "fish_speech/models/vqgan/utils.py": ""}
    error = checkout_error(checkout(tmp_path, files))
    assert error.code == "fish_generation" and "1.5" in error.message


@pytest.fixture(autouse=True)
def empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without models, and no login at the hub."""
    from huggingface_hub import constants

    home = tmp_path / "home"
    monkeypatch.setenv("VOICECLONE_HOME", str(home))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    return home


checkpoint = make_s1
empty_checkout = make_checkout


def find_checkpoint(settings: Settings, progress: Progress = no_progress) -> Path:
    """The folder that a run takes."""
    return fish.find_checkpoint(settings, local_checkpoint(settings), progress).folder


def local_folder(settings: Settings) -> Path | None:
    found = local_checkpoint(settings)
    return None if found is None else found.folder


def named(folder: Path) -> Settings:
    return resolve({"checkpoint": str(folder)})


def checkpoint_error(settings: Settings) -> PreflightError:
    with pytest.raises(PreflightError) as caught:
        find_checkpoint(settings)
    assert "\n" not in caught.value.message
    return caught.value


def notes_of(settings: Settings) -> list[str]:
    notes: list[str] = []
    find_checkpoint(settings, lambda event: notes.append(event.note))
    return notes


# ------------------------------------------------------------------------------------ where it is


def test_the_one_that_is_set_comes_first_then_the_checkouts_then_the_registrys(
    tmp_path: Path, empty_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registered = checkpoint(empty_home / "models" / S1_MINI)
    register(monkeypatch, registered)
    assert find_checkpoint(resolve({})) == local_folder(resolve({})) == registered
    monkeypatch.setenv("FISH_SPEECH_DIR", str(empty_checkout(tmp_path / "fish")))
    assert find_checkpoint(resolve({})) == registered, "a checkout without checkpoints is fine"
    in_checkout = checkpoint(tmp_path / "fish" / "checkpoints" / S1_MINI)
    assert find_checkpoint(resolve({})) == local_folder(resolve({})) == in_checkout
    mine = checkpoint(tmp_path / "mine")
    assert find_checkpoint(named(mine)) == local_folder(named(mine)) == mine


@pytest.mark.parametrize("is_s2", [False, True])
def test_both_published_ones_are_found_in_a_checkout_of_either_generation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_s2: bool
) -> None:
    folder = make_checkout(tmp_path / "fish", is_s2=is_s2)
    monkeypatch.setenv("FISH_SPEECH_DIR", str(folder))
    makers = {S2_PRO: make_s2, S1_MINI: make_s1}
    made = {name: make(folder / "checkpoints" / name) for name, make in makers.items()}
    for name in made:
        found = local_checkpoint(resolve({"checkpoint": name}))
        assert found is not None and (found.folder, found.name, found.why) == (made[name], name, "")
    assert fish_checkout(resolve({})) == (None if is_s2 else folder)


def test_of_two_the_device_decides_and_the_reason_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_checkout(tmp_path / "fish", is_s2=True)
    monkeypatch.setenv("FISH_SPEECH_DIR", str(folder))
    make_s1(folder / "checkpoints" / S1_MINI)
    make_s2(folder / "checkpoints" / S2_PRO)
    without = local_checkpoint(resolve({}))
    assert without is not None and without.name == S1_MINI
    assert "no interpreter of a fish environment to ask" in without.why
    questions: list[tuple[object, ...]] = []

    def look(*arguments: object) -> DeviceMemory:
        questions.append(arguments)
        return DeviceMemory("cuda:0", "bf16", "a card", 24_000_000_000)

    monkeypatch.setattr(fish, "device_memory", look)
    found = local_checkpoint(resolve({"device": "cuda"}), "python", seconds=3.0)
    assert found is not None and found.name == S2_PRO and "24.0 GB are free on a card" in found.why
    assert questions == [("python", "cuda", "auto", 3.0)]


def test_a_name_that_is_asked_for_is_fetched_with_its_licence_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = resolve({"checkpoint": S2_PRO, "accept_license": "true"}, {"HF_TOKEN": "hf_token"})
    fetched: list[object] = []

    def fetch(names: list[str], *_: object, accept_license: bool, **__: object) -> dict[str, Path]:
        fetched.append((names, accept_license))
        return {name: make_s2(tmp_path / name) for name in names}

    monkeypatch.setattr("voiceclone_cli.models.download.ensure_models", fetch)
    assert fish.find_checkpoint(settings, None).name == S2_PRO
    assert fetched == [([S2_PRO], True)]


def test_without_a_token_the_error_names_the_weights_that_were_asked_for() -> None:
    error = checkpoint_error(resolve({"checkpoint": S2_PRO}))
    assert error.code == "checkpoint_missing"
    assert "https://huggingface.co/fishaudio/s2-pro" in error.message
    assert "voiceclone models pull s2-pro" in error.message and "11007 MB" in error.message


def test_a_folder_of_that_name_in_the_working_directory_is_a_folder() -> None:
    made = make_s2(Path.cwd() / S2_PRO)
    found = local_checkpoint(resolve({"checkpoint": S2_PRO}))
    assert found is not None and (found.folder, found.name) == (made, "")


def test_what_s2_is_read_with_is_looked_for_too() -> None:
    s2 = fish.Checkpoint(Path("anywhere"), fish.S2)
    with pytest.raises(PreflightError) as caught:
        require_fish_speech(sys.executable, None, s2)
    assert caught.value.code == "fish_missing" and "no fish_speech" in caught.value.message


def test_the_error_without_a_checkpoint_names_every_way_to_one() -> None:
    assert local_checkpoint(resolve({})) is None
    error = checkpoint_error(resolve({}))
    assert error.code == "checkpoint_missing"
    for way in (
        "--checkpoint",
        "https://huggingface.co/fishaudio/",
        "HF_TOKEN",
        "voiceclone models pull",
    ):
        assert way in error.message


def test_a_home_sign_and_a_relative_folder_are_understood(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path))
    mine = checkpoint(tmp_path / "mine")
    assert find_checkpoint(named(Path("~/mine"))) == mine
    monkeypatch.chdir(tmp_path)
    assert find_checkpoint(named(Path("mine"))) == mine


def test_with_a_token_but_offline_it_is_the_registry_that_says_why_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    error = checkpoint_error(
        resolve({}, {"HF_TOKEN": "hf_secret", "VOICECLONE_HOME": str(store.default_home())})
    )
    assert error.code == "hub_offline" and "hf_secret" not in error.message


# --------------------------------------------------------------------------------- what is wrong


def test_a_folder_that_is_not_there_is_named_with_the_setting(tmp_path: Path) -> None:
    error = checkpoint_error(named(tmp_path / "nowhere"))
    assert error.code == "checkpoint_missing"
    assert error.message.startswith(f"--checkpoint, {tmp_path / 'nowhere'}, does not exist")
    Path(".env").write_text(f"VOICECLONE_CHECKPOINT={tmp_path / 'nowhere'}\n", encoding="utf-8")
    assert "VOICECLONE_CHECKPOINT (.env)" in checkpoint_error(resolve({})).message


def test_the_weights_file_is_not_the_folder(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "mine")
    error = checkpoint_error(named(folder / "model.pth"))
    assert error.code == "checkpoint_missing" and "is a file" in error.message


@pytest.mark.parametrize("lost", [("codec.pth",), ("config.json", "special_tokens.json"), S1_FILES])
def test_every_missing_file_is_named(tmp_path: Path, lost: tuple[str, ...]) -> None:
    folder = checkpoint(tmp_path / "mine", without=lost)
    assert missing_files(folder) == list(lost)
    error = checkpoint_error(named(folder))
    assert error.code == "checkpoint_incomplete"
    assert f"lacks {', '.join(lost)}:" in error.message


def test_what_a_clone_without_git_lfs_leaves_is_not_the_weights(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "mine")
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1740000000\n"
    (folder / "model.pth").write_text(pointer, encoding="utf-8")
    assert missing_files(folder) == ["model.pth"]


def test_an_incomplete_one_in_the_checkout_is_an_error_and_not_passed_over(
    tmp_path: Path, empty_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint(empty_home / "models" / S1_MINI)
    checkpoint(
        empty_checkout(tmp_path / "fish") / "checkpoints" / S1_MINI,
        without=("codec.pth",),
    )
    monkeypatch.setenv("FISH_SPEECH_DIR", str(tmp_path / "fish"))
    assert "the checkpoint in FISH_SPEECH_DIR" in checkpoint_error(resolve({})).message


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "\udcff", "[" * 10_000, '{"a": ' + "1" * 10_000 + "}", " " * 2**21]
)
def test_a_config_that_is_none_is_one_sentence(tmp_path: Path, text: str) -> None:
    folder = checkpoint(tmp_path / "mine")
    (folder / "config.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    error = checkpoint_error(named(folder))
    assert error.code == "checkpoint_unusable" and "config.json" in error.message


def test_a_bad_checkout_is_an_error_even_where_a_checkpoint_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FISH_SPEECH_DIR", str(tmp_path / "nowhere"))
    assert checkpoint_error(named(checkpoint(tmp_path / "mine"))).code == "fish_checkout"


# ------------------------------------------------------------------------------------- notes


def test_a_generated_checkpoint_is_noted_every_time(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "mine")
    (folder / "generated.json").write_text("{}", encoding="utf-8")
    for _ in range(2):
        (note,) = notes_of(named(folder))
        assert "generated" in note and "no words" in note


# ----------------------------------------------------------------------------------- interpreter


def executable(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def python_error(python: str) -> PreflightError:
    with pytest.raises(PreflightError) as caught:
        require_fish_speech(python, None)
    assert caught.value.exit_code == 4 and "\n" not in caught.value.message
    assert "voiceclone env create" in caught.value.message
    return caught.value


@needs_symlinks
def test_the_interpreter_that_is_set_is_taken_by_the_name_it_has(tmp_path: Path) -> None:
    link = tmp_path / "python"
    link.symlink_to(sys.executable)
    settings = resolve({}, {"FISH_SPEECH_PYTHON": str(link)})
    assert fish_python(settings) == given_python(settings) == str(link)


def test_its_home_sign_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path))
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


def test_the_error_without_an_environment_says_how_to_build_one() -> None:
    assert given_python(resolve({})) is None
    with pytest.raises(PreflightError, match="voiceclone env create") as caught:
        fish_python(resolve({}))
    assert caught.value.code == "fish_environment"


def test_the_environment_that_was_built_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fish, "environment_python", lambda settings: tmp_path / "built" / "python")
    assert fish_python(resolve({})) == str(tmp_path / "built" / "python")


def test_the_error_for_an_interpreter_names_the_packages_it_lacks() -> None:
    error = python_error(sys.executable)
    assert error.code == "fish_missing"
    assert "no fish_speech" in error.message
    if "PYTHONPATH" not in os.environ:  # which workers do not get, and where the harness of Windows has torch
        assert ("no torch" in error.message) == (find_spec("torch") is None)


@pytest.mark.parametrize(
    "program, problem",
    [
        ({"output": "a cat"}, "exit code 0 and no answer"),
        ({"error": "broken libraries", "code": 3}, "exit code 3 and no answer .*broken libraries"),
    ],
)
def test_a_program_that_is_no_python_is_one_sentence(
    tmp_path: Path, program: dict[str, Any], problem: str
) -> None:
    python = str(write_program(tmp_path / "python", **program))
    error = python_error(python)
    assert error.code == "worker_interpreter" and python in error.message
    assert re.search(problem, error.message)


def test_a_file_that_is_no_program_is_one_sentence(tmp_path: Path) -> None:
    python = executable(tmp_path / "python", "not even a program")
    error = python_error(python)
    assert error.code == "worker_interpreter" and python in error.message
    assert "cannot be started" in error.message


@needs_shell_scripts
def test_a_program_that_never_answers_is_given_up(tmp_path: Path) -> None:
    python = executable(tmp_path / "python", "#!/bin/sh\nexec sleep 60\n")
    with pytest.raises(PreflightError, match=r"gave no answer in 2 s"):
        require_fish_speech(python, None, seconds=2.0)


@pytest.mark.engine
def test_the_interpreter_of_the_fish_environment_is_accepted_and_this_one_is_not(fish_python: Path) -> None:
    require_fish_speech(str(fish_python), None)
    with pytest.raises(PreflightError):
        require_fish_speech(sys.executable, None)
