"""Checkpoints of random weights in the exact layout of openaudio-s1-mini, for tests and measurements.

    python random_weights.py --tool make_checkpoint FOLDER SIZE SEED [SOURCE]

`python -m benchmarks.random_checkpoint` runs this in the fish environment's interpreter. Such a checkpoint replaces
the published one where that is not available: every file loads in fish-speech's own loaders, its codec converts speech
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
from typing import Any

if __name__ == "__main__":
    # In place of this folder, whose modules belong to the other environment.
    sys.path[0] = str(Path(__file__).resolve().parents[1] / "worker_env")

import torch
from torch import Tensor

from voiceclone_worker.engines.base import Emit, EngineError
from voiceclone_worker.engines.fish.checkpoint import open_upstream, published_codec
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
    "tie_word_embeddings": False,
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

    @property
    def config(self) -> dict[str, Any]:
        """Content of config.json, with upstream's keys only, since it refuses any other."""
        sizes = {"vocab_size": self.vocabulary, "codebook_size": self.semantic_tokens}
        return {**_COMMON, **sizes, **self.shape}


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


ABOUT = (
    "These weights are random. They were generated to try and to measure the engine, and they speak no "
    "words: what comes out is a murmur as long as the text would take."
)
_README = f"""{ABOUT}

Made by `python -m benchmarks.random_checkpoint`, in the layout of openaudio-s1-mini, size {{size}}, seed {{seed}}.
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
    model_parameters = _model_parameters(folder, config)
    parts = {"model.pth": model_parameters * dtype.itemsize, "codec.pth": _bytes_of(codec.state_dict())}
    require_space(folder, sum(parts.values()))

    meter = _Meter(emit, 2 * sum(parts.values()))  # each byte is drawn, then written
    drawing: dict[str, Callable[[], dict[str, Tensor]]] = {
        "model.pth": lambda: text_model_weights(folder, config, dtype, seed, meter.add),
        "codec.pth": lambda: codec_weights(codec, seed, meter.add),
    }
    for name, draw in drawing.items():
        meter.begin(f"drawing {name}")
        weights = draw()
        meter.begin(f"writing {name}")
        _save(weights, folder / name)
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
    from fish_speech.tokenizer import ALL_SPECIAL_TOKENS
    from omegaconf import OmegaConf

    plain = [token for token in ALL_SPECIAL_TOKENS if not token.startswith("<|semantic:")]
    semantic = [f"<|semantic:{number}|>" for number in range(size.semantic_tokens)]
    write_vocabulary(folder, [*plain, *semantic], size.vocabulary)
    _write_json(folder / "config.json", size.config)
    OmegaConf.save(OmegaConf.create(dict(codec_configuration)), folder / "codec.yaml")
    (folder / "README.txt").write_text(_README.format(size=size.name, seed=seed), encoding="utf-8")
    _write_json(folder / "generated.json", {"size": size.name, "seed": seed, "about": ABOUT})


def _write_json(path: Path, document: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", encoding="utf-8", newline="\n")


def _model_parameters(folder: Path, config: Mapping[str, Any]) -> int:
    from fish_speech.tokenizer import FishTokenizer

    shapes = weight_shapes(FishTokenizer.from_pretrained(str(folder)), config)
    return sum(math.prod(shape) for shape in shapes.values())


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


def _save(weights: Mapping[str, Tensor], path: Path) -> None:
    try:
        torch.save(dict(weights), path)
    # torch wraps errors of the file system in a RuntimeError.
    except (OSError, RuntimeError) as error:
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
    folder: Path, config: Mapping[str, Any], dtype: torch.dtype, seed: int, filled: Filled
) -> dict[str, Tensor]:
    """Return the content of ``model.pth``. ``folder`` has the tokenizer; ``config`` is config.json."""
    from fish_speech.tokenizer import IM_END_TOKEN, FishTokenizer

    tokenizer = FishTokenizer.from_pretrained(str(folder))
    random = torch.Generator().manual_seed(seed)
    weights = {}
    for name, shape in weight_shapes(tokenizer, config).items():
        weights[name] = _drawn_text(name, shape, config, dtype, random)
        filled(weights[name].nbytes)
    semantic = range(tokenizer.semantic_begin_id, tokenizer.semantic_end_id + 1)
    wire_ending(weights, config, tokenizer.get_token_id(IM_END_TOKEN), semantic)
    return weights


def weight_shapes(tokenizer: Any, config: Mapping[str, Any]) -> dict[str, torch.Size]:
    """Return the shape of every weight of the model, from upstream's class, without allocating it."""
    from fish_speech.models.text2semantic.llama import DualARModelArgs, DualARTransformer

    with torch.device("meta"):
        model = DualARTransformer(DualARModelArgs(**config), tokenizer)
    return {name: weight.shape for name, weight in model.state_dict().items()}


