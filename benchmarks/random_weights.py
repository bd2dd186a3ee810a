"""Checkpoints of random weights in the exact layouts of openaudio-s1-mini and s2-pro, for tests and measurements.

    python random_weights.py --tool make_checkpoint FOLDER SIZE SEED [SOURCE]

`python -m benchmarks.random_checkpoint` runs this in the fish environment's interpreter. Such a checkpoint replaces
the published one where that is not available: the weights load in fish-speech's own class, its codec converts speech
to codes and back, and the length of its speech follows the text, with another sound for each reference and seed.
"""

from __future__ import annotations

import base64
import json
import math
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

if __name__ == "__main__":
    # In place of this folder, whose modules belong to the other environment.
    root = Path(__file__).resolve().parents[1]
    sys.path[:1] = [str(root / "worker_env"), str(root)]

import torch
from safetensors import SafetensorError
from torch import Tensor

from benchmarks.random_ending import KEY_GAIN, EndingTokens, wire_ending
from benchmarks.random_s2 import (
    S2_SHAPES,
    S2_VOCABULARY,
    flat_sizes,
    s2_ending_tokens,
    save_shards,
    write_s2_files,
)
from voiceclone_worker.engines.base import Emit, EngineError
from voiceclone_worker.engines.fish.checkpoint import open_upstream, published_codec
from voiceclone_worker.engines.fish.layout import S1, S2
from voiceclone_worker.runtime import Channel, exit_with_parent
from voiceclone_worker.telemetry import refuse_telemetry
from voiceclone_worker.tools import run_tool

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
    "use_gradient_checkpointing": False,
}


@dataclass(frozen=True)
class CodecShape:
    """Reduced sizes of the published codec; ``channels`` are those of the encoder's first filter."""

    channels: int
    encoder_layers: int
    quantizer_layers: int
    semantic_tokens: int


@dataclass(frozen=True)
class CheckpointSize:
    """Sizes of a checkpoint; ``vocabulary`` counts every token, and ``codec`` None is the published codec."""

    name: str
    vocabulary: int
    semantic_tokens: int
    weights: str
    """Data type of model.pth, as torch names it."""
    shape: Mapping[str, int]
    codec: CodecShape | None
    s2: bool = False
    """Whether it is of the S2 generation: tied embeddings, norms that differ, shards of safetensors."""

    @property
    def config(self) -> dict[str, Any]:
        """What upstream's class takes, and no other key, since it refuses any: the content of S1's config.json."""
        sizes = {"vocab_size": self.vocabulary, "codebook_size": self.semantic_tokens}
        return {**_COMMON, "tie_word_embeddings": self.s2, **sizes, **self.shape}


def _shape(
    *, dim: int, layers: int, fast_layers: int, heads: int, head_dim: int, fast_head_dim: int, window: int
) -> dict[str, int]:
    """Return a shape in which, as published, two heads share a key and the feed-forward part is three times as wide."""
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
SIZES: Mapping[str, CheckpointSize] = {
    size.name: size
    for size in (
        CheckpointSize(
            name="tiny",
            vocabulary=256 + 15 + 1024,
            semantic_tokens=1024,
            weights="float32",
            shape=_shape(
                dim=64, layers=2, fast_layers=1, heads=4, head_dim=16, fast_head_dim=16, window=4096
            ),
            codec=CodecShape(channels=4, encoder_layers=1, quantizer_layers=1, semantic_tokens=1024),
        ),
        CheckpointSize(
            name="small",
            vocabulary=256 + 15 + 4096,
            semantic_tokens=4096,
            weights="float32",
            shape=_shape(
                dim=384, layers=8, fast_layers=2, heads=6, head_dim=64, fast_head_dim=64, window=4096
            ),
            codec=CodecShape(channels=16, encoder_layers=1, quantizer_layers=2, semantic_tokens=4096),
        ),
        CheckpointSize(
            name="s1-mini",
            vocabulary=S1.published.vocabulary,
            semantic_tokens=S1.published.codebook_size,
            weights="bfloat16",
            shape=flat_sizes(S1.published),
            codec=None,
        ),
        *(
            CheckpointSize(
                name=name,
                vocabulary=S2_VOCABULARY if name != "s2-pro" else S2.published.vocabulary,
                semantic_tokens=4096,
                weights="bfloat16",
                shape=shape,
                codec=codec,
                s2=True,
            )
            for (name, shape), codec in zip(
                S2_SHAPES.items(),
                (
                    CodecShape(channels=4, encoder_layers=1, quantizer_layers=1, semantic_tokens=4096),
                    CodecShape(channels=16, encoder_layers=1, quantizer_layers=2, semantic_tokens=4096),
                    None,
                ),
                strict=True,
            )
        ),
    )
}


