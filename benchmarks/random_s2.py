"""The layout of s2-pro, for checkpoints of random weights: config.json, tokenizer.json, and shards with an index.

Runs in the fish environment (see random_weights.py). The tokenizer has a token for each byte, and no merges.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from benchmarks.random_ending import EndingTokens
from voiceclone_worker.engines.fish.layout import S2, ModelShape


def flat_sizes(shape: ModelShape) -> dict[str, int]:
    """Return the sizes of both transformers as upstream's class takes them."""
    sides = {"": shape.slow, "fast_": shape.fast}
    sizes = {
        f"{prefix}{name}": size
        for prefix, side in sides.items()
        for name, size in (
            ("dim", side.width),
            ("n_head", side.heads),
            ("n_local_heads", side.key_heads),
            ("head_dim", side.head_size),
            ("intermediate_size", side.inner),
        )
    }
    layers = {"n_layer": shape.slow.layers, "n_fast_layer": shape.fast.layers}
    return {**sizes, **layers, "max_seq_len": shape.window}


def _shape(
    *,
    dim: int,
    layers: int,
    fast_layers: int,
    heads: int,
    key_heads: int,
    head_dim: int,
    inner: int,
    window: int,
) -> dict[str, int]:
    """Return a shape in which, as published, the fast transformer is as wide as the slow one."""
    side = {"n_head": heads, "n_local_heads": key_heads, "head_dim": head_dim, "intermediate_size": inner}
    side["dim"] = dim
    fast = {f"fast_{name}": size for name, size in side.items()}
    return {**side, **fast, "n_layer": layers, "n_fast_layer": fast_layers, "max_seq_len": window}


S2_SHAPES: Mapping[str, Mapping[str, int]] = {
    "s2-tiny": _shape(
        dim=64, layers=2, fast_layers=2, heads=4, key_heads=2, head_dim=32, inner=192, window=4096
    ),
    "s2-small": _shape(
        dim=1024, layers=12, fast_layers=4, heads=16, key_heads=4, head_dim=128, inner=3840, window=4096
    ),
    "s2-pro": flat_sizes(S2.published),
}
"""Two fast layers or more, so that what the first one reads shows in the others."""

_CONTROL = (
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|pad|>", "<|phoneme_start|>", "<|phoneme_end|>"),
    *("<|text|>", "<|voice|>", "<|interleave|>", "<|audio_start|>", "<|audio_end|>", "<|audio_pad|>"),
)
_BYTES = 256

S2_VOCABULARY = 4416
"""Tokens of the smaller sizes: bytes, control tokens and 4,096 codes, rounded up to a multiple of 64."""

_PIECES = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)
"""How Qwen cuts a text."""

_SHARDS = 2


def token_ids(codes: int) -> dict[str, int]:
    """Return the id of every control token and code."""
    names = (*_CONTROL, *(f"<|semantic:{code}|>" for code in range(codes)))
    return {name: number for number, name in enumerate(names, _BYTES)}


def s2_ending_tokens(codes: int) -> EndingTokens:
    """Return what the ending circuit marks of a prompt of S2.

    Beside its text, a line has 30 bytes of text, two ``<|im_end|>`` and a ``<|voice|>``: three ends of 11.6 frames
    take back 34.8 of the 39 frames of those bytes.
    """
    ids = token_ids(codes)
    end, first = ids["<|im_end|>"], ids["<|semantic:0|>"]
    ends = (end, ids["<|voice|>"])
    return EndingTokens(end, range(first, first + codes), ends, (ids["<|im_start|>"],), 116.0)


def write_s2_files(folder: Path, config: Mapping[str, Any]) -> None:
    """Write config.json and tokenizer.json; ``config`` is what upstream's class takes."""
    ids = token_ids(config["codebook_size"])
    _write_json(folder / "config.json", _nested(config, ids))
    _write_json(folder / "tokenizer.json", _tokenizer(ids))


