"""Checkpoints, codes and voices from strangers."""

from __future__ import annotations

import base64
import io
import json
import os
import pickle
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

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


@pytest.mark.engine
def test_a_strangers_checkpoint_is_refused_in_one_sentence_before_it_costs_anything(
    tmp_path: Path, fish_python: Path, tiny_checkpoint: Path
) -> None:
    folders = []
    for name, change in HOSTILE.items():
        folders.append(tmp_path / name)
        shutil.copytree(tiny_checkpoint, folders[-1])
        change(folders[-1])
    found = in_fish(fish_python, "hostile_checkpoints.py", tiny_checkpoint, *folders)
    assert found["answers"].pop("tiny")["code"] is None, "nothing is wrong with what they were made of"
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