def _drawn_text(
    name: str, shape: torch.Size, config: Mapping[str, Any], dtype: torch.dtype, random: torch.Generator
) -> Tensor:
    if len(shape) == 1:
        gain = KEY_GAIN if name.endswith(("q_norm.weight", "k_norm.weight")) else 1.0
        return torch.full(shape, gain, dtype=dtype)
    return torch.empty(shape, dtype=dtype).normal_(0.0, _deviation(name, shape, config), generator=random)


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


# Hand-set weights with which the length of a generated line follows its text.
#
# All other weights are random, so without these a line would run to its limit, or end anywhere; the engine and the
# mixing need speech whose length follows the text. A few channels of the hidden state, which the random weights neither
# read nor write, have a small circuit:
#
# - the embeddings mark every position: ``TEXT``, ``FRAME`` (a semantic token) or ``END`` (the end of
#   the reference);
# - a head of the first layer looks for ``END``. Positions behind it find it, and are marked ``CURRENT``:
#   they belong to the current line, not to the reference;
# - a head of the second layer looks at all ``CURRENT`` positions alike and takes the mean of what they
#   weigh: a token of text minus 1.3 frames, a generated frame plus one. This ``BALANCE`` crosses zero when
#   there are enough frames for the text, whatever its length;
# - the row of the end token in the output turns it into a logit that climbs over those of all semantic
#   tokens there.
#
# A head finds its positions by the sign of its keys: the norm that this model applies to queries and
# keys leaves of a single component nothing but its sign. The component belongs to the slowest pair of
# the rotary embedding, which hardly turns over the longest prompt.

CONSTANT, TEXT, FRAME, END, CURRENT, BALANCE = range(6)
RESERVED = 6
"""Channels of the hidden state, from the first, that belong to the circuit. All but the balance are 0 or the square
root of the width, beside random channels of variance 1."""

KEY_GAIN = 2.0
"""Weight of the norms of queries and keys: positions that a head looks for then weigh e^32 times the
others, or more."""

# What a position weighs in the balance, in tenths of a frame. Whole numbers below 128, so that bf16
# and int8 hold them exactly. Each line begins with the 13 bytes of `<|speaker:0|>`, which count as
# text; END takes 12.7 frames off again, so that a line has 4.2 frames beyond those of its text.
_TENTHS = {TEXT: -13.0, FRAME: 10.0, END: 127.0}

_BALANCE_SCALE = 0.04
"""Keeps the balance, which runs from -13 to 10, below the other channels."""

_LEVEL = 8.0
"""Logit of the end token at a balance of zero: about the highest of the semantic tokens."""

_SLOPE = 30.0
"""How steeply it climbs with the balance: lines end within a few frames in a hundred of their length."""

_NEVER = -60.0
"""Logit of every token that is neither speech nor the end."""

# Root mean square of a hidden state, which the norms divide by: the random channels give 1, what all
# random blocks add another 1 by the end, and each channel that is set 1.
_RMS_FIRST, _RMS_SECOND, _RMS_LAST = math.sqrt(3), math.sqrt(4), math.sqrt(5)


