"""A checkpoint in the layout of openaudio-s1-mini, loaded into upstream's own modules.

Upstream's loaders initialise every weight before they overwrite it, want a project root, register
global resolvers and refuse keys they do not know; the files themselves are plain.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from voiceclone_worker.engines.base import EngineError

REQUIRED_FILES = ("config.json", "model.pth", "tokenizer.tiktoken", "special_tokens.json", "codec.pth")


def missing_files(folder: Path) -> list[str]:
    """Which files of a checkpoint are not in ``folder``."""
    return [name for name in REQUIRED_FILES if not (folder / name).is_file()]


def check(folder: Path) -> None:
    """Raises EngineError ``checkpoint_incomplete``, naming what is missing."""
    missing = missing_files(folder)
    if missing:
        raise EngineError(
            "checkpoint_incomplete",
            f"the checkpoint {folder} lacks {', '.join(missing)}; it must hold {', '.join(REQUIRED_FILES)}",
        )


def load_model(folder: Path, device: torch.device, dtype: torch.dtype) -> Any:
    """Upstream's DualARTransformer with the checkpoint's weights and tokenizer, without caches.

    On the CPU and in the precision of the file, weights stay mapped from it: workers on one machine
    then share them. Raises EngineError ``checkpoint_incomplete``, ``checkpoint_unusable``.
    """
    check(folder)
    from fish_speech.models.text2semantic.llama import DualARModelArgs, DualARTransformer
    from fish_speech.tokenizer import FishTokenizer

    with _told_plainly(folder, "model.pth"):
        tokenizer = FishTokenizer.from_pretrained(str(folder))
        with _uninitialised():
            model = DualARTransformer(DualARModelArgs(**_config(folder, DualARModelArgs)), tokenizer)
        weights = _weights(folder / "model.pth")
        weights = {key.removeprefix("model."): value for key, value in weights.items()}
        missing = model.load_state_dict(weights, strict=False, assign=True).missing_keys
        if missing:
            raise ValueError(f"model.pth lacks {len(missing)} weights, {missing[0]} for one")
        model = model.to(device=device, dtype=dtype)
    return model.eval().requires_grad_(False)


def load_codec(folder: Path, device: torch.device) -> Any:
    """Upstream's DAC, float32. The configuration is ``codec.yaml`` of the checkpoint where there is
    one, else the published one that fish-speech ships. Raises EngineError as ``load_model`` does."""
    check(folder)
    import fish_speech
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    with _told_plainly(folder, "codec.pth"):
        own = folder / "codec.yaml"
        shipped = Path(next(iter(fish_speech.__path__))) / "configs" / "modded_dac_vq.yaml"
        with _uninitialised(), warnings.catch_warnings():
            # descript-audio-codec still uses the weight norm that torch has renamed.
            warnings.simplefilter("ignore", FutureWarning)
            codec = instantiate(OmegaConf.load(own if own.is_file() else shipped))
        weights = _weights(folder / "codec.pth")
        if any("generator." in key for key in weights):
            weights = {k.replace("generator.", ""): v for k, v in weights.items() if "generator." in k}
        missing = codec.load_state_dict(weights, strict=False, assign=True).missing_keys
        # Tables of positions and masks are made on construction; files may carry them or not.
        lost = [key for key in missing if not key.endswith(("freqs_cis", "causal_mask"))]
        if lost:
            raise ValueError(f"codec.pth lacks {len(lost)} weights, {lost[0]} for one")
        codec = codec.to(device=device, dtype=torch.float32)
    return codec.eval().requires_grad_(False)


def _config(folder: Path, arguments: Any) -> dict[str, Any]:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if config.get("model_type") != "dual_ar":
        raise ValueError(f"config.json is of model_type {config.get('model_type')!r}, not 'dual_ar'")
    known = {field.name for field in dataclasses.fields(arguments)}
    return {key: value for key, value in config.items() if key in known}


def _weights(path: Path) -> Mapping[str, torch.Tensor]:
    weights = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    loaded: Mapping[str, torch.Tensor] = weights.get("state_dict", weights)
    return loaded


@contextlib.contextmanager
def _uninitialised() -> Iterator[None]:
    """Modules made here keep what memory they were given: their weights are assigned right after.

    torch's constructors and upstream's own ``_init_weights`` fill in place; with 870 million
    parameters that takes longer than reading the file.
    """
    names = ("normal_", "uniform_", "trunc_normal_", "kaiming_uniform_", "xavier_uniform_")
    kept = {name: getattr(torch.nn.init, name) for name in names}
    tensor_normal = torch.Tensor.normal_

    def leave(tensor: torch.Tensor, *arguments: Any, **named: Any) -> torch.Tensor:
        return tensor

    for name in names:
        setattr(torch.nn.init, name, leave)
    torch.Tensor.normal_ = leave  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        for name, function in kept.items():
            setattr(torch.nn.init, name, function)
        torch.Tensor.normal_ = tensor_normal  # type: ignore[method-assign]


@contextlib.contextmanager
def _told_plainly(folder: Path, name: str) -> Iterator[None]:
    try:
        yield
    except EngineError:
        raise
    except Exception as error:
        text = " ".join(str(error).split())[:300]
        raise EngineError(
            "checkpoint_unusable",
            f"{name} of the checkpoint {folder} cannot be loaded ({text}); fetch or make it again",
        ) from error
