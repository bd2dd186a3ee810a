"""The models of a check: found at once, loaded when something is listened to, and only once."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from voiceclone_cli import models
from voiceclone_cli.checking import embedding, mos
from voiceclone_cli.checking.embedding import SpeakerEncoder
from voiceclone_cli.checking.mos import QualityModel
from voiceclone_cli.checking.recogniser import Recogniser
from voiceclone_cli.listening import identity, recogniser_folder
from voiceclone_cli.settings import Settings, models_home
from voiceclone_cli.types import Progress

if typing.TYPE_CHECKING:
    from voiceclone_cli.types import Samples


class Ears:
    """Raises PreflightError where a model cannot be had."""

    def __init__(self, settings: Settings, progress: Progress) -> None:
        self._threads = settings.threads
        folders = models.ensure([embedding.MODEL, mos.MODEL], progress, home=models_home(settings))
        self._folders: Mapping[str, Path] = {**folders, "words": recogniser_folder(settings, progress)}

    @property
    def names(self) -> dict[str, str]:
        """Which model measures what."""
        return {"similarity": embedding.MODEL, "mos": mos.MODEL, "words": self._folders["words"].name}

    def identity(self, *roles: str) -> dict[str, Any]:
        """The files of the models, as one knows them again; of all, or of those named."""
        return {role: identity(self._folders[role]) for role in roles or self._folders}

    @cached_property
    def encoder(self) -> SpeakerEncoder:
        return SpeakerEncoder(self._folders[embedding.MODEL])

    @cached_property
    def _quality(self) -> QualityModel:
        return QualityModel(self._folders[mos.MODEL], self._threads)

    @cached_property
    def _recogniser(self) -> Recogniser:
        return Recogniser(self._folders["words"], self._threads)

    def listen(self, speech: Samples, language: str) -> tuple[str | None, float | None, str | None]:
        """Voice (as text), quality and words of speech at ANALYSIS_RATE."""
        voice = self.encoder.embed(speech)
        return (
            None if voice is None else embedding.to_text(voice),
            self._quality.score(speech),
            self._recogniser.words(speech, language),
        )