def wire_ending(weights: Mapping[str, Tensor], config: Mapping[str, Any], end: int, semantic: range) -> None:
    """Set the circuit into the random weights of a text model, in place.

    ``weights`` are named as in model.pth and ``config`` is config.json, of two layers or more; ``end``
    and ``semantic`` are the ids of the end token and of the semantic tokens.
    """
    _keep_apart(weights)
    _mark_positions(weights, config, end, semantic)
    _mark_current(weights, config)
    _weigh(weights, config)
    _speak_or_end(weights, config, end, semantic)


def _keep_apart(weights: Mapping[str, Tensor]) -> None:
    """Keep random weights from reading and writing the reserved channels."""
    for name, weight in weights.items():
        if name.endswith(("wqkv.weight", "w1.weight", "w3.weight", "output.weight")):
            weight[:, :RESERVED] = 0
        elif name.endswith(("wo.weight", "w2.weight")):
            weight[:RESERVED] = 0
        elif name.endswith("embeddings.weight"):
            weight[:, :RESERVED] = 0


def _mark_positions(
    weights: Mapping[str, Tensor], config: Mapping[str, Any], end: int, semantic: range
) -> None:
    unit = math.sqrt(config["dim"])
    embeddings = weights["embeddings.weight"]
    embeddings[:, CONSTANT] = unit
    embeddings[:, TEXT] = unit
    embeddings[end, TEXT], embeddings[end, END] = 0, unit
    frames = embeddings[semantic.start : semantic.stop]
    # At these positions the model divides by this, once the codebooks' embeddings are added.
    scale = math.sqrt(config["num_codebooks"] + 1)
    frames[:, CONSTANT], frames[:, TEXT], frames[:, FRAME] = scale * unit, 0, scale * unit


def _mark_current(weights: Mapping[str, Tensor], config: Mapping[str, Any]) -> None:
    """Make CURRENT one unit behind the end of the reference.

    Before it all keys have the wrong sign: the head then looks everywhere, and finds no END.
    """
    value = _set_head(weights, config, layer=0, channel=END)
    value[END] = 1.0
    weights["layers.0.attention.wo.weight"][CURRENT, 0] = _RMS_FIRST


def _weigh(weights: Mapping[str, Tensor], config: Mapping[str, Any]) -> None:
    value = _set_head(weights, config, layer=1, channel=CURRENT)
    for channel, tenths in _TENTHS.items():
        value[channel] = tenths
    weights["layers.1.attention.wo.weight"][BALANCE, 0] = _BALANCE_SCALE * _RMS_SECOND


def _set_head(
    weights: Mapping[str, Tensor], config: Mapping[str, Any], *, layer: int, channel: int
) -> Tensor:
    """Make the first head look at the positions where ``channel`` is set, all alike.

    Returns the row of weights [dim] of the head's first value, zero; its other values stay zero.
    """
    width, queries, keys = config["head_dim"], config["n_head"], config["n_local_heads"]
    wqkv = weights[f"layers.{layer}.attention.wqkv.weight"]
    query, key, value = (wqkv[first * width : (first + 1) * width] for first in (0, queries, queries + keys))
    for rows in (query, key, value):
        rows[:] = 0
    slowest = width - 2
    query[slowest, CONSTANT] = 1.0
    key[slowest, channel], key[slowest, CONSTANT] = 2.0, -1.0
    return value[0]


def _speak_or_end(
    weights: Mapping[str, Tensor], config: Mapping[str, Any], end: int, semantic: range
) -> None:
    unit = math.sqrt(config["dim"])
    output = weights["output.weight"]
    output[:, CONSTANT] = _NEVER * _RMS_LAST / unit
    output[semantic.start : semantic.stop, CONSTANT] = 0
    output[end] = 0
    output[end, CONSTANT] = _LEVEL * _RMS_LAST / unit
    output[end, BALANCE] = _SLOPE * _RMS_LAST / (_BALANCE_SCALE * unit)


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
