"""A checkpoint in the layout of openaudio-s1-mini, loaded into upstream's own modules.

Upstream's loaders initialise every weight before they overwrite it, want a project root, register
global resolvers and refuse keys they do not know; the files themselves are plain.
"""

from __future__ import annotations

import contextlib
import pickle
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch.nn.modules.module import register_module_parameter_registration_hook

from voiceclone_worker.engines.base import EngineError
from voiceclone_worker.engines.fish.configuration import check_sizes, codec_plan, model_arguments

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

    with _told_plainly(folder, "config.json"):
        check_sizes(folder, "config.json")
        arguments = DualARModelArgs(**model_arguments(folder, DualARModelArgs))
    with _told_plainly(folder, "the tokenizer (tokenizer.tiktoken, special_tokens.json)"):
        check_sizes(folder, "tokenizer.tiktoken", "special_tokens.json")
        tokenizer = FishTokenizer.from_pretrained(str(folder))
        _check_tokens(tokenizer, arguments.vocab_size)
    with _told_plainly(folder, "model.pth"):
        weights = _weights(folder / "model.pth")
        model = _built(lambda: DualARTransformer(arguments, tokenizer), folder / "model.pth")
        weights = {key.removeprefix("model."): value for key, value in weights.items()}
        missing = model.load_state_dict(weights, strict=False, assign=True).missing_keys
        if missing:
            raise ValueError(f"it lacks {len(missing)} weights, {missing[0]} for one")
        model = model.to(device=device, dtype=dtype)
    return model.eval().requires_grad_(False)


def load_codec(folder: Path, device: torch.device) -> Any:
    """Upstream's DAC, float32. Raises EngineError as ``load_model`` does."""
    check(folder)
    from hydra.utils import instantiate

    with _told_plainly(folder, "codec.yaml"):
        plan = codec_plan(folder)
    with _told_plainly(folder, "codec.pth"):
        weights = _weights(folder / "codec.pth")
        codec = _built(lambda: instantiate(plan), folder / "codec.pth")
        if any("generator." in key for key in weights):
            weights = {k.replace("generator.", ""): v for k, v in weights.items() if "generator." in k}
        missing = codec.load_state_dict(weights, strict=False, assign=True).missing_keys
        # Tables of positions and masks are made on construction; files may carry them or not.
        lost = [key for key in missing if not key.endswith(("freqs_cis", "causal_mask"))]
        if lost:
            raise ValueError(f"it lacks {len(lost)} weights, {lost[0]} for one")
        codec = codec.to(device=device, dtype=torch.float32)
    return codec.eval().requires_grad_(False)


def _check_tokens(tokenizer: Any, vocabulary: int) -> None:
    for name, token in (
        ("<|im_end|>", tokenizer.get_token_id("<|im_end|>")),
        ("the last code", tokenizer.semantic_end_id),
    ):
        if not 0 <= token < vocabulary:
            raise ValueError(f"{name} is token {token} of {vocabulary}")


def _built(build: Callable[[], Any], weights: Path) -> Any:
    """What ``build`` makes of torch's modules, as long as the file ``weights`` can fill it.

    Memory that was asked for is not taken before it is written to; so a configuration that asks for
    more than the file holds is met as soon as it does. A weight takes two bytes at least, and is seen
    twice at most (where its norm is kept apart). Raises ValueError.
    """
    room = weights.stat().st_size

    def count(module: torch.nn.Module, name: str, parameter: torch.nn.Parameter | None) -> None:
        nonlocal room
        room -= 0 if parameter is None else parameter.numel()
        if room < 0:
            raise ValueError("its configuration asks for more weights than the file can hold")

    counting = register_module_parameter_registration_hook(count)
    try:
        with _uninitialised(), warnings.catch_warnings():
            # descript-audio-codec still uses the weight norm that torch has renamed.
            warnings.simplefilter("ignore", FutureWarning)
            return build()
    finally:
        counting.remove()


def _weights(path: Path) -> Mapping[str, torch.Tensor]:
    # A file of torch.save is a zip archive, whose end says what is in it.
    if not zipfile.is_zipfile(path):
        raise ValueError("it is no file of weights, or the beginning of one")
    try:
        content = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    except pickle.UnpicklingError as error:
        # torch's own words tell how to run such a file all the same.
        raise ValueError("it holds other things than weights, which may be a program") from error
    weights = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(weights, dict) or not all(isinstance(each, torch.Tensor) for each in weights.values()):
        raise ValueError("it holds no table of weights")
    return weights


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
    except BaseException as error:
        # The tokenizer's library is written in Rust, whose panics are no Exceptions.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        plain = isinstance(error, (ValueError, RuntimeError, OSError))
        text = " ".join((str(error) if plain else f"{type(error).__name__}: {error}").split())[:300]
        raise EngineError(
            "checkpoint_unusable",
            f"{name} of the checkpoint {folder} cannot be loaded ({text}); fetch or make it again",
        ) from error
