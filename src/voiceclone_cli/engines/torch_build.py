"""Builds of torch for the fish environment: PyPI's, those of PyTorch's own index, and which of them a driver can run.

On Linux PyPI has the build for CUDA 13.0, on Windows and macOS one without CUDA.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from voiceclone_cli.errors import InputError
from voiceclone_cli.system import NvidiaGpu, nvidia_gpus

FISH_TORCH = "torch==2.13.0"

PYTORCH_INDEX = "https://download.pytorch.org/whl"

AUTO = "auto"
CPU = "cpu"


class CudaBuild(NamedTuple):
    """A build of torch for CUDA, and the GPUs and drivers that run it."""

    name: str
    linux: tuple[int, ...]
    """The oldest driver on Linux."""
    windows: tuple[int, ...]
    """The oldest driver on Windows."""
    oldest: tuple[int, int]
    """The lowest compute capability that it has code for."""
    newest: int
    """The highest major number of a compute capability that it has code for."""

    def oldest_driver(self, platform: str) -> tuple[int, ...]:
        """Return the oldest driver that runs it."""
        return self.windows if platform == "win32" else self.linux

    def runs_on(self, gpu: NvidiaGpu, platform: str) -> bool:
        """Return whether the GPU and its driver run it. A capability that the driver does not report is no obstacle."""
        if gpu.driver < self.oldest_driver(platform):
            return False
        return gpu.capability is None or (gpu.capability >= self.oldest and gpu.capability[0] <= self.newest)


CUDA_BUILDS = (
    CudaBuild("cu130", (580,), (580,), (7, 5), 12),
    CudaBuild("cu126", (525, 60, 13), (528, 33), (5, 0), 9),
)
"""Those that PyTorch calls stable for 2.13, the newest first, by its RELEASE.md; drivers by NVIDIA's table of minor
version compatibility."""

PYPI_ON_LINUX = CUDA_BUILDS[0]


class TorchSource(NamedTuple):
    """The torch of an environment: what pip is asked for, and where it looks."""

    requirement: str
    index_url: str = ""
    """Address of an index of PyTorch's packages; empty: pip's own settings."""

    @property
    def options(self) -> list[str]:
        """Options of pip. A requirement that names its build is found in that index only, so that all else may come
        from pip's own; for one that does not, pip would take PyPI's in silence where the index does not answer."""
        if not self.index_url:
            return []
        return ["--extra-index-url" if "+" in self.requirement else "--index-url", self.index_url]


def torch_source(text: str, default: str, platform: str = sys.platform) -> TorchSource:
    """Return the torch that ``--torch`` names: ``auto``, a build (``cpu``, ``cu130``), the address of an index or a wheel, a
    version, a requirement or a wheel's path. ``default`` is the pinned requirement, that of all builds.

    Raises InputError for a text that pip would take for an option, and for a build that the platform does not have.
    """
    if text == AUTO:
        build = cuda_build(nvidia_gpus(), platform) if platform == "win32" else None
        return TorchSource(default) if build is None else _of_build(default, build)
    if text == CPU:
        return _of_build(default, CPU) if platform == "linux" else TorchSource(default)
    if re.fullmatch(r"cu\d+", text):
        if platform == "darwin":
            raise InputError(
                "--torch: there is no CUDA on macOS, whose torch uses its own GPU.", code="bad_setting"
            )
        return _of_build(default, text)
    if text.startswith(("https://", "http://")):
        path = urlsplit(text).path.rstrip("/")
        if path.endswith(".whl"):
            return TorchSource(text)
        build = path.rpartition("/")[2]
        is_named = re.fullmatch(r"cu\d+|cpu", build) and not (build == CPU and platform == "darwin")
        return TorchSource(f"{default}+{build}" if is_named else default, text)
    if re.fullmatch(r"\d[\w.+!]*", text):
        return TorchSource(f"torch=={text}")
    if not text.strip() or text.startswith("-"):
        raise InputError(
            "--torch must be auto, cpu, a build for CUDA such as cu130, the address of an index, a version, a "
            f"requirement such as torch==2.13.0 or a wheel, not {text!r}.",
            code="bad_setting",
        )
    # Absolute, since the record keeps it and the next create may start elsewhere.
    return TorchSource(str(Path(text).absolute()) if Path(text).is_file() else text)


def _of_build(default: str, build: str) -> TorchSource:
    return TorchSource(f"{default}+{build}", f"{PYTORCH_INDEX}/{build}")


def cuda_build(gpus: Sequence[NvidiaGpu], platform: str = sys.platform) -> str | None:
    """Return the newest build for CUDA that runs on all of these GPUs, else on one of them; None where none does."""
    for enough in (all, any):
        for build in CUDA_BUILDS:
            if gpus and enough(build.runs_on(gpu, platform) for gpu in gpus):
                return build.name
    return None


def cuda_advice(gpus: Sequence[NvidiaGpu], python: str | None = None, platform: str = sys.platform) -> str:
    """Return what to do where torch does not see these GPUs: install another build into the environment, or into that
    of the interpreter ``python``, or update the driver."""
    build = cuda_build(gpus, platform)
    if build is None:
        # GPUs that only a newer build has code for need its driver.
        is_old = any(gpu.driver < CUDA_BUILDS[-1].oldest_driver(platform) for gpu in gpus)
        needed = CUDA_BUILDS[-1 if is_old else 0].oldest_driver(platform)
        return f"update the NVIDIA driver to {_dotted(needed)} or later, then run `voiceclone env create --torch auto`"
    if python is None:
        return f"run `voiceclone env create --torch {build}`"
    return f"in the environment of {python}, run `pip install {FISH_TORCH}+{build} --index-url {PYTORCH_INDEX}/{build}`"


def advice_after_auto(platform: str = sys.platform) -> str:
    """Return a sentence where the torch of ``--torch auto`` does not use the GPUs of this machine; else nothing."""
    gpus = nvidia_gpus()
    build = cuda_build(gpus, platform)
    if not gpus or build == (PYPI_ON_LINUX.name if platform == "linux" else build or CPU):
        return ""
    return f"This torch does not use the GPU of this machine: {cuda_advice(gpus, None, platform)}."


def _dotted(version: Sequence[int]) -> str:
    """Return a version as text: "528.33"."""
    return ".".join(map(str, version))
