"""Random weights for upstream's text model: each token of speech a draw that hangs on all before it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from voiceclone_worker.engines.fish.making.ending import KEY_GAIN, wire_ending

Filled = Callable[[int], None]
"""Told the number of bytes whenever a weight has been drawn."""

_VARIETY = 2.0
"""Standard deviation of the logits of speech: at the usual top_p some tens of tokens stay possible."""


def text_model_weights(
    folder: Path, config: Mapping[str, Any], dtype: torch.dtype, seed: int, filled: Filled
) -> dict[str, Tensor]:
    """The contents of ``model.pth``. ``folder`` must hold the tokenizer; ``config`` is config.json."""
    from fish_speech.tokenizer import IM_END_TOKEN, FishTokenizer

    tokenizer = FishTokenizer.from_pretrained(str(folder))
    random = torch.Generator().manual_seed(seed)
    weights = {}
    for name, shape in weight_shapes(tokenizer, config).items():
        weights[name] = _drawn(name, shape, config, dtype, random)
        filled(weights[name].nbytes)
    semantic = range(tokenizer.semantic_begin_id, tokenizer.semantic_end_id + 1)
    wire_ending(weights, config, tokenizer.get_token_id(IM_END_TOKEN), semantic)
    return weights


def weight_shapes(tokenizer: Any, config: Mapping[str, Any]) -> dict[str, torch.Size]:
    """Every weight of the model and its shape, from upstream's own class and without its memory."""
    from fish_speech.models.text2semantic.llama import DualARModelArgs, DualARTransformer

    with torch.device("meta"):
        model = DualARTransformer(DualARModelArgs(**config), tokenizer)
    return {name: weight.shape for name, weight in model.state_dict().items()}


def _drawn(
    name: str, shape: torch.Size, config: Mapping[str, Any], dtype: torch.dtype, random: torch.Generator
) -> Tensor:
    if len(shape) == 1:
        gain = KEY_GAIN if name.endswith(("q_norm.weight", "k_norm.weight")) else 1.0
        return torch.full(shape, gain, dtype=dtype)
    return torch.empty(shape, dtype=dtype).normal_(0.0, _deviation(name, shape, config), generator=random)


def _deviation(name: str, shape: torch.Size, config: Mapping[str, Any]) -> float:
    """Standard deviation of a matrix [out, in]. Products keep a variance of about 1, and all that the
    blocks add to the hidden state together weighs as much as the embeddings do."""
    blocks = 2 * config["n_fast_layer" if name.startswith("fast_") else "n_layer"]
    # The norms leave the random channels a standard deviation of about a half.
    reading = 2.0 / math.sqrt(shape[1])
    match name.rsplit(".", 2)[-2]:
        case "embeddings" | "codebook_embeddings" | "fast_embeddings":
            return 1.0
        case "wqkv" | "w1" | "w3":
            return reading
        case "wo":
            return 1.0 / math.sqrt(shape[1] * blocks)
        case "w2":
            return 1.0 / math.sqrt(0.36 * shape[1] * blocks)  # silu(x) has a mean square of 0.36
        case "output":
            return _VARIETY * 0.8 * reading
        case "fast_output":
            return _VARIETY / math.sqrt(shape[1])
        case part:
            raise ValueError(f"fish-speech has a weight that is not known here: {name} ({part})")
