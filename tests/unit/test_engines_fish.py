"""Where the fish engine's checkpoint is found, what is wrong with one, and what is said of its weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from voiceclone_cli.config import Settings, resolve
from voiceclone_cli.engines.fish import (
    PUBLISHED_MODEL,
    REQUIRED_FILES,
    find_checkpoint,
    fish_checkout,
    local_checkpoint,
    missing_files,
)
from voiceclone_cli.errors import PreflightError
from voiceclone_cli.models import store

# Which checkouts of fish-speech the fish engine can take its model code from.


MODEL = "fish_speech/models/text2semantic/llama.py"
CODEC = "fish_speech/models/dac/modded_dac.py"


def checkout(folder: Path, files: dict[str, str]) -> Path:
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    return folder


def found(folder: Path) -> Path | None:
    return fish_checkout(resolve({}, {"FISH_SPEECH_DIR": str(folder)}))


def refusal(folder: Path) -> PreflightError:
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


def test_a_place_that_is_no_checkout_is_told_as_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    problems = {"nowhere": "does not exist", "file": "is a file", "folder": "is no checkout of fish-speech"}
    for name, problem in problems.items():
        error = refusal(tmp_path / name)
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
    error = refusal(checkout(tmp_path, files))
    assert error.code == "fish_generation"
    assert "S2" in error.message and "Research License" in error.message


def test_one_of_before_s1_is_recognised_too(tmp_path: Path) -> None:
    files = {MODEL: "class DualARTransformer: ...\n", "fish_speech/models/vqgan/utils.py": ""}
    error = refusal(checkout(tmp_path, files))
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


def checkout_of_test_fish_checkpoint(folder: Path) -> Path:
    for path in ("text2semantic/llama.py", "dac/modded_dac.py"):
        (folder / "fish_speech" / "models" / path).parent.mkdir(parents=True)
        (folder / "fish_speech" / "models" / path).touch()
    return folder


def named(folder: Path) -> Settings:
    return resolve({"checkpoint": str(folder)})


def refusal_of_test_fish_checkpoint(settings: Settings) -> PreflightError:
    with pytest.raises(PreflightError) as caught:
        find_checkpoint(settings)
    assert "\n" not in caught.value.message
    return caught.value


def notes(settings: Settings) -> list[str]:
    told: list[str] = []
    find_checkpoint(settings, lambda event: told.append(event.note))
    return told


# ------------------------------------------------------------------------------------ where it is


def test_the_one_that_is_set_comes_first_then_the_checkouts_then_the_registrys(
    tmp_path: Path, empty_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registered = checkpoint(empty_home / "models" / PUBLISHED_MODEL)
    assert find_checkpoint(resolve({})) == local_checkpoint(resolve({})) == registered
    monkeypatch.setenv("FISH_SPEECH_DIR", str(checkout_of_test_fish_checkpoint(tmp_path / "fish")))
    assert find_checkpoint(resolve({})) == registered, "a checkout without checkpoints is fine"
    in_checkout = checkpoint(tmp_path / "fish" / "checkpoints" / PUBLISHED_MODEL)
    assert find_checkpoint(resolve({})) == local_checkpoint(resolve({})) == in_checkout
    mine = checkpoint(tmp_path / "mine")
    assert find_checkpoint(named(mine)) == local_checkpoint(named(mine)) == mine


def test_without_any_the_user_learns_of_every_way_to_one() -> None:
    assert local_checkpoint(resolve({})) is None
    error = refusal_of_test_fish_checkpoint(resolve({}))
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
    error = refusal_of_test_fish_checkpoint(
        resolve({}, {"HF_TOKEN": "hf_secret", "VOICECLONE_HOME": str(store.default_home())})
    )
    assert error.code == "hub_offline" and "hf_secret" not in error.message


# --------------------------------------------------------------------------------- what is wrong


def test_a_folder_that_is_not_there_is_named_with_the_setting(tmp_path: Path) -> None:
    error = refusal_of_test_fish_checkpoint(named(tmp_path / "nowhere"))
    assert error.code == "checkpoint_missing"
    assert error.message.startswith(f"--checkpoint, {tmp_path / 'nowhere'}, does not exist")
    Path(".env").write_text(f"VOICECLONE_CHECKPOINT={tmp_path / 'nowhere'}\n", encoding="utf-8")
    assert "VOICECLONE_CHECKPOINT (.env)" in refusal_of_test_fish_checkpoint(resolve({})).message


def test_the_weights_file_is_not_the_folder(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "mine")
    error = refusal_of_test_fish_checkpoint(named(folder / "model.pth"))
    assert error.code == "checkpoint_missing" and "is a file" in error.message


@pytest.mark.parametrize("lost", [("codec.pth",), ("config.json", "special_tokens.json"), REQUIRED_FILES])
def test_every_missing_file_is_named(tmp_path: Path, lost: tuple[str, ...]) -> None:
    folder = checkpoint(tmp_path / "mine", without=lost)
    assert missing_files(folder) == list(lost)
    error = refusal_of_test_fish_checkpoint(named(folder))
    assert error.code == "checkpoint_incomplete"
    assert f"lacks {', '.join(lost)}:" in error.message


def test_what_a_clone_without_git_lfs_leaves_is_not_the_weights(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "mine")
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1740000000\n"
    (folder / "model.pth").write_text(pointer, encoding="utf-8")
    assert missing_files(folder) == ["model.pth"]


def test_an_incomplete_one_in_the_checkout_is_told_and_not_passed_over(
    tmp_path: Path, empty_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint(empty_home / "models" / PUBLISHED_MODEL)
    checkpoint(
        checkout_of_test_fish_checkpoint(tmp_path / "fish") / "checkpoints" / PUBLISHED_MODEL,
        without=("codec.pth",),
    )
    monkeypatch.setenv("FISH_SPEECH_DIR", str(tmp_path / "fish"))
    assert "the checkpoint in FISH_SPEECH_DIR" in refusal_of_test_fish_checkpoint(resolve({})).message


def test_a_newer_generation_is_told_as_such(tmp_path: Path) -> None:
    omni = checkpoint(tmp_path / "omni", model_type="fish_qwen3_omni")
    assert refusal_of_test_fish_checkpoint(named(omni)).code == "checkpoint_generation"
    safetensors = checkpoint(tmp_path / "safetensors", without=("model.pth", "tokenizer.tiktoken"))
    (safetensors / "model-00001-of-00002.safetensors").touch()
    error = refusal_of_test_fish_checkpoint(named(safetensors))
    assert error.code == "checkpoint_generation" and "S2" in error.message


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "\udcff", "[" * 10_000, '{"a": ' + "1" * 10_000 + "}", " " * 2**21]
)
def test_a_config_that_is_none_is_one_sentence(tmp_path: Path, text: str) -> None:
    folder = checkpoint(tmp_path / "mine")
    (folder / "config.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    error = refusal_of_test_fish_checkpoint(named(folder))
    assert error.code == "checkpoint_unusable" and "config.json" in error.message


def test_a_bad_checkout_is_told_even_where_a_checkpoint_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FISH_SPEECH_DIR", str(tmp_path / "nowhere"))
    assert refusal_of_test_fish_checkpoint(named(checkpoint(tmp_path / "mine"))).code == "fish_checkout"


# -------------------------------------------------------------------------------- what is said


def test_a_generated_checkpoint_says_every_time_that_it_speaks_no_words(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "mine")
    (folder / "generated.json").write_text("{}", encoding="utf-8")
    for _ in range(2):
        (note,) = notes(named(folder))
        assert "generated" in note and "no words" in note
