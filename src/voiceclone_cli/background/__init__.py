"""What is heard under the new voices: nothing, the original lowered, or its music and ambience alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from voiceclone_cli import models
from voiceclone_cli.background.original import DUCK, KEEP, NONE, Underlay, open_underlay
from voiceclone_cli.background.voices import MODELS
from voiceclone_cli.settings import Settings, models_home
from voiceclone_cli.types import Progress

__all__ = ["DUCK", "KEEP", "MODELS", "NONE", "Underlay", "model_folders", "open_underlay"]


def model_folders(settings: Settings, progress: Progress) -> Mapping[str, Path]:
    """The models that ``settings.background`` takes, fetched where they are missing: none, but for "keep".

    Raises PreflightError when they cannot be had.
    """
    if settings.background != KEEP:
        return {}
    return models.ensure(MODELS, progress, home=models_home(settings), token=settings.token)
