"""Tools of the worker's interpreter, besides speech; ``examine`` describes that interpreter.

    python voiceclone_worker --tool NAME [ARGUMENT ...]

prints one line of JSON: ``{"schema": "voiceclone.tool/1", "answer": {...}}``, or with ``"error": {"code",
"message"}`` and exit code 1.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from voiceclone_worker.engines.base import Emit, EngineError
from voiceclone_worker.protocol import TOOL_SCHEMA
from voiceclone_worker.runtime import Channel

Tool = Callable[[Sequence[str], Emit], dict[str, Any]]
"""``tool(arguments, emit)`` returns its answer. Raises EngineError."""

_VERSION_MODULES = {"protobuf": "google.protobuf", "numpy": "numpy", "torch": "torch"}
"""Packages, and the modules that have their version."""

_BF16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
"""Of /proc/cpuinfo, x86 and ARM."""


def examine(arguments: Sequence[str], emit: Emit) -> dict[str, Any]:
    """Describe this interpreter: versions, fish-speech, devices.

    Arguments: ``[SOURCE [DEVICE [PRECISION]]]``, a checkout of fish-speech to use instead of the installed package
    (empty: none), and the device and precision of the settings. It also works where nothing is installed: a
    package that cannot be imported is a value of the answer.

    Answer: ``python``, ``executable``, ``platform``, ``cores`` (usable by this process) and ``bf16_native`` (of the
    CPU; None where unknown); for each of ``protobuf``, ``numpy``, ``torch`` and ``fish_speech`` its ``version``
    (fish_speech: and ``where``) or the ``error`` of its import; ``dac_importable``; ``place``, the ``device`` and
    ``precision`` that fish would use and all ``precisions`` of that device, or the ``error``; ``cuda``, a list of
    ``name``, ``memory_mb``, ``free_mb`` and ``bf16``; ``mps``; and ``device_error`` when torch cannot list its
    devices. MB are 10^6 bytes.
    """
    source, device, precision = (*arguments, *("", "auto", "auto")[len(arguments) :])
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
    for package, module in _VERSION_MODULES.items():
        answer[package] = _value_or_error(partial(_version, module))
    if "version" in answer["torch"]:
        found = _value_or_error(_devices)
        answer.update({"device_error": found["error"]} if "error" in found else found)
    answer["place"] = _value_or_error(partial(_fish_device, device, precision))
    answer["fish_speech"] = _value_or_error(partial(_fish_speech, source))
    answer["dac_importable"] = "error" not in answer["fish_speech"]
    return answer


TOOLS: Mapping[str, Tool] = {"examine": examine}


def run_tool(arguments: Sequence[str], channel: Channel, tools: Mapping[str, Tool] = TOOLS) -> int:
    """Run the tool that the first argument names, write its answer, and return the exit code."""
    document: dict[str, Any] = {"schema": TOOL_SCHEMA}
    try:
        if not arguments or arguments[0] not in tools:
            raise EngineError("unknown_tool", f"there are the tools {', '.join(tools)}, not {arguments[:1]}")
        document["answer"] = tools[arguments[0]](arguments[1:], channel.emit)
    except EngineError as error:
        document["error"] = {"code": error.code, "message": error.message}
    except Exception as error:
        traceback.print_exc()
        document["error"] = {"code": "tool_crashed", "message": f"{type(error).__name__}: {error}"}
    channel.write_line(json.dumps(document, ensure_ascii=False))
    return 1 if "error" in document else 0


def _value_or_error(function: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return function()
    except EngineError as error:
        return {"error": error.message}
    # A package that does not fit the others can raise anything at its import.
    except Exception as error:
        return {"error": " ".join(f"{type(error).__name__}: {error}".split())[:300]}


def _version(module: str) -> dict[str, Any]:
    return {"version": str(importlib.import_module(module).__version__)}


def _fish_speech(source: str) -> dict[str, Any]:
    from voiceclone_worker.engines.fish.checkpoint import open_upstream

    # Checked before the import, which would first load what upstream is built on.
    if not source and importlib.util.find_spec("fish_speech") is None:
        raise EngineError("fish_missing", "fish_speech is not installed")
    open_upstream(source)
    importlib.import_module("fish_speech.models.dac.modded_dac").DAC  # noqa: B018 (only whether it is there)
    where = Path(next(iter(importlib.import_module("fish_speech").__path__)))
    return {"version": _fish_version(source), "where": str(where)}


def _fish_version(source: str) -> str | None:
    """Return None for a checkout that does not state its version."""
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
                # From Ampere on; AMD numbers its GPUs otherwise, and all that torch supports have it.
                "bf16": known.major >= 8 or torch.version.hip is not None,
            }
        )
    return {"cuda": cuda, "mps": torch.backends.mps.is_available()}


def _fish_device(device: str, precision: str) -> dict[str, Any]:
    from voiceclone_worker.engines.fish.checkpoint import choose_device, precisions

    chosen, precision = choose_device(device, precision)
    return {"device": str(chosen), "precision": precision, "precisions": precisions(chosen)}


def _cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _bf16_native() -> bool | None:
    """Return whether the CPU has bfloat16 products; None where the system does not say."""
    if sys.platform == "darwin":
        # Empty on a machine that does not know the name.
        command = ["sysctl", "-n", "hw.optional.arm.FEAT_BF16"]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
        return done.stdout.strip() == "1"
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    flags = re.search(r"^(?:flags|Features)\s*:(.*)$", text, re.MULTILINE)
    return None if flags is None else bool(_BF16_FLAGS & set(flags.group(1).split()))
