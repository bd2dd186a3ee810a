"""Where and in which numbers fish-speech computes."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch

from voiceclone_worker.engines.base import EngineError
from voiceclone_worker.engines.fish.generation.linear import int8_works

WORKER_VARIABLE = "VOICECLONE_WORKER"
"""The worker's number among its fellows, from 1; they spread over the GPUs by it."""

PRECISIONS = {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16, "int8": torch.bfloat16}
"""What activations are held in. int8 is a matter of the weights."""

_SIGNS_OF_NO_MEMORY = ("out of memory", "not enough memory", "can't allocate memory")


@dataclass(frozen=True)
class Place:
    """A device, and the numbers it computes in."""

    device: torch.device
    precision: str

    @property
    def dtype(self) -> torch.dtype:
        return PRECISIONS[self.precision]

    @property
    def int8(self) -> bool:
        return self.precision == "int8"


def choose(device: str, precision: str, worker: int | None = None) -> Place:
    """The place for a worker.

    auto takes CUDA (bfloat16 where the GPU has it, else float16), then Metal (float16), then the CPU
    (float32); workers take the GPUs in turn. Raises EngineError ``bad_device`` for a device that is
    not here, ``bad_precision`` for numbers that it does not compute in.
    """
    number = int(os.environ.get(WORKER_VARIABLE, "1")) if worker is None else worker
    found = _device(device, number)
    if precision == "auto":
        precision = _usual(found)
    if precision not in PRECISIONS:
        raise EngineError(
            "bad_precision", f"the precision must be auto, {', '.join(PRECISIONS)}, not {precision!r}"
        )
    _check(found, precision)
    return Place(found, precision)


def precisions(device: torch.device) -> list[str]:
    """Return what ``device`` computes in, of ``PRECISIONS`` and in their order."""
    if device.type != "cpu":
        return [name for name in PRECISIONS if name != "int8"]
    # int8's product is made for x86. bf16 works on every CPU: where oneDNN refuses it, by the ordinary product.
    return [name for name in PRECISIONS if name != "fp16" and (name != "int8" or int8_works())]


def is_out_of_memory(error: Exception) -> bool:
    """Whether this is how a device says that it has no memory left; torch has a class of its own for CUDA only."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    text = str(error).lower()
    return any(sign in text for sign in _SIGNS_OF_NO_MEMORY)


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


def _usual(device: torch.device) -> str:
    if device.type == "cuda":
        return "bf16" if _has_bf16(device) else "fp16"
    return "fp16" if device.type == "mps" else "float32"


def _has_bf16(device: torch.device) -> bool:
    # Ampere and later compute in it; earlier GPUs only emulate it, slowly.
    return torch.cuda.get_device_capability(device)[0] >= 8


def _check(device: torch.device, precision: str) -> None:
    works = precisions(device)
    if precision not in works:
        raise EngineError(
            "bad_precision",
            f"{precision} is not computed on {device.type} here; "
            f"use --precision {', '.join(works[:-1])} or {works[-1]}",
        )
