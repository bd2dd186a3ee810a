"""Which models listen, and where their files are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from voiceclone_cli import models
from voiceclone_cli.diarization import Stack, choose
from voiceclone_cli.settings import Settings, expanded, models_home
from voiceclone_cli.types import Progress


def diarization_stack(settings: Settings, progress: Progress) -> Stack:
    """The stack that the settings ask for, its files at hand. Raises InputError and PreflightError."""

    def folders(names: Sequence[str]) -> Mapping[str, Path]:
        return models.ensure(names, progress, home=models_home(settings), token=settings.token)

    def at_hand(name: str) -> bool:
        (status,) = models.status([name], home=models_home(settings))
        # Files put there by hand count: they are verified before they are used.
        return status.state in (models.ModelState.READY, models.ModelState.UNVERIFIED)

    return choose(settings.diarizer, models=folders, token=settings.token, at_hand=at_hand)


def recogniser_folder(settings: Settings, progress: Progress) -> Path:
    """A folder as it is given, else a model of the registry."""
    folder = expanded(settings.asr_model)
    if folder.is_dir():
        return folder
    name = settings.asr_model
    return models.ensure([name], progress, home=models_home(settings), token=settings.token)[name]


def identity(folder: Path) -> list[list[Any]]:
    """The model files in a folder, as cheaply as one can know them again: names, sizes, times."""
    files = sorted(path for path in folder.rglob("[!.]*") if path.is_file())
    return [[str(path), path.stat().st_size, path.stat().st_mtime_ns] for path in files]
