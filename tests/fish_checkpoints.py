"""Folders with the files of fish's checkpoints and checkouts: what is recognised by its form, without any weights."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from voiceclone_cli.files import file_sha256
from voiceclone_cli.models import registry

S1_FILES = ("config.json", "model.pth", "tokenizer.tiktoken", "special_tokens.json", "codec.pth")
S2_INDEX = "model.safetensors.index.json"
S2_SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
S2_FILES = ("config.json", S2_INDEX, *S2_SHARDS, "tokenizer.json", "codec.pth")

_SIDE = {
    "n_layer": 2,
    "dim": 64,
    "n_head": 4,
    "n_local_heads": 2,
    "head_dim": 16,
    "intermediate_size": 96,
    "norm_eps": 1e-6,
    "rope_base": 1e6,
    "attention_qk_norm": False,
}
S2_SIZES = {**_SIDE, "vocab_size": 300, "max_seq_len": 2048}
"""Those of a small text model; keys and values of a position are 2 x 2 x 2 x 16 numbers."""
S2_AUDIO_SIZES = {**_SIDE, "vocab_size": 64, "num_codebooks": 3}
S1_SIZES = {
    "dim": 64,
    "n_head": 4,
    "n_local_heads": 2,
    "n_layer": 2,
    "intermediate_size": 96,
    "n_fast_layer": 2,
    "vocab_size": 300,
    "num_codebooks": 3,
    "codebook_size": 64,
    "max_seq_len": 2048,
}


def make_s1(folder: Path, *, without: Sequence[str] = (), **config: Any) -> Path:
    """Write the files of a checkpoint of the S1 generation; whether its weights load is the engine's to find out."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in S1_FILES:
        if name not in without:
            (folder / name).write_bytes(b"weights " * 20)
    if "config.json" not in without:
        content = json.dumps({"model_type": "dual_ar", **S1_SIZES, **config})
        (folder / "config.json").write_text(content, encoding="utf-8")
    return folder


def make_s2(folder: Path, *, without: Sequence[str] = (), numbers: int = 1000) -> Path:
    """Write the files of a checkpoint of the S2 generation: two shards with ``numbers`` bf16 numbers each."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "model_type": "fish_qwen3_omni",
        "text_config": S2_SIZES,
        "audio_decoder_config": S2_AUDIO_SIZES,
    }
    index = {
        "metadata": {"total_size": 4 * numbers},
        "weight_map": {
            "text_model.model.embeddings.weight": S2_SHARDS[0],
            "text_model.model.norm.weight": S2_SHARDS[0],
            "audio_decoder.output.weight": S2_SHARDS[1],
        },
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / S2_INDEX).write_text(json.dumps(index), encoding="utf-8")
    for name in S2_SHARDS:
        write_shard(folder / name, {"some.weight": (numbers,)})
    for name in ("tokenizer.json", "codec.pth"):
        (folder / name).write_bytes(b"not read " * 20)
    for name in without:
        (folder / name).unlink()
    return folder


def write_shard(path: Path, shapes: Mapping[str, Sequence[int]]) -> None:
    """Write a file of safetensors with bf16 zeros: the length of a header, the header, the numbers."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape in shapes.items():
        start, end = end, end + 2 * _product(shape)
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(end))


def register(monkeypatch: pytest.MonkeyPatch, *folders: Path) -> None:
    """Let the model registry publish the files of these folders, under the names of the folders."""

    def published(entry: registry.ModelEntry, folder: Path) -> registry.ModelEntry:
        paths = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
        files = (registry.ModelFile(path.name, file_sha256(path), path.stat().st_size) for path in paths)
        return replace(entry, files=tuple(files))

    found = {folder.name: folder for folder in folders}
    entries = (
        published(entry, found[entry.name]) if entry.name in found else entry for entry in registry.ENTRIES
    )
    monkeypatch.setattr(registry, "ENTRIES", tuple(entries))


def make_checkout(folder: Path, *, is_s2: bool = False) -> Path:
    """Write what a checkout of fish-speech is recognised by; its code does nothing."""
    for path in ("text2semantic/llama.py", "dac/modded_dac.py"):
        file = folder / "fish_speech" / "models" / path
        file.parent.mkdir(parents=True)
        file.write_text("# fish_qwen3_omni\n" if is_s2 else "", encoding="utf-8")
    return folder


def _product(shape: Sequence[int]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count
