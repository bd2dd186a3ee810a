"""What there is in this interpreter: versions, fish-speech, devices.

It also runs where nothing is installed: whatever cannot be imported is a value of the answer.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import platform
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from voiceclone_worker.engines.base import Emit, EngineError

_PACKAGES = {"protobuf": "google.protobuf", "numpy": "numpy", "torch": "torch"}
"""What is asked for, and the module that tells its version."""

_USUAL = ("", "auto", "auto")
"""The arguments where they are not given."""

_BF16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
"""Of /proc/cpuinfo, x86 and ARM."""


def main(arguments: Sequence[str], emit: Emit) -> dict[str, Any]:
    """``[SOURCE [DEVICE [PRECISION]]]``: a checkout of fish-speech to look at instead of the installed package
    (empty: none), and what an engine would be told.

    Answers ``python``, ``executable``, ``platform``, ``cores`` (usable by this process) and
    ``bf16_native`` (of the CPU; None where it is not told); for each of ``protobuf``, ``numpy``,
    ``torch`` and ``fish_speech`` its ``version`` (fish_speech: and ``where``) or the ``error`` of its
    import; ``dac_importable``; ``place``, the ``device`` and ``precision`` that fish would compute with
    and all ``precisions`` of that device, or the ``error``; ``cuda``, a list of ``name``, ``memory_mb``, ``free_mb`` and ``bf16``;
    ``mps``; and ``device_error`` when torch could not tell its devices. MB are 10^6 bytes.
    """
    source, device, precision = (*arguments, *_USUAL[len(arguments) :])
    answer: dict[str, Any] = {
        "python": platform.python_version(),
        "executable": sys.executable,
        "platform": platform.platform(),
        "cores": _cores(),
        "bf16_native": _bf16_native(),
        "cuda": [],
        "mps": False,
        "device_error": None,
    }
    for package, module in _PACKAGES.items():
        answer[package] = _tried(partial(_version, module))
    if "version" in answer["torch"]:
        found = _tried(_devices)
        answer.update({"device_error": found["error"]} if "error" in found else found)
    answer["place"] = _tried(partial(_place, device, precision))
    answer["fish_speech"] = _tried(partial(_fish_speech, source))
    answer["dac_importable"] = "error" not in answer["fish_speech"]
    return answer


def _tried(look: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return look()
    except EngineError as error:
        return {"error": error.message}
    # A package that does not fit the others raises anything at all when it is imported.
    except Exception as error:
        return {"error": " ".join(f"{type(error).__name__}: {error}".split())[:300]}


def _version(module: str) -> dict[str, Any]:
    return {"version": str(importlib.import_module(module).__version__)}


def _fish_speech(source: str) -> dict[str, Any]:
    from voiceclone_worker.engines.fish.checkpoint import open_upstream

    # Not left to the import alone, which would first load what upstream is built on.
    if not source and importlib.util.find_spec("fish_speech") is None:
        raise EngineError("fish_missing", "fish_speech is not installed")
    open_upstream(source)
    importlib.import_module("fish_speech.models.dac.modded_dac").DAC  # noqa: B018 (its presence is the question)
    where = Path(next(iter(importlib.import_module("fish_speech").__path__)))
    return {"version": _fish_version(source), "where": str(where)}


def _fish_version(source: str) -> str | None:
    """None for a checkout that does not say."""
    if not source:
        return importlib.metadata.version("fish-speech")
    try:
        project = (Path(source) / "pyproject.toml").read_text(encoding="utf-8")
    except OSError:
        return None
    stated = re.search(r'^version\s*=\s*"([^"]+)"', project, re.MULTILINE)
    return stated.group(1) if stated else None


def _devices() -> dict[str, Any]:
    import torch

    cuda = []
    for number in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        known = torch.cuda.get_device_properties(number)
        free, total = torch.cuda.mem_get_info(number)
        cuda.append(
            {
                "name": known.name,
                "memory_mb": round(total / 1e6),
                "free_mb": round(free / 1e6),
                # From Ampere on; AMD's numbers are others, and all that torch supports have it.
                "bf16": known.major >= 8 or torch.version.hip is not None,
            }
        )
    return {"cuda": cuda, "mps": torch.backends.mps.is_available()}


def _place(device: str, precision: str) -> dict[str, Any]:
    from voiceclone_worker.engines.fish.checkpoint import choose_device, precisions

    place = choose_device(device, precision)
    return {
        "device": str(place.device),
        "precision": place.precision,
        "precisions": precisions(place.device),
    }


def _cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _bf16_native() -> bool | None:
    """Whether the CPU multiplies bfloat16 itself; None where the system does not tell."""
    if sys.platform == "darwin":
        return _sysctl("hw.optional.arm.FEAT_BF16") == "1"
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    flags = re.search(r"^(?:flags|Features)\s*:(.*)$", text, re.MULTILINE)
    return None if flags is None else bool(_BF16_FLAGS & set(flags.group(1).split()))


def _sysctl(name: str) -> str:
    """Empty where the machine does not know ``name``."""
    done = subprocess.run(["sysctl", "-n", name], capture_output=True, encoding="utf-8", check=False)
    return done.stdout.strip()
