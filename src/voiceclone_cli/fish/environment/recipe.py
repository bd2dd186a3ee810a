"""What the fish environment is made of, and of which interpreters it can be made."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from voiceclone_cli.errors import PreflightError
from voiceclone_cli.workers.local.environment import worker_program

DEFAULT_TORCH = "torch==2.13.0"
PYTHONS = ((3, 12), (3, 11))
"""Best first. scipy's pin begins at 3.11; numpy 1.26 and protobuf 3.19.6 end at 3.12."""
_IMPORTS = (
    "torch",
    "google.protobuf",
    "fish_speech.models.dac",
    "fish_speech.tokenizer",
    "hydra",
    "omegaconf",
    "tiktoken",
    "soundfile",
    "julius",
    "scipy.signal",
)
"""What imports plainly when all is well. dac and audiotools do not: they ask for modules that speaking
never uses and the lock leaves out, which the worker provides."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """An environment to be: its exact pins, its torch, and what must be importable in the end."""

    lock: Path
    """A pip requirements file of ``name==version`` lines, installed without dependencies."""
    torch: str = DEFAULT_TORCH
    imports: tuple[str, ...] = _IMPORTS
    pythons: tuple[tuple[int, int], ...] = PYTHONS

    @property
    def digest(self) -> str:
        """sha256 of the lock's text, in hex. Line ends do not count: they differ between checkouts."""
        return hashlib.sha256(self.lock.read_text(encoding="utf-8").encode("utf-8")).hexdigest()

    @property
    def pins(self) -> dict[str, str]:
        """Version by package."""
        lines = (line.split("#")[0].strip() for line in self.lock.read_text(encoding="utf-8").splitlines())
        return {name: version for name, _, version in (line.partition("==") for line in lines) if version}


def fish_recipe() -> Recipe:
    return Recipe(lock_file())


def lock_file(worker: Path | None = None) -> Path:
    """requirements-fish.txt: beside the ``worker`` (None: the one that runs here) in a checkout, inside
    it when installed from a wheel. Raises PreflightError."""
    worker = worker or worker_program()
    for folder in (worker, worker.parent):
        if (folder / "requirements-fish.txt").is_file():
            return folder / "requirements-fish.txt"
    raise PreflightError(
        f"requirements-fish.txt is missing beside {worker}: install voiceclone again.",
        code="environment_lock",
    )
