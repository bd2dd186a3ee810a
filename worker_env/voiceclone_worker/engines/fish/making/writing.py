"""All files of a generated checkpoint, written into a folder."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from voiceclone_worker.engines.base import Emit, EngineError
from voiceclone_worker.engines.fish.making.codec import codec_config, codec_weights, empty_codec
from voiceclone_worker.engines.fish.making.sizes import Size
from voiceclone_worker.engines.fish.making.text_model import text_model_weights, weight_shapes
from voiceclone_worker.engines.fish.making.vocabulary import write_vocabulary

ABOUT = (
    "These weights are random. They were generated to try and to measure the engine, and they speak no "
    "words: what comes out is a murmur as long as the text would take."
)
_README = f"""{ABOUT}

Made by `voiceclone checkpoint make`, in the layout of openaudio-s1-mini, size {{size}}, seed {{seed}}.
Nothing here was trained, and nothing comes from the published weights.
"""
_SPARE_BYTES = 16_000_000
"""Left free on the disk beyond the weights: for the small files, and for others."""


def make_checkpoint(folder: Path, size: Size, seed: int, emit: Emit) -> dict[str, Any]:
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
    """Says what is done, a hundredth of it at a time."""

    def __init__(self, emit: Emit, total: int) -> None:
        self._emit, self._total = emit, total
        self._done = self._said = 0
        self._note = ""

    def begin(self, note: str) -> None:
        self._note = note
        self._say()

    def add(self, size: int) -> None:
        self._done += size
        if self._done - self._said >= self._total / 100:
            self._say()

    def _say(self) -> None:
        self._said = self._done
        self._emit("making", completed=self._done, total=self._total, note=self._note)


def _write_small_files(folder: Path, size: Size, codec_configuration: Mapping[str, Any], seed: int) -> None:
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
    # torch says what the file system said as a RuntimeError.
    except (OSError, RuntimeError) as error:
        raise _unwritable(path.parent, error) from error


def _unwritable(folder: Path, error: Exception) -> EngineError:
    said = getattr(error, "strerror", None) or str(error).splitlines()[0]
    return EngineError(
        "checkpoint_unwritable",
        f"the checkpoint cannot be written to {folder.parent} ({said}): check its free space and permissions",
    )
