"""The codec of a checkpoint, loaded into upstream's own modules; device and precision.

Upstream's loaders initialise every weight before they overwrite it, need a project root, register global resolvers and
refuse unknown keys; the files themselves are plain. A checkpoint may come from a stranger: its codec is only built when
the weights beside its configuration can fill it, and ``codec.yaml``, which names classes, may only name those of the
published codec.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import pickle
import sys
import types
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch.nn.modules.module import register_module_parameter_registration_hook

from voiceclone_worker.engines.base import EngineError
from voiceclone_worker.engines.fish.configuration import check_value, leaves
from voiceclone_worker.engines.fish.transformer import int8_works

PRECISIONS = {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16, "int8": torch.bfloat16}
"""Precisions, and the type of their activations; int8 concerns the weights only."""

WORKER_VARIABLE = "VOICECLONE_WORKER"
"""Number of the worker in its pool, from 1; the workers are spread over the GPUs by it."""

_CLASSES = frozenset(
    {
        "fish_speech.models.dac.modded_dac.DAC",
        "fish_speech.models.dac.modded_dac.ModelArgs",
        "fish_speech.models.dac.modded_dac.WindowLimitedTransformer",
        "fish_speech.models.dac.rvq.DownsampleResidualVectorQuantize",
    }
)
_RATES = (8_000, 192_000)
"""Hz."""
_DEEPEST = 20
"""Levels of codec.yaml; the published one has five. Reading takes the square of them."""
_MOST_BYTES = {
    "codec.yaml": 1 << 16,
    "special_tokens.json": 1 << 24,
    "tokenizer.json": 1 << 26,
    "tokenizer.tiktoken": 1 << 26,
}


def check_sizes(folder: Path, *names: str) -> None:
    """Check that files are not far too large to be what their names say. Raises ValueError, OSError."""
    for name in names:
        size = (folder / name).stat().st_size
        if size > _MOST_BYTES[name]:
            raise ValueError(f"{name} has {size:,} bytes, more than {_MOST_BYTES[name]:,}")


def published_codec() -> Path:
    """Return the path of the codec's configuration that fish-speech ships."""
    import fish_speech

    return Path(next(iter(fish_speech.__path__))) / "configs" / "modded_dac_vq.yaml"


def codec_config(folder: Path) -> dict[str, Any]:
    """Return the configuration of a checkpoint's codec, for hydra to build: its ``codec.yaml``, else the published one.

    Raises ValueError, OSError.
    """
    import yaml

    own = folder / "codec.yaml"
    if own.is_file():
        check_sizes(folder, own.name)
    text = (own if own.is_file() else published_codec()).read_text(encoding="utf-8")
    try:
        depth = 0
        for event in yaml.parse(text, yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):
                raise ValueError("it repeats parts of itself by alias, which a few lines can make endless")
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _DEEPEST:
                raise ValueError("it is nested too deeply")
        config = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError("it is not YAML") from error
    if not isinstance(config, dict) or "_target_" not in config:
        raise ValueError("it describes no codec")
    for key, value in leaves("", config):
        _check_codec_value(key, value)
    return config


def _check_codec_value(key: str, value: Any) -> None:
    if key == "_target_" and value not in _CLASSES:
        raise ValueError(f"it names {value!r:.60}, which is no part of the published codec")
    # hydra and omegaconf execute these, and text with ${...}.
    if key.startswith("_") and key not in ("_target_", "_partial_"):
        raise ValueError(f"it holds {key!r:.40}, which is no part of a codec")
    if isinstance(value, str) and "${" in value:
        raise ValueError(f"{key:.40} refers to something outside of it")
    if key == "sample_rate" and not (isinstance(value, int) and _RATES[0] <= value <= _RATES[1]):
        raise ValueError(f"sample_rate is {value!r:.40}, not between {_RATES[0]} and {_RATES[1]}")
    check_value(key, value)


