"""Checkpoints of the fish engine: their generations and files.

Nothing is loaded and nothing of a file is trusted: a folder may come from a stranger.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voiceclone_cli.errors import PreflightError
from voiceclone_worker.engines import ENGINES
from voiceclone_worker.engines.fish import layout
from voiceclone_worker.engines.fish.layout import CheckpointLayout

S1_MINI, S2_PRO = layout.S1.model, layout.S2.model

_MAX_JSON_BYTES = 1 << 20
"""config.json of a model has a thousand."""


@dataclass(frozen=True, slots=True)
class CheckpointKind:
    """A generation of fish-speech's models."""

    layout: CheckpointLayout
    notice: str
    """Sentence on the licence of the published weights, shown at the first run."""
    languages: frozenset[str]
    """ISO 639-1 codes of the languages that its makers state."""

    @property
    def name(self) -> str:
        """Name of the generation."""
        return self.layout.name

    @property
    def model(self) -> str:
        """Name of its published weights in the model registry."""
        return self.layout.model

    @property
    def sampling(self) -> Mapping[str, float]:
        """Options of the engine. They are part of the task, so that a segment's fingerprint covers them."""
        return self.layout.sampling


_S2_LANGUAGES = re.findall(
    r"\w+",
    """
    af am ar as az be bg bn bo br bs ca cs cy da de el en es et eu fa fi fo fr gl gu he hi hr ht hu hy
    id is it ja jv ka kk km kn ko la lt lv mi ml mn mr ms my nb ne nl nn no pa pl ps pt ro ru sa sd si
    sk sl sn sq sr sv sw ta te th tl tr uk ur vi yi yo zh
    """,
)
"""As the model's card states them."""

S1 = CheckpointKind(layout.S1, ENGINES["fish"].license_notice, ENGINES["fish"].languages or frozenset())
S2 = CheckpointKind(
    layout.S2,
    f"The published weights of {S2_PRO} are licensed for research and non-commercial use only "
    "(Fish Audio Research License, https://huggingface.co/fishaudio/s2-pro).",
    frozenset(_S2_LANGUAGES),
)
GENERATIONS = {generation.model: generation for generation in (S2, S1)}
"""By the name of the published weights, the better one first."""

GENERATED_NOTICE = (
    "The weights were generated from random numbers: they speak no words, and are free for any use."
)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A whole checkpoint on this machine."""

    folder: Path
    generation: CheckpointKind
    name: str = ""
    """Of published weights that were found by their name; empty for a folder that the user names."""
    why: str = ""
    """Sentence on why this one; empty where there was no choice."""

    @property
    def is_generated(self) -> bool:
        """Whether the weights are random, made by `python -m benchmarks.random_checkpoint`."""
        return is_generated(self.folder)


def is_generated(folder: Path) -> bool:
    """Return whether the weights are random, made by `python -m benchmarks.random_checkpoint`."""
    return (folder / "generated.json").is_file()


def generated_note(folder: Path) -> str:
    """Return the sentence for the user of a generated checkpoint."""
    return f"the checkpoint {folder} was generated: it speaks no words"


def licence_notice(folder: Path) -> tuple[str, str]:
    """Return the sentence on the licence of a checkpoint's weights, and the name under which it is remembered."""
    if is_generated(folder):
        return "fish-generated", GENERATED_NOTICE
    try:
        generation = generation_of(folder)
    except (PreflightError, OSError):
        return "fish", ""  # what cannot be read is not spoken with, and the worker says why
    return "fish" if generation is S1 else f"fish-{generation.name.lower()}", generation.notice


# Generations and their files


def generation_of(folder: Path, what: str = "the checkpoint") -> CheckpointKind:
    """Return the generation of the checkpoint in ``folder``, by its content.

    ``what`` names the checkpoint in an error. Raises OSError, and PreflightError ``checkpoint_unusable`` for a
    config.json that holds no configuration.
    """
    if (folder / "config.json").is_file():
        config = _read_object(folder, "config.json", what)
        if not isinstance(config.get("model_type"), str):
            raise _unusable(folder, "config.json", what)
        return S2 if config["model_type"] == layout.S2.model_type else S1
    has_shards = (folder / layout.INDEX).exists() or any(folder.glob("*.safetensors"))
    return S2 if has_shards and not (folder / "model.pth").exists() else S1


def weight_files(folder: Path, what: str = "the checkpoint") -> tuple[str, ...]:
    """Return the names of the files with a checkpoint's weights; of S2, the shards that its index names.

    Raises OSError, and PreflightError ``checkpoint_unusable`` for an index that names no files.
    """
    try:
        return layout.weight_files(folder, generation_of(folder, what).layout)
    except ValueError as error:
        raise _unusable(folder, layout.INDEX, what) from error


def required_files(folder: Path, what: str = "the checkpoint") -> tuple[str, ...]:
    """Return the files that the checkpoint in ``folder`` has to have. Raises as `weight_files` does."""
    config, *rest = generation_of(folder, what).layout.files
    return (config, *weight_files(folder, what), *rest)


def missing_files(folder: Path, what: str = "the checkpoint") -> list[str]:
    """Return the files of a checkpoint that are not in ``folder``; a pointer of git-lfs does not count."""
    return [name for name in required_files(folder, what) if not _exists(folder / name)]


def checked(folder: Path, what: str, name: str = "") -> Checkpoint:
    """Return the checkpoint in ``folder``, which must be whole.

    ``what`` says which one it is in an error, ``name`` of which published weights. Raises PreflightError:
    ``checkpoint_missing``, ``checkpoint_incomplete``, ``checkpoint_unusable``.
    """
    if not folder.is_dir():
        problem = "is a file, not the folder of a checkpoint" if folder.exists() else "does not exist"
        raise PreflightError(
            f"{what}, {folder}, {problem}: name {' or '.join(GENERATIONS)}, or a folder with the files of one",
            code="checkpoint_missing",
        )
    try:
        generation, missing = generation_of(folder, what), missing_files(folder, what)
    except OSError as error:
        raise PreflightError(
            f"{what}, {folder}, cannot be read ({error.strerror}): give yourself the right to, or name another",
            code="checkpoint_unusable",
        ) from error
    if missing:
        raise PreflightError(
            f"{what}, {folder}, lacks {', '.join(missing)}: download it again as a whole, "
            "or name another with --checkpoint",
            code="checkpoint_incomplete",
        )
    return Checkpoint(folder, generation, name)


def _exists(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        # A clone without git-lfs has such a pointer instead of a large file.
        return not file.read(40).startswith(b"version https://git-lfs")


def _read_object(folder: Path, name: str, what: str) -> dict[str, Any]:
    try:
        with (folder / name).open(encoding="utf-8") as file:
            content = json.loads(file.read(_MAX_JSON_BYTES))
    except (ValueError, RecursionError) as error:
        raise _unusable(folder, name, what) from error
    if not isinstance(content, dict):
        raise _unusable(folder, name, what)
    return content


def _unusable(folder: Path, name: str, what: str) -> PreflightError:
    return PreflightError(
        f"{name} of {what}, {folder}, is not that of a fish-speech model: download it again",
        code="checkpoint_unusable",
    )
