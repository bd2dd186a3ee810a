"""The tensors of a model of a few numbers, named as in S1's model.pth."""

from __future__ import annotations

import torch

from voiceclone_worker.engines.fish.weights import ModelShape, SpeechTokens, TransformerShape

CPU = torch.device("cpu")
CODEBOOKS, CODES, VOCABULARY, WIDTH = 3, 16, 30, 8
TOKENS = SpeechTokens(begin=10, last=25, end=5)

_SIDE = TransformerShape(
    width=WIDTH,
    layers=2,
    heads=2,
    key_heads=1,
    head_size=4,
    inner=6,
    norm_eps=1e-6,
    rope_base=10_000.0,
    head_norms=True,
)
SHAPE = ModelShape(
    slow=_SIDE,
    fast=_SIDE,
    vocabulary=VOCABULARY,
    codebooks=CODEBOOKS,
    codebook_size=CODES,
    window=64,
    tied_head=False,
    scaled_frames=True,
    fast_reads_normed=False,
)


def tensors(shape: ModelShape = SHAPE) -> dict[str, torch.Tensor]:
    """Return random weights of ``shape``."""
    random = torch.Generator().manual_seed(0)
    return {name: torch.randn(size, generator=random) for name, size in _sizes(shape).items()}


def _sizes(shape: ModelShape) -> dict[str, tuple[int, ...]]:
    slow, fast = shape.slow.width, shape.fast.width
    sizes: dict[str, tuple[int, ...]] = {
        "embeddings.weight": (shape.vocabulary, slow),
        "codebook_embeddings.weight": (shape.codebooks * shape.codebook_size, slow),
        "fast_embeddings.weight": (shape.codebook_size, fast),
        "fast_output.weight": (shape.codebook_size, fast),
        "norm.weight": (slow,),
        "fast_norm.weight": (fast,),
    }
    if not shape.tied_head:
        sizes["output.weight"] = (shape.vocabulary, slow)
    for prefix, side in (("layers", shape.slow), ("fast_layers", shape.fast)):
        for layer in range(side.layers):
            sizes |= {f"{prefix}.{layer}.{name}": size for name, size in _block(side).items()}
    return sizes


def _block(side: TransformerShape) -> dict[str, tuple[int, ...]]:
    queries, keys = side.heads * side.head_size, side.key_heads * side.head_size
    sizes: dict[str, tuple[int, ...]] = {
        "attention.wqkv.weight": (queries + 2 * keys, side.width),
        "attention.wo.weight": (side.width, queries),
        "feed_forward.w1.weight": (side.inner, side.width),
        "feed_forward.w2.weight": (side.width, side.inner),
        "feed_forward.w3.weight": (side.inner, side.width),
        "attention_norm.weight": (side.width,),
        "ffn_norm.weight": (side.width,),
    }
    if side.head_norms:
        sizes |= {f"attention.{name}.weight": (side.head_size,) for name in ("q_norm", "k_norm")}
    return sizes