def load_codec(folder: Path, device: torch.device) -> Any:
    """Return upstream's DAC in float32. Raises EngineError ``checkpoint_unusable``."""
    from hydra.utils import instantiate

    with friendly_errors(folder, "codec.yaml"):
        config = codec_config(folder)
    with friendly_errors(folder, "codec.pth"):
        weights = load_tensors(folder / "codec.pth")
        codec = _built(lambda: instantiate(config), folder / "codec.pth")
        if any("generator." in key for key in weights):
            weights = {k.replace("generator.", ""): v for k, v in weights.items() if "generator." in k}
        missing = codec.load_state_dict(weights, strict=False, assign=True).missing_keys
        # Tables of positions and masks are computed on construction; files may have them or not.
        missing = [key for key in missing if not key.endswith(("freqs_cis", "causal_mask"))]
        if missing:
            raise ValueError(f"it lacks {len(missing)} weights, {missing[0]} for one")
        codec = codec.to(device=device, dtype=torch.float32)
    return codec.eval().requires_grad_(False)


def _built(build: Callable[[], Any], weights: Path) -> Any:
    """Return the torch module that ``build`` makes. Raises ValueError where the file ``weights`` cannot fill it.

    Allocated memory is not used before it is written to, so counting during the construction is early enough. A
    weight takes at least two bytes, and is counted at most twice (where its norm is a separate parameter).
    """
    budget = weights.stat().st_size

    def count(module: torch.nn.Module, name: str, parameter: torch.nn.Parameter | None) -> None:
        nonlocal budget
        budget -= 0 if parameter is None else parameter.numel()
        if budget < 0:
            raise ValueError("its configuration asks for more weights than the file can hold")

    counting = register_module_parameter_registration_hook(count)
    try:
        with _uninitialised(), warnings.catch_warnings():
            # descript-audio-codec still uses the weight norm that torch has renamed.
            warnings.simplefilter("ignore", FutureWarning)
            return build()
    finally:
        counting.remove()


def load_tensors(path: Path) -> Mapping[str, torch.Tensor]:
    """Return the tensors of a file of torch.save, mapped from it. Raises ValueError, OSError, RuntimeError."""
    # A file of torch.save is a zip archive with its directory at the end.
    if not zipfile.is_zipfile(path):
        raise ValueError("it is not a file of weights, or an incomplete one")
    try:
        content = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    except pickle.UnpicklingError as error:
        # torch's own message explains how to run such a file all the same.
        raise ValueError("it holds other things than weights, which may be a program") from error
    weights = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(weights, dict) or not all(isinstance(each, torch.Tensor) for each in weights.values()):
        raise ValueError("it holds no table of weights")
    return weights


@contextlib.contextmanager
def _uninitialised() -> Iterator[None]:
    """Let modules leave their memory uninitialised: their weights are assigned right after.

    torch's constructors and upstream's ``_init_weights`` fill in place; with 870 million parameters that takes longer
    than reading the file.
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
def friendly_errors(folder: Path, name: str) -> Iterator[None]:
    """Turn what reading ``name`` raises into EngineError ``checkpoint_unusable``."""
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


def choose_device(device: str, precision: str, worker: int | None = None) -> tuple[torch.device, str]:
    """Return the device and the precision (of ``PRECISIONS``) of a worker.

    auto is CUDA (bfloat16 where the GPU has it, else float16), then Metal (float16), then the CPU (float32); workers
    take the GPUs in turn. Raises EngineError ``bad_device`` for a device that this machine does not have,
    ``bad_precision`` for a precision that the device does not have.
    """
    number = int(os.environ.get(WORKER_VARIABLE, "1")) if worker is None else worker
    found = _device(device, number)
    if precision == "auto":
        precision = _default_precision(found)
    if precision not in PRECISIONS:
        raise EngineError(
            "bad_precision", f"the precision must be auto, {', '.join(PRECISIONS)}, not {precision!r}"
        )
    possible = precisions(found)
    if precision not in possible:
        raise EngineError(
            "bad_precision",
            f"{precision} is not computed on {found.type} here; "
            f"use --precision {', '.join(possible[:-1])} or {possible[-1]}",
        )
    return found, precision


def precisions(device: torch.device) -> list[str]:
    """Return the precisions of ``device``, in the order of ``PRECISIONS``."""
    # int8's weights are widened to bf16, which Metal's and older GPUs' products do not have or only emulate.
    if device.type != "cpu":
        has_bf16 = device.type == "cuda" and torch.cuda.get_device_capability(device)[0] >= 8
        return [name for name in PRECISIONS if name != "int8" or has_bf16]
    # int8's product is made for x86. bf16 works on every CPU: where oneDNN refuses it, by the ordinary product.
    return [name for name in PRECISIONS if name != "fp16" and (name != "int8" or int8_works())]


def is_out_of_memory(error: Exception) -> bool:
    """Return whether a device has no memory left; torch has a class for that only for CUDA."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    phrases = ("out of memory", "not enough memory", "can't allocate memory")
    return any(phrase in str(error).lower() for phrase in phrases)


