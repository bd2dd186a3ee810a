"""The layout of fish-speech's checkpoints: their files, the sizes of their tensors, and how they are usually sampled.

Standard library only: the command reads it too, for which files there must be and how much memory a model takes.
"""

from __future__ import annotations

import json
import re
import struct
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from voiceclone_worker.engines.fish.configuration import CheckpointConfig

INDEX = "model.safetensors.index.json"
WHOLE = "model.safetensors"
"""All weights in one file, where there is no index."""

_MOST_INDEX_BYTES = 1 << 22
"""The index of s2-pro has 33 thousand."""
_MOST_SHARDS = 64


@dataclass(frozen=True)
class TransformerShape:
    """Sizes of one of the two transformers."""

    width: int
    layers: int
    heads: int
    key_heads: int
    """Each is shared by as many query heads."""
    head_size: int
    inner: int
    """Width of the feed-forward part."""
    norm_eps: float
    rope_base: float
    head_norms: bool
    """Whether queries and keys are normed."""
    qkv_bias: bool = False
    out_bias: bool = False


@dataclass(frozen=True)
class ModelShape:
    """Sizes of a model, and where the generations differ in what they compute."""

    slow: TransformerShape
    fast: TransformerShape
    vocabulary: int
    codebooks: int
    codebook_size: int
    window: int
    """Positions of a sequence."""
    tied_head: bool
    """Whether the head's matrix is that of the embeddings."""
    scaled_frames: bool
    """Whether the embedding of a frame is divided by the root of how many it is the sum of."""
    fast_reads_normed: bool
    """Whether the fast transformer is told the slow one's state after its last norm, or before."""


RESIDUAL_CODES = 1024
"""Values of a residual codebook's code, which the codec has; the models have as many as for the first codebook."""


def tensor_sizes(shape: ModelShape) -> dict[str, tuple[int, ...]]:
    """Return the size of each tensor of such a model, by its name in S1's model.pth."""
    slow, fast = shape.slow, shape.fast
    sizes: dict[str, tuple[int, ...]] = {
        "embeddings.weight": (shape.vocabulary, slow.width),
        "codebook_embeddings.weight": (shape.codebooks * shape.codebook_size, slow.width),
    }
    if not shape.tied_head:
        sizes["output.weight"] = (shape.vocabulary, slow.width)
    if fast.width != slow.width:
        sizes |= {"fast_project_in.weight": (fast.width, slow.width), "fast_project_in.bias": (fast.width,)}
    sizes |= {
        "norm.weight": (slow.width,),
        "fast_embeddings.weight": (shape.codebook_size, fast.width),
        "fast_output.weight": (shape.codebook_size, fast.width),
        "fast_norm.weight": (fast.width,),
    }
    for stack, side in (("layers", slow), ("fast_layers", fast)):
        block = block_sizes(side)
        for layer in range(side.layers):
            sizes |= {f"{stack}.{layer}.{name}": size for name, size in block.items()}
    return sizes


def block_sizes(side: TransformerShape) -> dict[str, tuple[int, ...]]:
    """Return the size of each tensor of a block, by its name in the block."""
    queries, keys = side.heads * side.head_size, side.key_heads * side.head_size
    sizes: dict[str, tuple[int, ...]] = {
        "attention_norm.weight": (side.width,),
        "ffn_norm.weight": (side.width,),
        "attention.wqkv.weight": (queries + 2 * keys, side.width),
        "attention.wo.weight": (side.width, queries),
        "feed_forward.w1.weight": (side.inner, side.width),
        "feed_forward.w3.weight": (side.inner, side.width),
        "feed_forward.w2.weight": (side.width, side.inner),
    }
    if side.head_norms:
        sizes |= {f"attention.{name}.weight": (side.head_size,) for name in ("q_norm", "k_norm")}
    if side.qkv_bias:
        sizes["attention.wqkv.bias"] = (queries + 2 * keys,)
    if side.out_bias:
        sizes["attention.wo.bias"] = (side.width,)
    return sizes


# The sizes that a config.json states


