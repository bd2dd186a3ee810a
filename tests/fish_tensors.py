"""The tensors of a model of a few numbers, named as in S1's model.pth."""

from __future__ import annotations

import torch

from voiceclone_worker.engines.fish.layout import ModelShape, TransformerShape, tensor_sizes
from voiceclone_worker.engines.fish.weights import SpeechTokens

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
    return {name: torch.randn(size, generator=random) for name, size in tensor_sizes(shape).items()}
