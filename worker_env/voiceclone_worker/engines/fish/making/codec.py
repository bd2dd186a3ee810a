"""Random weights for upstream's codec: its codes follow the speech, and its speech is a murmur."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from voiceclone_worker.engines.fish.configuration import published_codec
from voiceclone_worker.engines.fish.making.sizes import CodecShape
from voiceclone_worker.engines.fish.making.text_model import Filled

_HEAD_WIDTH = 64
_REFERENCE_STEPS = 4096
"""How far the smaller codecs look: 47 s of sound at 86 steps a second."""

_RESIDUAL = 0.3
"""What each of the many residual units adds, as a part of what it is given."""

_SNAKE = 4.0
"""The activation is x + sin(ax)^2 / a: the larger a, the less of it is a mere offset."""

_LAST_GAIN = 0.25
"""Of the last filter: makes the murmur about as loud as speech."""


def codec_config(shape: CodecShape | None) -> dict[str, Any]:
    """What stands in ``codec.yaml``: the published codec, as fish-speech ships it, cut down to ``shape``."""
    from omegaconf import OmegaConf

    config: Any = OmegaConf.to_container(OmegaConf.load(published_codec()))
    if shape is not None:
        _cut_down(config, shape)
    return dict(config)


def _cut_down(config: dict[str, Any], shape: CodecShape) -> None:
    latent = 2 ** len(config["encoder_rates"]) * shape.channels
    config["encoder_dim"] = shape.channels
    config["decoder_dim"] = latent
    config["encoder_transformer_layers"] = [0, 0, 0, shape.encoder_layers]
    config["decoder_transformer_layers"] = [0, 0, 0, 0]
    config["transformer_general_config"]["block_size"] = _REFERENCE_STEPS
    quantizer = config["quantizer"]
    quantizer["input_dim"] = latent
    quantizer["semantic_codebook_size"] = shape.semantic_tokens
    for name in ("pre_module", "post_module"):
        inner = {**quantizer[name]["config"], "block_size": _REFERENCE_STEPS // 4}
        inner |= {"n_layer": shape.quantizer_layers, "n_head": latent // _HEAD_WIDTH}
        inner |= {"dim": latent, "intermediate_size": 3 * latent}
        quantizer[name] = {**quantizer[name], "input_dim": latent, "config": inner}


def empty_codec(config: Mapping[str, Any]) -> Any:
    """Upstream's codec without its memory: shapes only."""
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    with torch.device("meta"):
        return instantiate(OmegaConf.create(dict(config)))


def codec_weights(codec: Any, seed: int, filled: Filled) -> dict[str, Tensor]:
    """The contents of ``codec.pth`` for an empty codec: float32, named as in the published file, with
    the tables of positions that it holds too."""
    random = torch.Generator().manual_seed(seed)
    weights = {}
    for name, shape in ((name, weight.shape) for name, weight in codec.state_dict().items()):
        module, _, part = name.rpartition(".")
        if part in ("freqs_cis", "causal_mask"):
            drawn = _table(part, codec.get_submodule(module).config)
        else:
            drawn = _drawn(name, part, shape, random)
        weights[f"generator.{name}"] = drawn
        filled(drawn.nbytes)
    last = f"generator.decoder.model.{len(codec.decoder_rates) + 2}.conv.parametrizations.weight"
    weights[f"{last}.original0"].fill_(_LAST_GAIN)
    # The offsets that the activations leave are no sound: taps that cancel each other pass none of them.
    taps = weights[f"{last}.original1"]
    taps -= taps.mean(-1, keepdim=True)
    return weights


def _table(part: str, config: Any) -> Tensor:
    from fish_speech.models.dac.modded_dac import precompute_freqs_cis

    if part == "causal_mask":
        return torch.ones(config.block_size, config.block_size, dtype=torch.bool).tril_()
    table: Tensor = precompute_freqs_cis(config.block_size, config.head_dim, config.rope_base)
    return table


def _drawn(name: str, part: str, shape: torch.Size, random: torch.Generator) -> Tensor:
    match part:
        case "bias":
            return torch.zeros(shape)
        case "alpha":
            return torch.full(shape, _SNAKE)
        case "gamma":
            return torch.full(shape, _RESIDUAL)
        case "weight_g" | "original0":  # the gain of a filter whose direction is drawn apart
            return torch.full(shape, _RESIDUAL if ".block.3.conv." in name else 1.0)
        case "weight_v" | "original1":
            return torch.empty(shape).normal_(generator=random)
        case "weight" if len(shape) == 1:
            return torch.ones(shape)
        case "weight":
            deviation = 1.0 if name.endswith("codebook.weight") else 1 / math.sqrt(math.prod(shape[1:]))
            return torch.empty(shape).normal_(0.0, deviation, generator=random)
        case _:
            raise ValueError(f"fish-speech has a weight that is not known here: {name}")