def _device(name: str, worker: int) -> torch.device:
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name in ("auto", "cuda") and count:
        return torch.device("cuda", (worker - 1) % count)
    metal = torch.backends.mps.is_available()
    if name == "auto":
        return torch.device("mps" if metal else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise EngineError(
            "bad_device", f"the device must be auto, cpu, cuda, cuda:1 or mps, not {name!r}"
        ) from error
    here = {"cpu": True, "cuda": (device.index or 0) < count, "mps": metal}
    if not here.get(device.type, False):
        raise EngineError(
            "bad_device",
            f"there is no device {name} for this torch ({torch.__version__}); use --device auto or cpu",
        )
    return device


def _default_precision(device: torch.device) -> str:
    if device.type == "cuda":
        # Ampere and later have bfloat16; earlier GPUs only emulate it, slowly.
        return "bf16" if torch.cuda.get_device_capability(device)[0] >= 8 else "fp16"
    return "fp16" if device.type == "mps" else "float32"


_UNUSED = {
    "transformers": ("AutoTokenizer",),
    "librosa": (),
    "torchaudio": (),
    "torchaudio.functional": (),
    "torch.utils.tensorboard": ("SummaryWriter",),
}
"""Modules that upstream's model code imports but inference never uses, and the names it takes from them. Where one is
not installed, an empty module replaces it, so that the fish environment stays small."""


def open_upstream(source: str = "") -> None:
    """Make ``fish_speech`` importable in this process, and reduce its logging to errors (it writes 9 KB per segment).

    ``source`` is a checkout of fish-speech that goes before an installed one. Raises EngineError: ``fish_missing``,
    ``fish_generation`` (a checkout of the S2 generation, whose model this engine does not support).
    """
    if source:
        if not (Path(source) / "fish_speech").is_dir():
            raise EngineError(
                "fish_missing",
                f"FISH_SPEECH_DIR ({source}) is not a checkout of fish-speech: it has no fish_speech/",
            )
        if source not in sys.path:
            sys.path.insert(0, source)
    try:
        importlib.import_module("torch.utils")
        for name, attributes in _UNUSED.items():
            _replace_if_missing(name, attributes)
        dac = importlib.import_module("fish_speech.models.dac.modded_dac")
    except ImportError as error:
        raise EngineError(
            "fish_missing",
            f"fish-speech cannot be imported in {sys.executable}: {error}; make its environment with "
            "`voiceclone env create`, or name an interpreter that has it in FISH_SPEECH_PYTHON",
        ) from error
    if hasattr(dac.DAC, "from_indices"):
        raise EngineError(
            "fish_generation",
            f"the fish-speech in {source or 'this interpreter'} is of the S2 generation, whose models are "
            "others; use fish-speech 0.1.0 (leave FISH_SPEECH_DIR unset, or check out commit 80db25e)",
        )
    loguru = importlib.import_module("loguru")
    loguru.logger.remove()
    loguru.logger.add(sys.stderr, level="ERROR")


def _replace_if_missing(name: str, attributes: tuple[str, ...]) -> None:
    if name in sys.modules:
        return
    try:
        importlib.import_module(name)
        return
    except Exception as error:
        # Broken counts as missing: torchaudio and tensorboard raise all kinds of errors when they do
        # not fit the torch or protobuf beside them.
        logging.getLogger(__name__).debug("%s is replaced by an empty module: %s", name, error)
        for loaded in [key for key in sys.modules if key == name or key.startswith(f"{name}.")]:
            del sys.modules[loaded]
    module = types.ModuleType(name)
    module.__path__ = []
    for attribute in attributes:
        setattr(module, attribute, type(attribute, (), {"__init__": _refuse}))
    sys.modules[name] = module
    parent, _, child = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], child, module)


def _refuse(self: object, *arguments: Any, **named: Any) -> None:
    raise ImportError(f"{type(self).__name__} is not installed in the fish environment")
