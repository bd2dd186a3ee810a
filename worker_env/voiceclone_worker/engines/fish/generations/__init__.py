"""The generations of fish-speech: what differs between their checkpoints, as values. The decoding asks for none of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from voiceclone_worker.engines.base import EngineError
from voiceclone_worker.engines.fish.checkpoint import friendly_errors
from voiceclone_worker.engines.fish.configuration import read_config
from voiceclone_worker.engines.fish.generations import s1, s2
from voiceclone_worker.engines.fish.layout import INDEX, CheckpointLayout, weight_files
from voiceclone_worker.engines.fish.layout import S1 as S1_LAYOUT
from voiceclone_worker.engines.fish.layout import S2 as S2_LAYOUT
from voiceclone_worker.engines.fish.sampling import PenaltySampling, RasSampling, Sampling, SamplingSettings
from voiceclone_worker.engines.fish.transformer import PLAIN, Products
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

    def __call__(self, weights: Weights, settings: SamplingSettings, products: Products = PLAIN) -> Sampling:
        """Return the rule for these weights."""
        ...


@dataclass(frozen=True)
class Generation:
    """A generation."""

    layout: CheckpointLayout
    load: Callable[[Path, torch.device, torch.dtype], tuple[Weights, Prompts]]
    """Reads a checkpoint of all files; raises EngineError ``checkpoint_unusable``."""
    sampling: MakeSampling
    reads_tags: bool
    """Whether it takes what stands in square brackets for stage directions."""

    @property
    def defaults(self) -> SamplingSettings:
        """How it is sampled where the user sets nothing."""
        settings = self.layout.sampling
        # A rule without such a number does not look at it.
        return SamplingSettings(
            settings["temperature"], settings["top_p"], settings.get("repetition_penalty", 1.0)
        )

    def files(self, folder: Path) -> tuple[str, ...]:
        """Return the names of the files that a checkpoint in ``folder`` must have.

        Raises EngineError ``checkpoint_unusable`` for a bad index.
        """
        config, *rest = self.layout.files
        with friendly_errors(folder, INDEX):
            return (config, *weight_files(folder, self.layout), *rest)


S1 = Generation(S1_LAYOUT, s1.load, PenaltySampling, reads_tags=False)
S2 = Generation(S2_LAYOUT, s2.load, RasSampling, reads_tags=True)

_MOST_NAMES = 8
"""Files that a message names."""

_BY_MODEL_TYPE = {generation.layout.model_type: generation for generation in (S1, S2)}


def generation_of(folder: Path) -> Generation:
    """Return the generation of the checkpoint in ``folder``, by the model_type of its config.json.

    Raises EngineError: ``checkpoint_incomplete`` without that file, ``checkpoint_unusable`` for another model.
    """
    if not (folder / "config.json").is_file():
        raise EngineError(
            "checkpoint_incomplete", f"the checkpoint {folder} lacks config.json; fetch or make it again"
        )
    with friendly_errors(folder, "config.json"):
        return _BY_MODEL_TYPE[read_config(folder, *_BY_MODEL_TYPE).values["model_type"]]


def check_files(folder: Path, generation: Generation) -> None:
    """Raise EngineError ``checkpoint_incomplete`` where a file is missing."""
    required = generation.files(folder)
    missing = [name for name in required if not (folder / name).is_file()]
    if missing:
        raise EngineError(
            "checkpoint_incomplete",
            f"the checkpoint {folder} lacks {_listed(missing)}; it must hold {_listed(required)}",
        )


def _listed(names: Sequence[str]) -> str:
    """Return names as text: the first of them where an index has many."""
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
