"""Who diarizes and transcribes: this process, or others."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from voiceclone_cli.diarization import SpeakerCount, Stack, diarize
from voiceclone_cli.errors import Stopped
from voiceclone_cli.settings import Settings
from voiceclone_cli.transcription import transcribe
from voiceclone_cli.types import Diarization, Progress, Recording, Transcript


class Ears(Protocol):
    """The same recording, models and settings give the same turns and words, whoever listens.

    Models are chosen and verified before; raises what ``diarize`` and ``transcribe`` raise.
    """

    def turns(
        self,
        recording: Recording,
        stack: Stack,
        count: SpeakerCount,
        settings: Settings,
        progress: Progress,
    ) -> Diarization:
        """Who speaks when."""

    def words(
        self, recording: Recording, recogniser: Path, settings: Settings, progress: Progress
    ) -> Transcript:
        """Every word that the model in the folder ``recogniser`` hears."""


class StoppableEars(Ears, Protocol):
    """Ears that several threads use at once."""

    def stop(self, stopped: Stopped) -> None:
        """From now on every question, also one that is being answered, raises ``stopped``. Never blocks: fit for
        a signal's handler."""


class OwnEars:
    """This process listens; a model is loaded for a recording and forgotten after it."""

    def turns(
        self,
        recording: Recording,
        stack: Stack,
        count: SpeakerCount,
        settings: Settings,
        progress: Progress,
    ) -> Diarization:
        return diarize(
            recording, stack, token=settings.token, count=count, threads=settings.threads, progress=progress
        )

    def words(
        self, recording: Recording, recogniser: Path, settings: Settings, progress: Progress
    ) -> Transcript:
        return transcribe(
            recording, recogniser, language=settings.language, threads=settings.threads, progress=progress
        )


OWN_EARS = OwnEars()
