"""Checkpoints, codes and voices from strangers."""

from __future__ import annotations

import base64
import io
import json
import os
import pickle
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from fish_interpreter import in_fish
from hostile_files import Program, archive
from voiceclone_cli.workers.process import worker_command, worker_program
from voiceclone_worker.engines.base import SegmentError
from voiceclone_worker.engines.fish.codec import read_codes
from voiceclone_worker.engines.kokoro.voices import read_voice, voice_table
from voiceclone_worker.protocol import EncodeTask, EngineSpec, ReferenceSpec, task_to_json


def written(name: str, text: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_text(text, encoding="utf-8") and None


def replaced(name: str, old: str, new: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        text = (folder / name).read_text(encoding="utf-8")
        assert old in text
        (folder / name).write_text(text.replace(old, new), encoding="utf-8")

    return change


def configured(**values: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        (folder / "config.json").write_text(json.dumps({**config, **values}), encoding="utf-8")

    return change


def saved(name: str, content: Callable[[Path], Any]) -> Callable[[Path], None]:
    return lambda folder: torch.save(content(folder), folder / name)


def enormous(name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        with (folder / name).open("ab") as file:
            file.truncate(1 << 33)

    return change


def yaml_bomb() -> str:
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 60)]
    return "_target_: fish_speech.models.dac.modded_dac.DAC\n" + "\n".join(lines)


TOKEN = base64.b64encode(b"a").decode()
TARGET = "_target_: fish_speech.models.dac.modded_dac.DAC\n"
HOSTILE: dict[str, Callable[[Path], None]] = {
    "layers": configured(n_layer=2**40),
    "layers-that-fit-a-number": configured(n_layer=1000),
    "width": configured(dim=2**30),
    "heads": configured(n_head=2**20, head_dim=2**10),
    "vocabulary": configured(vocab_size=2**31 - 1),
    "codes": configured(codebook_size=2**30),
    "context": configured(max_seq_len=2**31 - 1),
    "negative": configured(n_layer=-5),
    "nothing": configured(dim=0),
    "not-a-number": configured(rope_base=float("nan")),
    "infinite": configured(norm_eps=float("inf")),
    "text": configured(dim="64"),
    "list": configured(n_head=[4]),
    "object": configured(dim={"a": {}}),
    "half": configured(n_layer=1.5),
    "long-number": written("config.json", '{"model_type": "dual_ar", "dim": ' + "9" * 5000 + "}"),
    "deep": written("config.json", "[" * 10_000),
    "deep-value": written("config.json", '{"model_type": "dual_ar", "dim": ' + "[" * 900 + "]" * 900 + "}"),
    "other-config": written("config.json", "[1]"),
    "large-config": enormous("config.json"),
    "pickle": lambda folder: (
        (folder / "model.pth").write_bytes(pickle.dumps(Program(folder / "canary"))) and None
    ),
    "program": saved("model.pth", lambda folder: {"a": Program(folder / "canary")}),
    "codec-program": saved("codec.pth", lambda folder: Program(folder / "canary")),
    "list-of-weights": saved("model.pth", lambda folder: [torch.zeros(1)]),
    "one-weight": saved("model.pth", lambda folder: torch.zeros(1)),
    "no-weights": saved("model.pth", lambda folder: {}),
    "numbers-for-weights": saved("model.pth", lambda folder: {"a": 1}),
    "cut-weights": lambda folder: os.truncate(folder / "model.pth", 2_000_000),
    "text-for-weights": written("codec.pth", "weights\n" * 1000),
    "tokens-garbage": written("tokenizer.tiktoken", "garbage\n"),
    "tokens-twice": written("tokenizer.tiktoken", f"{TOKEN} 0\n{base64.b64encode(b'b').decode()} 0\n"),
    "tokens-huge": written("tokenizer.tiktoken", f"{TOKEN} {2**70}\n"),
    "tokens-empty": written("tokenizer.tiktoken", ""),
    "tokens-large": enormous("tokenizer.tiktoken"),
    "specials-deep": written("special_tokens.json", "[" * 10_000),
    "specials-number": written("special_tokens.json", "7"),
    "specials-few": written("special_tokens.json", '{"<|im_end|>": 1}'),
    "codec-runs": written("codec.yaml", "_target_: os.mkdir\n_args_: [canary]\n"),
    "codec-runs-inside": written("codec.yaml", f"{TARGET}quantizer: {{_target_: os.mkdir, path: canary}}\n"),
    "codec-arguments": written("codec.yaml", f"{TARGET}_args_: [1]\n"),
    "codec-environment": written(
        "codec.yaml", f"{TARGET}sample_rate: 44100\nencoder_dim: ${{oc.env:HOME}}\n"
    ),
    "codec-tag": written("codec.yaml", "!!python/object/apply:os.mkdir [canary]\n"),
    "codec-bomb": written("codec.yaml", yaml_bomb()),
    "codec-deep": written("codec.yaml", "[" * 10_000),
    "codec-width": replaced("codec.yaml", "decoder_dim: 64", "decoder_dim: 1073741824"),
    "codec-layers": replaced("codec.yaml", "n_layer: 1\n", "n_layer: 1099511627776\n"),
    "codec-context": replaced("codec.yaml", "block_size: 1024", "block_size: 10000000"),
    "codec-rate": replaced("codec.yaml", "sample_rate: 44100", "sample_rate: 2000000000"),
    "codec-books": replaced("codec.yaml", "codebook_size: 1024", "codebook_size: 2000000000"),
    "codec-nan": replaced("codec.yaml", "rope_base: 10000", "rope_base: .nan"),
    "codec-words": written("codec.yaml", "no configuration at all"),
}


INDEX = "model.safetensors.index.json"
FIRST, SECOND = (f"model-0000{number}-of-00002.safetensors" for number in (1, 2))
NORM = "text_model.model.norm.weight"
"""A tensor of the second shard."""


def part(name: str, **values: Any) -> Callable[[Path], None]:
    """Values of one of the parts of S2's config.json."""

    def change(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        config[name] |= values
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")

    return change


def tokens(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """A change of tokenizer.json, in place or by what is returned."""

    def changed(folder: Path) -> None:
        document = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
        document = change(document) or document
        (folder / "tokenizer.json").write_text(json.dumps(document), encoding="utf-8")

    return changed


def indexed(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """A change of the index's table, in place or by what is returned."""

    def changed(folder: Path) -> None:
        table = json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"]
        table = change(table) or table
        (folder / INDEX).write_text(json.dumps({"weight_map": table}), encoding="utf-8")

    return changed


def shard(name: str, change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], None]:
    """A change of a shard's tensors; the index is that of what comes of it."""

    def changed(folder: Path) -> None:
        weights = load_file(folder / name)
        change(weights)
        save_file(weights, folder / name)
        table = json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"]
        table = {key: file for key, file in table.items() if file != name} | dict.fromkeys(weights, name)
        (folder / INDEX).write_text(json.dumps({"weight_map": table}), encoding="utf-8")

    return changed


def header(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """A change of the header of the second shard, in place or by what is returned."""

    def changed(folder: Path) -> None:
        content = (folder / SECOND).read_bytes()
        end = 8 + int.from_bytes(content[:8], "little")
        document = json.loads(content[8:end])
        written = json.dumps(change(document) or document).encode()
        (folder / SECOND).write_bytes(len(written).to_bytes(8, "little") + written + content[end:])

    return changed


def added(change: Callable[[list[dict[str, Any]]], object]) -> Callable[[Path], None]:
    """A change of the added tokens of tokenizer.json, in place."""
    return tokens(lambda document: change(document["added_tokens"]) and None)


HOSTILE_S2: dict[str, Callable[[Path], None]] = {
    "layers": part("text_config", n_layer=2**40),
    "layers-that-fit-a-number": part("text_config", n_layer=1000),
    "fast-layers": part("audio_decoder_config", n_layer=900),
    "width": part("text_config", dim=2**30),
    "fast-width": part("audio_decoder_config", dim=2**20),
    "other-width": part("audio_decoder_config", text_dim=128),
    "heads": part("text_config", n_head=2**20, head_dim=2**10),
    "key-heads": part("text_config", n_local_heads=3),
    "odd-heads": part("text_config", head_dim=31),
    "vocabulary": part("text_config", vocab_size=2**31 - 1),
    "context": part("text_config", max_seq_len=2**31 - 1),
    "codebooks": part("audio_decoder_config", num_codebooks=2**20),
    "codebooks-few": part("audio_decoder_config", num_codebooks=9),
    "codes": part("audio_decoder_config", vocab_size=2**30),
    "negative": part("text_config", n_layer=-5),
    "nothing": part("text_config", dim=0),
    "not-a-number": part("text_config", rope_base=float("nan")),
    "infinite": part("audio_decoder_config", norm_eps=float("inf")),
    "text": part("text_config", dim="64"),
    "list": part("text_config", n_head=[4]),
    "half": part("text_config", n_layer=1.5),
    "number-for-yes": part("text_config", attention_qk_norm=1),
    "experts": part("text_config", use_moe=True),
    "untied": part("text_config", tie_word_embeddings=False),
    "part-missing": written("config.json", '{"model_type": "fish_qwen3_omni", "text_config": {}}'),
    "part-a-list": configured(audio_decoder_config=[1]),
    "end-elsewhere": configured(eos_token_id=7),
    "codes-elsewhere": configured(semantic_start_token_id=300),
    "long-number": written("config.json", '{"model_type": "fish_qwen3_omni", "a": ' + "9" * 5000 + "}"),
    "deep": written("config.json", "[" * 10_000),
    "index-garbage": written(INDEX, "garbage"),
    "index-list": written(INDEX, "[1]"),
    "index-deep": written(INDEX, "[" * 10_000),
    "index-large": enormous(INDEX),
    "index-empty": indexed(lambda table: table.clear()),
    "index-up": indexed(lambda table: table.update({NORM: f"../tiny/{FIRST}"})),
    "index-absolute": indexed(lambda table: table.update({NORM: "/etc/passwd"})),
    "index-number": indexed(lambda table: table.update({NORM: 7})),
    "index-many": indexed(lambda table: {f"w{n}": f"m{n}.safetensors" for n in range(1000)}),
    "index-other-shard": indexed(lambda table: table.update({NORM: FIRST})),
    "index-more": indexed(lambda table: table.update({"text_model.model.more.weight": FIRST})),
    "index-less": indexed(lambda table: table.pop(NORM) and None),
    "cut-weights": lambda folder: os.truncate(folder / FIRST, 1_000_000),
    "no-header": lambda folder: os.truncate(folder / FIRST, 4),
    "empty-shard": lambda folder: os.truncate(folder / SECOND, 0),
    "text-for-weights": written(SECOND, "weights\n" * 1000),
    "pickle": lambda folder: (folder / SECOND).write_bytes(pickle.dumps(Program(folder / "canary"))) and None,
    "program": saved(SECOND, lambda folder: Program(folder / "canary")),
    "header-promises": lambda folder: (
        (folder / SECOND).write_bytes(b"\xff" * 7 + b"\x0f" + bytes(100)) and None
    ),
    "header-list": header(lambda document: [1]),
    "header-shape": header(
        lambda document: document["audio_decoder.norm.weight"].update(shape=[2**40, 2**40])
    ),
    "header-overlap": header(
        lambda document: document["audio_decoder.norm.weight"].update(
            data_offsets=document["audio_decoder.output.weight"]["data_offsets"]
        )
    ),
    "header-beyond": header(
        lambda document: document["audio_decoder.norm.weight"].update(data_offsets=[2**40, 2**40 + 128])
    ),
    "whole-numbers": shard(SECOND, lambda weights: weights.update({NORM: torch.ones(64, dtype=torch.int64)})),
    "left-over": shard(SECOND, lambda weights: weights.update({"audio_decoder.lora": torch.ones(1)})),
    "missing-weight": shard(SECOND, lambda weights: weights.pop(NORM)),
    "other-shape": shard(SECOND, lambda weights: weights.update({NORM: torch.ones(65)})),
    "in-both-shards": shard(FIRST, lambda weights: weights.update({NORM: torch.ones(64)})),
    "tokens-garbage": written("tokenizer.json", "garbage"),
    "tokens-deep": written("tokenizer.json", "[" * 10_000),
    "tokens-empty": written("tokenizer.json", "{}"),
    "tokens-large": enormous("tokenizer.json"),
    "tokens-none-added": tokens(lambda document: document.pop("added_tokens") and None),
    "tokens-a-number": tokens(lambda document: document.update(added_tokens=[1])),
    "tokens-no-codes": added(lambda those: those.__delitem__(slice(100, None))),
    "tokens-gap": added(lambda those: those[500].update(id=4400)),
    "tokens-beyond": added(lambda those: those[0].update(id=2**31)),
    "tokens-negative": added(lambda those: those[2].update(id=-1)),
    "tokens-no-end": added(lambda those: those.pop(2) and None),
    "tokens-pattern": tokens(
        lambda document: document["pre_tokenizer"]["pretokenizers"][0].update(pattern={"Regex": "("})
    ),
    "tokens-other-model": tokens(lambda document: document.update(model={"type": "Nothing"})),
    "tokens-vocabulary": tokens(lambda document: document["model"]["vocab"].update(a=2**31)),
}


@pytest.mark.engine
@pytest.mark.parametrize(("generation", "hostile"), [("S1", HOSTILE), ("S2", HOSTILE_S2)], ids=["S1", "S2"])
def test_a_strangers_checkpoint_is_refused_in_one_sentence_before_it_costs_anything(
    tmp_path: Path,
    fish_python: Path,
    tiny_checkpoints: Mapping[str, Path],
    generation: str,
    hostile: Mapping[str, Callable[[Path], None]],
) -> None:
    sound, folders = tiny_checkpoints[generation], []
    for name, change in hostile.items():
        folders.append(tmp_path / name)
        shutil.copytree(sound, folders[-1])
        change(folders[-1])
    found = in_fish(fish_python, "hostile_checkpoints.py", sound, *folders)
    assert found["answers"].pop(sound.name)["code"] is None, "nothing is wrong with what they were made of"
    for name, answer in found["answers"].items():
        assert answer["code"] == "checkpoint_unusable", (name, answer)
        assert "\n" not in answer["message"] and "weights_only" not in answer["message"], (name, answer)
        assert len(answer["message"]) < 500 + len(str(tmp_path)), (name, answer)
    assert found["peak_mb"] < 1_000
    assert not list(tmp_path.rglob("canary")) and not Path("canary").exists()


@pytest.mark.engine
def test_a_checkpoint_that_is_a_program_is_refused_by_the_worker(
    tmp_path: Path, fish_python: Path, tiny_checkpoint: Path
) -> None:
    shutil.copytree(tiny_checkpoint, tmp_path / "mine")
    torch.save({"weights": Program(tmp_path / "canary")}, tmp_path / "mine" / "model.pth")
    reference = ReferenceSpec("A", str(tmp_path / "a.wav"), "words", str(tmp_path / "a.npy"))
    task = EncodeTask(EngineSpec("fish", str(tmp_path / "mine")), (reference,))
    (tmp_path / "task.json").write_text(task_to_json(task), encoding="utf-8")
    command = worker_command(str(fish_python), threads=1)
    done = subprocess.run(
        [command.python, str(worker_program()), str(tmp_path / "task.json")],
        env=dict(command.environment),
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )
    error = json.loads(done.stdout)["error"]
    assert done.returncode == 1
    assert error["code"] == "checkpoint_unusable" and "may be a program" in error["message"]
    assert not (tmp_path / "canary").exists()


@pytest.mark.engine
def test_a_checkpoint_made_of_links_is_the_users_own_business(
    tmp_path: Path, fish_python: Path, tiny_checkpoint: Path
) -> None:
    (tmp_path / "links").mkdir()
    for path in tiny_checkpoint.iterdir():
        (tmp_path / "links" / path.name).symlink_to(path)
    found = in_fish(fish_python, "hostile_checkpoints.py", tmp_path / "links")
    assert found["answers"]["links"]["code"] is None


def test_a_network_is_only_ever_unpickled_as_weights(tmp_path: Path) -> None:
    """torch's own promise, on which the loaders of both environments rest."""
    content = io.BytesIO()
    torch.save(Program(tmp_path / "canary"), content)
    content.seek(0)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(content, weights_only=True)
    assert not (tmp_path / "canary").exists()


def array_that_promises(count: int) -> bytes:
    head = f"{{'descr': '<i8', 'fortran_order': False, 'shape': (10, {count}), }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head.encode() + bytes(800)


def test_codes_that_promise_more_than_there_is_are_refused(tmp_path: Path) -> None:
    for count in (100, 2**20, 2**40, 2**62, 2**70):
        (tmp_path / "codes.npy").write_bytes(array_that_promises(count))
        with pytest.raises(SegmentError) as caught:
            read_codes(str(tmp_path / "codes.npy"), 10)
        assert caught.value.code == "codes_unusable"
    with (tmp_path / "codes.npy").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(SegmentError, match="far too large"):
        read_codes(str(tmp_path / "codes.npy"), 10)


def test_codes_and_voices_are_no_programs(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    np.save(tmp_path / "codes.npy", np.array([Program(canary)], object), allow_pickle=True)
    with pytest.raises(SegmentError, match="cannot be read"):
        read_codes(str(tmp_path / "codes.npy"), 10)
    np.savez(tmp_path / "voice.npz", format=np.array([Program(canary)], object))
    (tmp_path / "pickle.npz").write_bytes(pickle.dumps(Program(canary)))
    for name in ("voice.npz", "pickle.npz"):
        with pytest.raises(SegmentError) as caught:
            read_voice(tmp_path / name, voice_table().names)
        assert caught.value.code == "voice_unreadable"
    assert not canary.exists()


def test_a_voice_that_unpacks_to_gigabytes_is_refused_packed(tmp_path: Path) -> None:
    members = {"frames.npy": bytes(100_000_000), "../../evil.npy": array_that_promises(1)}
    archive(tmp_path / "voice.npz", members)
    with pytest.raises(SegmentError, match="far too large"):
        read_voice(tmp_path / "voice.npz", voice_table().names)
    archive(tmp_path / "voice.npz", {"frames.npy": array_that_promises(2**50)})
    with pytest.raises(SegmentError) as caught:
        read_voice(tmp_path / "voice.npz", voice_table().names)
    assert caught.value.code == "voice_unreadable"