def _write_json(path: Path, document: Mapping[str, Any]) -> None:
    text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    path.write_text(text, encoding="utf-8", newline="\n")


def _nested(config: Mapping[str, Any], ids: Mapping[str, int]) -> dict[str, Any]:
    def side(prefix: str) -> dict[str, Any]:
        own = ("dim", "n_head", "n_local_heads", "head_dim", "intermediate_size")
        flags = ("attention_qk_norm", "attention_qkv_bias", "attention_o_bias")
        part = {name: config[f"{prefix}{name}"] for name in (*own, *flags)}
        return {**part, "norm_eps": config["norm_eps"], "rope_base": config["rope_base"], "use_moe": False}

    codes = config["codebook_size"]
    return {
        "model_type": "fish_qwen3_omni",
        "dtype": "bfloat16",
        "eos_token_id": ids["<|im_end|>"],
        "pad_token_id": ids["<|pad|>"],
        "audio_pad_token_id": ids["<|audio_pad|>"],
        "semantic_start_token_id": ids["<|semantic:0|>"],
        "semantic_end_token_id": ids[f"<|semantic:{codes - 1}|>"],
        "text_config": {
            **side(""),
            "model_type": "fish_qwen3",
            "n_layer": config["n_layer"],
            "vocab_size": config["vocab_size"],
            "max_seq_len": config["max_seq_len"],
            "tie_word_embeddings": True,
        },
        "audio_decoder_config": {
            **side("fast_"),
            "model_type": "fish_qwen3_audio_decoder",
            "n_layer": config["n_fast_layer"],
            "vocab_size": codes,
            "max_seq_len": config["num_codebooks"] + 1,
            "num_codebooks": config["num_codebooks"],
            "text_dim": config["dim"],
            "tie_word_embeddings": False,
        },
    }


def _tokenizer(ids: Mapping[str, int]) -> dict[str, Any]:
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    whole = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    pieces = {"type": "Split", "pattern": {"Regex": _PIECES}, "behavior": "Isolated", "invert": False}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": number, "content": name, **plain} for name, number in ids.items()],
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [pieces, whole]},
        "post_processor": whole,
        "decoder": whole,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {letter: byte for byte, letter in _letters().items()},
            "merges": [],
        },
    }


def _letters() -> dict[int, str]:
    """Return the letter that stands for each byte in byte-level BPE: itself where it can be seen."""
    seen = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(_BYTES) if byte not in seen]
    return {byte: chr(byte) for byte in seen} | {byte: chr(256 + n) for n, byte in enumerate(hidden)}


def save_shards(weights: dict[str, Tensor], path: Path) -> None:
    """Write ``weights``, named as in S1's model.pth, as two shards and their index beside ``path``, which names them.

    ``weights`` is empty afterwards. Raises OSError, SafetensorError.
    """
    total = sum(weight.nbytes for weight in weights.values())
    table: dict[str, str] = {}
    for number in range(1, _SHARDS + 1):
        name = f"{path.stem}-{number:05}-of-{_SHARDS:05}{path.suffix}"
        shard: dict[str, Tensor] = {}
        size = 0
        while weights and (number == _SHARDS or size < total / _SHARDS):
            key = next(iter(weights))
            shard[_published(key)] = weights.pop(key)
            size += shard[_published(key)].nbytes
        save_file(shard, path.with_name(name), metadata={"format": "pt"})
        path.with_name(name).chmod(0o644)  # as the other files are; safetensors lets only the owner read
        table |= dict.fromkeys(shard, name)
    _write_json(
        path.with_name(f"{path.name}.index.json"), {"metadata": {"total_size": total}, "weight_map": table}
    )


def _published(name: str) -> str:
    """Return what s2-pro calls a weight of S1's model.pth."""
    if name.startswith("codebook_embeddings."):
        return f"audio_decoder.{name}"
    fast = name.removeprefix("fast_")
    return f"text_model.model.{name}" if fast == name else f"audio_decoder.{fast}"
