"""The generations of fish-speech: what differs between their checkpoints, as values. The decoding asks for none of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from voiceclone_worker.engines.base import EngineError
from voiceclone_worker.engines.fish.generations import s1
from voiceclone_worker.engines.fish.sampling import PenaltySampling, Sampling, SamplingSettings
from voiceclone_worker.engines.fish.weights import Weights


class Prompts(Protocol):
    """What a model is told."""

    def voice(self, text: str, codes: Tensor) -> Tensor:
        """Return the prompt [codebooks + 1, tokens] of a reference: its codes [codebooks, frames] and their words.

        What all lines of a voice share ends here.
        """
        ...

    def line(self, text: str) -> Tensor:
        """Return the prompt [codebooks + 1, tokens] of a line, which follows that of the voice."""
        ...


class MakeSampling(Protocol):
    """Makes the sampling rule of a generation."""

    def __call__(self, weights: Weights, settings: SamplingSettings, *, int8: bool = False) -> Sampling:
        """Return the rule for these weights."""
        ...


@dataclass(frozen=True)
class Generation:
    """A generation."""

    name: str
    files: Callable[[Path], tuple[str, ...]]
    """Names of the files that a checkpoint in this folder must have."""
    load: Callable[[Path, torch.device, torch.dtype], tuple[Weights, Prompts]]
    """Reads a checkpoint of all files; raises EngineError ``checkpoint_unusable``."""
    sampling: MakeSampling


S1 = Generation("S1", s1.files, s1.load, PenaltySampling)


def generation_of(folder: Path) -> Generation:
    """Return the generation of the checkpoint in ``folder``."""
    return S1


def check_files(folder: Path, generation: Generation) -> None:
    """Raise EngineError ``checkpoint_incomplete`` where a file is missing."""
    required = generation.files(folder)
    missing = [name for name in required if not (folder / name).is_file()]
    if missing:
        raise EngineError(
            "checkpoint_incomplete",
            f"the checkpoint {folder} lacks {', '.join(missing)}; it must hold {', '.join(required)}",
        )
