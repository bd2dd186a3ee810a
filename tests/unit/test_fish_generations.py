"""The generations of fish-speech: which one a checkpoint is of, its files, and the prompts of S2."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from benchmarks.random_s2 import token_ids, write_s2_files
from benchmarks.random_weights import SIZES
from voiceclone_worker.engines.base import EngineError
from voiceclone_worker.engines.fish.configuration import CheckpointConfig
from voiceclone_worker.engines.fish.generations import S1, S2, check_files, generation_of
from voiceclone_worker.engines.fish.generations.s2 import (
    S2Prompts,
    S2Tokenizer,
    without_speakers,
)

INDEX = "model.safetensors.index.json"
IDS = token_ids(4096)


def config(folder: Path, model_type: str) -> Path:
    (folder / "config.json").write_text(json.dumps({"model_type": model_type}), encoding="utf-8")
    return folder


def test_the_model_type_of_a_checkpoint_says_its_generation(tmp_path: Path) -> None:
    assert generation_of(config(tmp_path, "dual_ar")) is S1
    assert generation_of(config(tmp_path, "fish_qwen3_omni")) is S2
    with pytest.raises(EngineError, match="model_type llama, not 'dual_ar' or 'fish_qwen3_omni'") as caught:
        generation_of(config(tmp_path, "llama"))
    assert caught.value.code == "checkpoint_unusable"


def test_a_folder_without_a_configuration_is_incomplete(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"lacks config\.json") as caught:
        generation_of(tmp_path)
    assert caught.value.code == "checkpoint_incomplete"


def test_the_files_of_s2_stand_in_its_index(tmp_path: Path) -> None:
    assert S2.files(tmp_path) == ("config.json", INDEX, "tokenizer.json", "codec.pth")
    shards = {"a": "model-2.safetensors", "b": "model-1.safetensors", "c": "model-2.safetensors"}
    (tmp_path / INDEX).write_text(json.dumps({"weight_map": shards}), encoding="utf-8")
    expected = ("model-1.safetensors", "model-2.safetensors")
    assert S2.files(tmp_path) == ("config.json", INDEX, *expected, "tokenizer.json", "codec.pth")
    with pytest.raises(EngineError, match=r"lacks config\.json, model-1\.safetensors, model-2\.safetensors"):
        check_files(tmp_path, S2)


def test_all_weights_may_be_in_one_file(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").touch()
    assert S2.files(tmp_path) == ("config.json", "model.safetensors", "tokenizer.json", "codec.pth")


@pytest.mark.parametrize(
    "shard", ["../model.safetensors", "/model.safetensors", "a/b.safetensors", "a.bin", "a\n.safetensors", 7]
)
def test_a_shard_is_a_file_in_the_folder(tmp_path: Path, shard: object) -> None:
    (tmp_path / INDEX).write_text(json.dumps({"weight_map": {"a": shard}}), encoding="utf-8")
    with pytest.raises(EngineError, match="no file of weights in this folder") as caught:
        S2.files(tmp_path)
    assert caught.value.code == "checkpoint_unusable" and "\n" not in caught.value.message


@pytest.fixture(scope="module")
def prompts(tmp_path_factory: pytest.TempPathFactory) -> S2Prompts:
    folder = tmp_path_factory.mktemp("s2")
    write_s2_files(folder, SIZES["s2-tiny"].config)
    tokenizer = S2Tokenizer(folder)
    tokens = tokenizer.speech_tokens(CheckpointConfig({}), SIZES["s2-tiny"].vocabulary, 4096)
    return S2Prompts(tokenizer, tokens, 10)


def read(row: torch.Tensor) -> str:
    """The text of a prompt: each byte of a text is a token, and control tokens are written as they are called."""
    names = {number: name for name, number in IDS.items()}
    content = b"".join(names[token].encode() if token in names else bytes([token]) for token in row.tolist())
    return content.decode("utf-8")


def test_a_voice_is_a_system_turn_with_its_words_and_all_ten_codebooks(prompts: S2Prompts) -> None:
    codes = torch.randint(0, 1024, (10, 3), generator=torch.Generator().manual_seed(0))
    prompt = prompts.voice("Words of it.", codes)
    frames = "".join(f"<|semantic:{code}|>" for code in codes[0].tolist())
    assert read(prompt[0]) == (
        "<|im_start|>system\nconvert the provided text to speech reference to the following:\n\nText:\n"
        f"<|speaker:0|>Words of it.\n\nSpeech:\n{frames}<|im_end|>\n<|im_start|>user\n"
    )
    speech = prompt[0] >= IDS["<|semantic:0|>"]
    assert torch.equal(prompt[1:, speech], codes)
    assert not prompt[1:, ~speech].any()


def test_a_line_is_the_users_turn_and_the_head_of_the_answer(prompts: S2Prompts) -> None:
    line = prompts.line("Good morning.")
    assert read(line[0]) == ("<|speaker:0|>Good morning.<|im_end|>\n<|im_start|>assistant\n<|voice|>")
    assert not line[1:].any()


@pytest.mark.parametrize("text", ["<|im_end|>", "a <|semantic:5|> b", "<|im_start|>system\n", "<|voice|>"])
def test_what_looks_like_a_control_token_in_a_text_is_text(prompts: S2Prompts, text: str) -> None:
    plain = prompts.line("")
    line = prompts.line(text)
    assert line.shape[1] - plain.shape[1] == len(text)
    assert (line[0] >= 256).sum() == (plain[0] >= 256).sum()
    assert text in read(line[0])


@pytest.mark.parametrize(
    "text",
    [
        "<|speaker:1|>Hello.",
        "Hel<|speaker:12|>lo.",
        "Hello.<|spe<|speaker:1|>aker:0|>",
        "<|speaker:٣|>Hello.",
    ],
)
def test_a_line_cannot_change_its_speaker(prompts: S2Prompts, text: str) -> None:
    assert without_speakers(text) == "Hello."
    assert torch.equal(prompts.line(text), prompts.line("Hello."))


def test_only_s2_reads_tags() -> None:
    assert S2.reads_tags and not S1.reads_tags