ABOUT = (
    "These weights are random. They were generated to try and to measure the engine, and they speak no "
    "words: what comes out is a murmur as long as the text would take."
)
_README = f"""{ABOUT}

Made by `python -m benchmarks.random_checkpoint`, in the layout of {{layout}}, size {{size}}, seed {{seed}}.
Nothing here was trained, and nothing comes from the published weights.
"""
_SPARE_BYTES = 16_000_000
"""Left free on the disk beyond the weights: for the small files, and for others."""


def make_checkpoint(folder: Path, size: CheckpointSize, seed: int, emit: Emit) -> dict[str, Any]:
    """Write every file of a checkpoint into ``folder``, which exists and is empty.

    Emits ``making`` (completed, total: bytes; note) as it goes. ``open_upstream`` comes first. Returns
    ``model_parameters``, ``codec_parameters`` and ``bytes`` (of all files). Raises EngineError
    ``disk_full``, ``checkpoint_unwritable``.
    """
    config = size.config
    dtype: torch.dtype = getattr(torch, size.weights)
    codec_configuration = codec_config(size.codec)
    try:
        _write_small_files(folder, size, codec_configuration, seed)
    except OSError as error:
        raise _unwritable(folder, error) from error
    codec = empty_codec(codec_configuration)
    shapes = weight_shapes(config)
    model_parameters = sum(math.prod(shape) for shape in shapes.values())
    model_name = "model.safetensors" if size.s2 else "model.pth"
    parts = {model_name: model_parameters * dtype.itemsize, "codec.pth": _bytes_of(codec.state_dict())}
    require_space(folder, sum(parts.values()))

    meter = _Meter(emit, 2 * sum(parts.values()))  # each byte is drawn, then written
    drawing: dict[str, Callable[[], dict[str, Tensor]]] = {
        model_name: lambda: text_model_weights(
            shapes, config, dtype, seed, _ending_tokens(folder, size), meter.add
        ),
        "codec.pth": lambda: codec_weights(codec, seed, meter.add),
    }
    for name, draw in drawing.items():
        meter.begin(f"drawing {name}")
        weights = draw()
        meter.begin(f"writing {name}")
        save = save_shards if name == "model.safetensors" else torch.save
        _save(save, weights, folder / name)
        meter.add(parts[name])
        del weights  # of the published size, each takes two gigabytes
    return {
        "model_parameters": model_parameters,
        "codec_parameters": sum(parameter.numel() for parameter in codec.parameters()),
        "bytes": sum(path.stat().st_size for path in folder.iterdir()),
    }


class _Meter:
    """Progress events, one for each hundredth of the work."""

    def __init__(self, emit: Emit, total: int) -> None:
        self._emit, self._total = emit, total
        self._done = self._emitted = 0
        self._note = ""

    def begin(self, note: str) -> None:
        self._note = note
        self._emit_progress()

    def add(self, size: int) -> None:
        self._done += size
        if self._done - self._emitted >= self._total / 100:
            self._emit_progress()

    def _emit_progress(self) -> None:
        self._emitted = self._done
        self._emit("making", completed=self._done, total=self._total, note=self._note)


def _write_small_files(
    folder: Path, size: CheckpointSize, codec_configuration: Mapping[str, Any], seed: int
) -> None:
    from omegaconf import OmegaConf

    write_tokenizer(folder, size)
    OmegaConf.save(OmegaConf.create(dict(codec_configuration)), folder / "codec.yaml")
    (folder / "README.txt").write_text(
        _README.format(layout="s2-pro" if size.s2 else "openaudio-s1-mini", size=size.name, seed=seed),
        encoding="utf-8",
    )
    _write_json(folder / "generated.json", {"size": size.name, "seed": seed, "about": ABOUT})


def write_tokenizer(folder: Path, size: CheckpointSize) -> None:
    """Write config.json, and the files of the tokenizer."""
    if size.s2:
        write_s2_files(folder, size.config)
        return
    from fish_speech.tokenizer import ALL_SPECIAL_TOKENS

    plain = [token for token in ALL_SPECIAL_TOKENS if not token.startswith("<|semantic:")]
    semantic = [f"<|semantic:{number}|>" for number in range(size.semantic_tokens)]
    write_vocabulary(folder, [*plain, *semantic], size.vocabulary)
    _write_json(folder / "config.json", size.config)


