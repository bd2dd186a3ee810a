"""The parts of fish on this machine: its checkout, its checkpoint and its interpreter."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from voiceclone_cli.config import Settings, resolve
from voiceclone_cli.engines import fish
from voiceclone_cli.engines.fish import (
    PUBLISHED_MODEL,
    REQUIRED_FILES,
    find_checkpoint,
    fish_checkout,
    fish_python,
    given_python,
    local_checkpoint,
    missing_files,
    require_fish_speech,
)
from voiceclone_cli.errors import PreflightError
from voiceclone_cli.models import store

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
def test_one_of_the_s2_generation_is_recognised_by_its_files(tmp_path: Path, files: dict[str, str]) -> None:
    error = checkout_error(checkout(tmp_path, files))
    assert error.code == "fish_generation"
    assert "S2" in error.message and "Research License" in error.message


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


def checkpoint(folder: Path, *, without: tuple[str, ...] = (), **config: Any) -> Path:
    """The files of a checkpoint; whether its weights load is the engine's to find out."""
    folder.mkdir(parents=True)
    for name in REQUIRED_FILES:
        if name not in without:
            (folder / name).write_bytes(b"weights " * 20)
    if "config.json" not in without:
        content = json.dumps({"model_type": "dual_ar", **config})
        (folder / "config.json").write_text(content, encoding="utf-8")
    return folder


def empty_checkout(folder: Path) -> Path:
    for path in ("text2semantic/llama.py", "dac/modded_dac.py"):
        (folder / "fish_speech" / "models" / path).parent.mkdir(parents=True)
        (folder / "fish_speech" / "models" / path).touch()
    return folder


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
    registered = checkpoint(empty_home / "models" / PUBLISHED_MODEL)
    assert find_checkpoint(resolve({})) == local_checkpoint(resolve({})) == registered
    monkeypatch.setenv("FISH_SPEECH_DIR", str(empty_checkout(tmp_path / "fish")))
    assert find_checkpoint(resolve({})) == registered, "a checkout without checkpoints is fine"
    in_checkout = checkpoint(tmp_path / "fish" / "checkpoints" / PUBLISHED_MODEL)
    assert find_checkpoint(resolve({})) == local_checkpoint(resolve({})) == in_checkout
    mine = checkpoint(tmp_path / "mine")
    assert find_checkpoint(named(mine)) == local_checkpoint(named(mine)) == mine


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
    monkeypatch.setenv("HOME", str(tmp_path))
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


@pytest.mark.parametrize("lost", [("codec.pth",), ("config.json", "special_tokens.json"), REQUIRED_FILES])
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
    checkpoint(empty_home / "models" / PUBLISHED_MODEL)
    checkpoint(
        empty_checkout(tmp_path / "fish") / "checkpoints" / PUBLISHED_MODEL,
        without=("codec.pth",),
    )
    monkeypatch.setenv("FISH_SPEECH_DIR", str(tmp_path / "fish"))
    assert "the checkpoint in FISH_SPEECH_DIR" in checkpoint_error(resolve({})).message


def test_a_newer_generation_is_named_as_such(tmp_path: Path) -> None:
    omni = checkpoint(tmp_path / "omni", model_type="fish_qwen3_omni")
    assert checkpoint_error(named(omni)).code == "checkpoint_generation"
    safetensors = checkpoint(tmp_path / "safetensors", without=("model.pth", "tokenizer.tiktoken"))
    (safetensors / "model-00001-of-00002.safetensors").touch()
    error = checkpoint_error(named(safetensors))
    assert error.code == "checkpoint_generation" and "S2" in error.message


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
    error = python_error(python)
    assert error.code == "worker_interpreter" and python in error.message
    assert re.search(problem, error.message)


def test_a_program_that_never_answers_is_given_up(tmp_path: Path) -> None:
    python = executable(tmp_path / "python", "#!/bin/sh\nexec sleep 60\n")
    with pytest.raises(PreflightError, match=r"gave no answer in 2 s"):
        require_fish_speech(python, None, seconds=2.0)


@pytest.mark.engine
def test_the_interpreter_of_the_fish_environment_is_accepted_and_this_one_is_not(fish_python: Path) -> None:
    require_fish_speech(str(fish_python), None)
    with pytest.raises(PreflightError):
        require_fish_speech(sys.executable, None)
