"""A model of random weights for tests of the fish engine's decoding, without a checkpoint."""

from __future__ import annotations

import torch
from torch import Tensor

from voiceclone_worker.engines.fish.layout import ModelShape, TransformerShape, tensor_sizes
from voiceclone_worker.engines.fish.weights import SpeechTokens, Weights, read_weights

TEXTS = 40
"""Tokens of text; the end is the last of them, and the codes follow."""
CODES = 1024
CODEBOOKS = 4
END = TEXTS - 1
WINDOW = 1024
WIDTH = 32


def random_weights(dtype: torch.dtype = torch.float32, *, seed: int = 0) -> Weights:
    """Weights with which a line ends after some tens of frames, by chance."""
    slow = TransformerShape(WIDTH, 2, 4, 2, 8, 48, norm_eps=1e-6, rope_base=10_000.0, head_norms=True)
    fast = TransformerShape(WIDTH, 2, 4, 2, 8, 48, norm_eps=1e-6, rope_base=10_000.0, head_norms=False)
    shape = ModelShape(
        slow=slow,
        fast=fast,
        vocabulary=TEXTS + CODES,
        codebooks=CODEBOOKS,
        codebook_size=CODES,
        window=WINDOW,
        tied_head=False,
        scaled_frames=True,
        fast_reads_normed=False,
    )
    random = torch.Generator().manual_seed(seed)
    tensors = {
        name: torch.randn(size, generator=random) / (1.0 if "embeddings" in name else size[-1] ** 0.5)
        for name, size in tensor_sizes(shape).items()
    }
    for name in tensors:
        if name.endswith("norm.weight"):
            tensors[name] = 1 + 0.2 * torch.randn(tensors[name].shape, generator=random)
    tensors["output.weight"] *= 2
    # About as likely as each of the codes within the nucleus.
    tensors["output.weight"][END] *= 2.6
    tokens = SpeechTokens(TEXTS, TEXTS + CODES - 1, END)
    return read_weights(tensors, 1 << 30, shape, tokens, torch.device("cpu"), dtype)


def prompt(length: int, *, seed: int, frames: bool = False) -> Tensor:
    """A prompt of random text, or of random frames."""
    random = torch.Generator().manual_seed(seed)
    tokens = torch.zeros(CODEBOOKS + 1, length, dtype=torch.long)
    tokens[0] = torch.randint(0, END, (length,), generator=random)
    if frames:
        tokens[1:] = torch.randint(0, CODES, (CODEBOOKS, length), generator=random)
        tokens[0] = TEXTS + tokens[1]
    return tokens