def _ending_tokens(folder: Path, size: CheckpointSize) -> EndingTokens:
    if size.s2:
        return s2_ending_tokens(size.semantic_tokens)
    ids = json.loads((folder / "special_tokens.json").read_text(encoding="utf-8"))
    end, first = ids["<|im_end|>"], ids["<|semantic:0|>"]
    # A line begins with the 13 bytes of `<|speaker:0|>`, which count as text.
    return EndingTokens(end, range(first, first + size.semantic_tokens), (end,), (), 127.0)


def _write_json(path: Path, document: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", encoding="utf-8", newline="\n")


def _bytes_of(weights: Mapping[str, Tensor]) -> int:
    return sum(weight.numel() * weight.dtype.itemsize for weight in weights.values())


def require_space(folder: Path, needed: int) -> None:
    """Raise EngineError ``disk_full`` when fewer than ``needed`` bytes, and some to spare, are free there."""
    free = shutil.disk_usage(folder).free
    if free < needed + _SPARE_BYTES:
        raise EngineError(
            "disk_full",
            f"the checkpoint takes {needed / 1e6:.0f} MB and {free / 1e6:.0f} MB are free in {folder.parent}: make "
            "room there, or name a folder on another disk",
        )


def _save(save: Callable[[dict[str, Tensor], Path], None], weights: dict[str, Tensor], path: Path) -> None:
    try:
        save(weights, path)
    # torch wraps errors of the file system in a RuntimeError, safetensors in one of its own.
    except (OSError, RuntimeError, SafetensorError) as error:
        raise _unwritable(path.parent, error) from error


def _unwritable(folder: Path, error: Exception) -> EngineError:
    reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
    return EngineError(
        "checkpoint_unwritable",
        f"the checkpoint cannot be written to {folder.parent} ({reason}): check its free space and permissions",
    )


BYTES = 256


def write_vocabulary(folder: Path, special: Sequence[str], size: int) -> None:
    """Write ``tokenizer.tiktoken`` and ``special_tokens.json`` with ``size`` tokens in all.

    ``special`` has the last ids, in its order. The ids between the bytes and those are byte sequences that do not occur
    in a text, so that each byte of a text is one token.
    """
    fillers = size - BYTES - len(special)
    if fillers < 0:
        raise ValueError(f"{size} tokens are too few for {BYTES} bytes and {len(special)} special tokens")
    ranks = [bytes([byte]) for byte in range(BYTES)]
    ranks += [b"\x00\x01" + number.to_bytes(4, "big") for number in range(fillers)]
    lines = (f"{base64.b64encode(token).decode('ascii')} {rank}\n" for rank, token in enumerate(ranks))
    (folder / "tokenizer.tiktoken").write_text("".join(lines), encoding="ascii", newline="\n")
    ids = {token: len(ranks) + index for index, token in enumerate(special)}
    text = json.dumps(ids, indent=1) + "\n"
    (folder / "special_tokens.json").write_text(text, encoding="utf-8", newline="\n")


Filled = Callable[[int], None]
"""Called with the number of bytes of each weight that has been drawn."""

_VARIETY = 2.0
"""Standard deviation of the logits of speech: at the usual top_p some tens of tokens stay possible."""


def text_model_weights(
    shapes: Mapping[str, torch.Size],
    config: Mapping[str, Any],
    dtype: torch.dtype,
    seed: int,
    tokens: EndingTokens,
    filled: Filled,
) -> dict[str, Tensor]:
    """Return the weights of both transformers, of ``weight_shapes``, by the names of ``model.pth``."""
    random = torch.Generator().manual_seed(seed)
    weights = {}
    for name, shape in shapes.items():
        weights[name] = _drawn_text(name, shape, config, dtype, random)
        filled(weights[name].nbytes)
    wire_ending(weights, config, tokens)
    return weights


def weight_shapes(config: Mapping[str, Any]) -> dict[str, torch.Size]:
    """Return the shape of every weight of the model, from upstream's class, without allocating it."""
    from fish_speech.models.text2semantic.llama import DualARModelArgs, DualARTransformer

    with torch.device("meta"):
        model = DualARTransformer(DualARModelArgs(**config), SimpleNamespace(semantic_id_to_token_id={}))
    return {name: weight.shape for name, weight in model.state_dict().items()}


def _drawn_text(
    name: str, shape: torch.Size, config: Mapping[str, Any], dtype: torch.dtype, random: torch.Generator
) -> Tensor:
    if len(shape) > 1:
        return torch.empty(shape, dtype=dtype).normal_(0.0, _deviation(name, shape, config), generator=random)
    gain = KEY_GAIN if name.endswith(("q_norm.weight", "k_norm.weight")) else 1.0
    if not config["tie_word_embeddings"]:
        return torch.full(shape, gain, dtype=dtype)
    # Gains of 1 would hide a norm that is left out.
    return (gain * (1 + 0.3 * torch.randn(shape, generator=random))).to(dtype)


def _deviation(name: str, shape: torch.Size, config: Mapping[str, Any]) -> float:
    """Return the standard deviation of a matrix [out, in].

    Products keep a variance of about 1, and the sum of what the blocks add to the hidden state is as large as the
    embeddings.
    """
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


_HEAD_WIDTH = 64
_REFERENCE_STEPS = 4096
"""Context of the smaller codecs: 47 s of sound at 86 steps a second."""

_RESIDUAL = 0.3
"""What each of the many residual units adds, relative to its input."""

_SNAKE = 4.0
"""The activation is x + sin(ax)^2 / a: the larger a, the smaller its offset."""

_LAST_GAIN = 0.25
"""Of the last filter: the output is then about as loud as speech."""


def codec_config(shape: CodecShape | None) -> dict[str, Any]:
    """Return the content of ``codec.yaml``: the published codec, reduced to ``shape``."""
    from omegaconf import OmegaConf

    config: Any = OmegaConf.to_container(OmegaConf.load(published_codec()))
    if shape is not None:
        _reduce(config, shape)
    return dict(config)


def _reduce(config: dict[str, Any], shape: CodecShape) -> None:
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
    """Return upstream's codec with shapes only, without memory."""
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    with torch.device("meta"):
        return instantiate(OmegaConf.create(dict(config)))


def codec_weights(codec: Any, seed: int, filled: Filled) -> dict[str, Tensor]:
    """Return the content of ``codec.pth`` for an empty codec: float32, named and with tables as in the published file."""
    random = torch.Generator().manual_seed(seed)
    weights = {}
    for name, shape in ((name, weight.shape) for name, weight in codec.state_dict().items()):
        module, _, part = name.rpartition(".")
        if part in ("freqs_cis", "causal_mask"):
            drawn = _table(part, codec.get_submodule(module).config)
        else:
            drawn = _drawn_codec(name, part, shape, random)
        weights[f"generator.{name}"] = drawn
        filled(drawn.nbytes)
    last = f"generator.decoder.model.{len(codec.decoder_rates) + 2}.conv.parametrizations.weight"
    weights[f"{last}.original0"].fill_(_LAST_GAIN)
    # Offsets of the activations are not sound: taps with a sum of zero suppress them.
    taps = weights[f"{last}.original1"]
    taps -= taps.mean(-1, keepdim=True)
    return weights


def _table(part: str, config: Any) -> Tensor:
    from fish_speech.models.dac.modded_dac import precompute_freqs_cis

    if part == "causal_mask":
        return torch.ones(config.block_size, config.block_size, dtype=torch.bool).tril_()
    table: Tensor = precompute_freqs_cis(config.block_size, config.head_dim, config.rope_base)
    return table


def _drawn_codec(name: str, part: str, shape: torch.Size, random: torch.Generator) -> Tensor:
    match part:
        case "bias":
            return torch.zeros(shape)
        case "alpha":
            return torch.full(shape, _SNAKE)
        case "gamma":
            return torch.full(shape, _RESIDUAL)
        case "weight_g" | "original0":  # the gain of a filter; its direction is drawn separately
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


def make(arguments: Sequence[str], emit: Emit) -> dict[str, Any]:
    """Make a checkpoint: ``FOLDER SIZE SEED [SOURCE]``.

    An empty folder, a name of ``SIZES``, a whole number, and a checkout of fish-speech to use instead of the
    installed package. Raises EngineError: ``checkpoint_usage``, and what ``open_upstream`` and ``make_checkpoint``
    raise.
    """
    match list(arguments):
        case [name, size, seed, *source] if size in SIZES and seed.isdecimal() and len(source) < 2:
            folder = Path(name)
            if not folder.is_dir() or any(folder.iterdir()):
                raise EngineError("checkpoint_usage", f"{folder} must be an empty folder")
            open_upstream("".join(source))
            return make_checkpoint(folder, SIZES[size], int(seed), emit)
    raise EngineError("checkpoint_usage", f"say: FOLDER {'|'.join(SIZES)} SEED [SOURCE]")


if __name__ == "__main__":
    refuse_telemetry()
    exit_with_parent(serving=False)
    raise SystemExit(run_tool(sys.argv[2:], Channel(), {"make_checkpoint": make}))