def _s1_shape(config: CheckpointConfig) -> ModelShape:
    width, heads = config.whole("dim"), config.whole("n_head")
    slow = TransformerShape(
        width=width,
        layers=config.whole("n_layer"),
        heads=heads,
        key_heads=_as_many(config.whole("n_local_heads", -1), heads),
        head_size=config.whole("head_dim", width // max(heads, 1)),
        inner=config.whole("intermediate_size"),
        norm_eps=config.number("norm_eps", 1e-5),
        rope_base=config.number("rope_base", 10_000.0),
        head_norms=config.flag("attention_qk_norm", False),
        qkv_bias=config.flag("attention_qkv_bias", False),
        out_bias=config.flag("attention_o_bias", False),
    )
    fast_heads = config.whole("fast_n_head", slow.heads)
    fast = TransformerShape(
        width=config.whole("fast_dim", slow.width),
        layers=config.whole("n_fast_layer", 4),
        heads=fast_heads,
        key_heads=_as_many(config.whole("fast_n_local_heads", slow.key_heads), fast_heads),
        head_size=config.whole("fast_head_dim", slow.head_size),
        inner=config.whole("fast_intermediate_size", slow.inner),
        norm_eps=slow.norm_eps,
        rope_base=slow.rope_base,
        head_norms=config.flag("fast_attention_qk_norm", slow.head_norms),
        qkv_bias=config.flag("fast_attention_qkv_bias", slow.qkv_bias),
        out_bias=config.flag("fast_attention_o_bias", slow.out_bias),
    )
    return ModelShape(
        slow=slow,
        fast=fast,
        vocabulary=config.whole("vocab_size"),
        codebooks=config.whole("num_codebooks"),
        codebook_size=config.whole("codebook_size"),
        window=config.whole("max_seq_len"),
        tied_head=config.flag("tie_word_embeddings", True),
        scaled_frames=config.flag("scale_codebook_embeddings", False),
        fast_reads_normed=False,
    )


def _as_many(key_heads: int, heads: int) -> int:
    return heads if key_heads == -1 else key_heads


def _s2_shape(config: CheckpointConfig) -> ModelShape:
    text, audio = config.part("text_config"), config.part("audio_decoder_config")
    slow, fast = _s2_side(text), _s2_side(audio)
    if audio.whole("text_dim", slow.width) != slow.width:
        raise ValueError("the text_dim of audio_decoder_config is not the dim of text_config")
    return ModelShape(
        slow=slow,
        fast=fast,
        vocabulary=text.whole("vocab_size"),
        codebooks=audio.whole("num_codebooks"),
        codebook_size=audio.whole("vocab_size"),
        window=text.whole("max_seq_len"),
        tied_head=text.flag("tie_word_embeddings", True),
        scaled_frames=True,
        fast_reads_normed=True,
    )


def _s2_side(config: CheckpointConfig) -> TransformerShape:
    if config.flag("use_moe", False):
        raise ValueError("it is a mixture of experts, which s2-pro is not")
    return TransformerShape(
        width=config.whole("dim"),
        layers=config.whole("n_layer"),
        heads=config.whole("n_head"),
        key_heads=config.whole("n_local_heads"),
        head_size=config.whole("head_dim"),
        inner=config.whole("intermediate_size"),
        norm_eps=config.number("norm_eps"),
        rope_base=config.number("rope_base"),
        head_norms=config.flag("attention_qk_norm"),
        qkv_bias=config.flag("attention_qkv_bias", False),
        out_bias=config.flag("attention_o_bias", False),
    )


# The generations


@dataclass(frozen=True)
class CheckpointLayout:
    """What the checkpoints of a generation have in common."""

    name: str
    model: str
    """Name of the published weights in the model registry."""
    model_type: str
    """In config.json."""
    files: tuple[str, ...]
    """Files besides those with the weights; config.json is the first."""
    sampling: Mapping[str, float]
    """Options of the engine where the user sets none."""
    shape: Callable[[CheckpointConfig], ModelShape]
    """Returns the sizes that a config.json states. Raises ValueError."""
    published: ModelShape
    """Sizes of the published weights."""


def _published_side(
    width: int, layers: int, heads: tuple[int, int], head_size: int, inner: int, *, head_norms: bool
) -> TransformerShape:
    return TransformerShape(width, layers, *heads, head_size, inner, 1e-6, 1e6, head_norms)


S1 = CheckpointLayout(
    "S1",
    "openaudio-s1-mini",
    "dual_ar",
    ("config.json", "tokenizer.tiktoken", "special_tokens.json", "codec.pth"),
    # fish-speech's own.
    MappingProxyType({"temperature": 0.7, "top_p": 0.7, "repetition_penalty": 1.2, "max_new_tokens": 1024}),
    _s1_shape,
    ModelShape(
        slow=_published_side(1024, 28, (16, 8), 128, 3072, head_norms=True),
        fast=_published_side(1024, 4, (16, 8), 64, 3072, head_norms=False),
        vocabulary=155776,
        codebooks=10,
        codebook_size=4096,
        window=8192,
        tied_head=False,
        scaled_frames=True,
        fast_reads_normed=False,
    ),
)
S2 = CheckpointLayout(
    "S2",
    "s2-pro",
    "fish_qwen3_omni",
    ("config.json", "tokenizer.json", "codec.pth"),
    # Those of upstream's server; its rule against repetition has no number to set.
    MappingProxyType({"temperature": 0.8, "top_p": 0.8, "max_new_tokens": 1024}),
    _s2_shape,
    ModelShape(
        slow=_published_side(2560, 36, (32, 8), 128, 9728, head_norms=True),
        fast=_published_side(2560, 4, (32, 8), 128, 9728, head_norms=False),
        vocabulary=155776,
        codebooks=10,
        codebook_size=4096,
        window=32768,
        tied_head=True,
        scaled_frames=True,
        fast_reads_normed=True,
    ),
)


def weight_files(folder: Path, layout: CheckpointLayout) -> tuple[str, ...]:
    """Return the names of the files with the weights; of S2 the index, and the shards that it names.

    Raises OSError, and ValueError for an index that names no files of the folder.
    """
    if layout is S1:
        return ("model.pth",)
    if (folder / INDEX).is_file():
        return (INDEX, *sorted(set(read_index(folder).values())))
    return (WHOLE,) if (folder / WHOLE).is_file() else (INDEX,)


def read_index(folder: Path) -> Mapping[str, str]:
    """Return the shard of each tensor. Raises ValueError, OSError."""
    size = (folder / INDEX).stat().st_size
    if size > _MOST_INDEX_BYTES:
        raise ValueError(f"{INDEX} has {size:,} bytes, more than {_MOST_INDEX_BYTES:,}")
    try:
        document: Any = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    table = document.get("weight_map") if isinstance(document, dict) else None
    if not isinstance(table, dict) or not table:
        raise ValueError("it has no weight_map")
    for shard in table.values():
        # A name in this folder, and no path out of it.
        if not isinstance(shard, str) or not re.fullmatch(r"[\w.-]{1,100}\.safetensors", shard, re.ASCII):
            raise ValueError(f"it names {shard!r:.60}, which is no file of weights in this folder")
    if len(set(table.values())) > _MOST_SHARDS:
        raise ValueError(f"it names {len(set(table.values()))} files, more than {_MOST_SHARDS}")
    return table


def bytes_of_stored(path: Path) -> int:
    """Return the bytes of a number in a file of weights, by its head. Raises OSError, ValueError, BadZipFile."""
    if path.suffix == ".safetensors":
        return _bytes_in_shard(path)
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith("data.pkl")]
        if not names:
            raise ValueError("it is no file of weights")
        # Its index names the type of its numbers.
        index = archive.read(names[0])
    return 2 if b"BFloat16Storage" in index or b"HalfStorage" in index else 4


def _bytes_in_shard(path: Path) -> int:
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else _MOST_INDEX_BYTES
        header = json.loads(file.read(length)) if length < _MOST_INDEX_BYTES else None
    if not isinstance(header, dict):
        raise ValueError(f"{path.name} is no file of weights")
    kinds = {str(tensor["dtype"]) for name, tensor in header.items() if name != "__metadata__"}
    return 2 if kinds <= {"BF16", "F16"} else 4
