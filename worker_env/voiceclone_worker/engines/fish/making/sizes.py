"""The sizes of generated checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_COMMON: Mapping[str, Any] = {
    "model_type": "dual_ar",
    "num_codebooks": 10,
    "rope_base": 1000000,
    "norm_eps": 1e-6,
    "dropout": 0.0,
    "attention_qk_norm": True,
    "attention_qkv_bias": False,
    "attention_o_bias": False,
    "fast_attention_qk_norm": False,
    "fast_attention_qkv_bias": False,
    "fast_attention_o_bias": False,
    "initializer_range": 0.02,
    "is_reward_model": False,
    "scale_codebook_embeddings": True,
    "tie_word_embeddings": False,
    "use_gradient_checkpointing": False,
}


@dataclass(frozen=True)
class CodecShape:
    """How far the published codec is cut down. Channels are those of the encoder's first filter."""

    channels: int
    encoder_layers: int
    quantizer_layers: int
    semantic_tokens: int


@dataclass(frozen=True)
class Size:
    """``vocabulary`` counts every token; ``published_codec`` stands where ``codec`` is None."""

    name: str
    vocabulary: int
    semantic_tokens: int
    weights: str
    """Data type of model.pth, as torch names it."""
    shape: Mapping[str, int]
    codec: CodecShape | None

    @property
    def config(self) -> dict[str, Any]:
        """What stands in config.json: only what upstream knows, since it refuses any other key."""
        sizes = {"vocab_size": self.vocabulary, "codebook_size": self.semantic_tokens}
        return {**_COMMON, **sizes, **self.shape}


def _shape(
    *, dim: int, layers: int, fast_layers: int, heads: int, head_dim: int, fast_head_dim: int, window: int
) -> dict[str, int]:
    """As published, two heads share a key, and the feed-forward part is three times as wide."""
    return {
        "dim": dim,
        "n_layer": layers,
        "n_head": heads,
        "n_local_heads": heads // 2,
        "head_dim": head_dim,
        "intermediate_size": 3 * dim,
        "max_seq_len": window,
        "n_fast_layer": fast_layers,
        "fast_dim": dim,
        "fast_n_head": heads,
        "fast_n_local_heads": heads // 2,
        "fast_head_dim": fast_head_dim,
        "fast_intermediate_size": 3 * dim,
    }


# Upstream takes prompts of at most the window less 2048 positions.
SIZES: Mapping[str, Size] = {
    size.name: size
    for size in (
        Size(
            name="tiny",
            vocabulary=256 + 15 + 1024,
            semantic_tokens=1024,
            weights="float32",
            shape=_shape(
                dim=64, layers=2, fast_layers=1, heads=4, head_dim=16, fast_head_dim=16, window=4096
            ),
            codec=CodecShape(channels=4, encoder_layers=1, quantizer_layers=1, semantic_tokens=1024),
        ),
        Size(
            name="small",
            vocabulary=256 + 15 + 4096,
            semantic_tokens=4096,
            weights="float32",
            shape=_shape(
                dim=384, layers=8, fast_layers=2, heads=6, head_dim=64, fast_head_dim=64, window=4096
            ),
            codec=CodecShape(channels=16, encoder_layers=1, quantizer_layers=2, semantic_tokens=4096),
        ),
        Size(
            name="s1-mini",
            vocabulary=155776,
            semantic_tokens=4096,
            weights="bfloat16",
            shape=_shape(
                dim=1024, layers=28, fast_layers=4, heads=16, head_dim=128, fast_head_dim=64, window=8192
            ),
            codec=None,
        ),
    )
}
