"""Where the fish engine's checkpoint is found, what is wrong with one, and what is said of its weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from voiceclone_cli import models
from voiceclone_cli.errors import PreflightError
from voiceclone_cli.fish.checkpoint import (
    PUBLISHED,
    REQUIRED_FILES,
    find_checkpoint,
    local_checkpoint,
    missing_files,
)
from voiceclone_cli.settings import Settings, resolve


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


def checkout(folder: Path) -> Path:
    for path in ("text2semantic/llama.py", "dac/modded_dac.py"):
        (folder / "fish_speech" / "models" / path).parent.mkdir(parents=True)
        (folder / "fish_speech" / "models" / path).touch()
    return folder


def named(folder: Path) -> Settings:
    return resolve({"checkpoint": str(folder)})


def refusal(settings: Settings) -> PreflightError:
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
    registered = checkpoint(empty_home / "models" / PUBLISHED)
    assert find_checkpoint(resolve({})) == local_checkpoint(resolve({})) == registered
    monkeypatch.setenv("FISH_SPEECH_DIR", str(checkout(tmp_path / "fish")))
    assert find_checkpoint(resolve({})) == registered, "a checkout without checkpoints is fine"
    in_checkout = checkpoint(tmp_path / "fish" / "checkpoints" / PUBLISHED)
    assert find_checkpoint(resolve({})) == local_checkpoint(resolve({})) == in_checkout
    mine = checkpoint(tmp_path / "mine")
    assert find_checkpoint(named(mine)) == local_checkpoint(named(mine)) == mine


def test_without_any_the_user_learns_of_every_way_to_one() -> None:
    assert local_checkpoint(resolve({})) is None
    error = refusal(resolve({}))
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
    error = refusal(resolve({}, {"HF_TOKEN": "hf_secret", "VOICECLONE_HOME": str(models.home())}))
    assert error.code == "hub_offline" and "hf_secret" not in error.message


# --------------------------------------------------------------------------------- what is wrong


def test_a_folder_that_is_not_there_is_named_with_the_setting(tmp_path: Path) -> None:
    error = refusal(named(tmp_path / "nowhere"))
    assert error.code == "checkpoint_missing"
    assert error.message.startswith(f"--checkpoint, {tmp_path / 'nowhere'}, does not exist")
    Path(".env").write_text(f"VOICECLONE_CHECKPOINT={tmp_path / 'nowhere'}\n", encoding="utf-8")
    assert "VOICECLONE_CHECKPOINT (.env)" in refusal(resolve({})).message


def test_the_weights_file_is_not_the_folder(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "mine")
    error = refusal(named(folder / "model.pth"))
    assert error.code == "checkpoint_missing" and "is a file" in error.message


@pytest.mark.parametrize("lost", [("codec.pth",), ("config.json", "special_tokens.json"), REQUIRED_FILES])
def test_every_missing_file_is_named(tmp_path: Path, lost: tuple[str, ...]) -> None:
    folder = checkpoint(tmp_path / "mine", without=lost)
    assert missing_files(folder) == list(lost)
    error = refusal(named(folder))
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
    checkpoint(empty_home / "models" / PUBLISHED)
    checkpoint(checkout(tmp_path / "fish") / "checkpoints" / PUBLISHED, without=("codec.pth",))
    monkeypatch.setenv("FISH_SPEECH_DIR", str(tmp_path / "fish"))
    assert "the checkpoint in FISH_SPEECH_DIR" in refusal(resolve({})).message


def test_a_newer_generation_is_told_as_such(tmp_path: Path) -> None:
    omni = checkpoint(tmp_path / "omni", model_type="fish_qwen3_omni")
    assert refusal(named(omni)).code == "checkpoint_generation"
    safetensors = checkpoint(tmp_path / "safetensors", without=("model.pth", "tokenizer.tiktoken"))
    (safetensors / "model-00001-of-00002.safetensors").touch()
    error = refusal(named(safetensors))
    assert error.code == "checkpoint_generation" and "S2" in error.message


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "\udcff", "[" * 10_000, '{"a": ' + "1" * 10_000 + "}", " " * 2**21]
)
def test_a_config_that_is_none_is_one_sentence(tmp_path: Path, text: str) -> None:
    folder = checkpoint(tmp_path / "mine")
    (folder / "config.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    error = refusal(named(folder))
    assert error.code == "checkpoint_unusable" and "config.json" in error.message


def test_a_bad_checkout_is_told_even_where_a_checkpoint_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FISH_SPEECH_DIR", str(tmp_path / "nowhere"))
    assert refusal(named(checkpoint(tmp_path / "mine"))).code == "fish_checkout"


# -------------------------------------------------------------------------------- what is said


def test_a_generated_checkpoint_says_every_time_that_it_speaks_no_words(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "mine")
    (folder / "generated.json").write_text("{}", encoding="utf-8")
    for _ in range(2):
        (note,) = notes(named(folder))
        assert "generated" in note and "no words" in note
