"""Ears that keep their models from one recording to the next: those of the last recording, no more."""

from __future__ import annotations

import gc
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

from voiceclone_cli.diarization import SpeakerCount, Stack, choice, diarize
from voiceclone_cli.listening.choosing import identity
from voiceclone_cli.transcription import load_recogniser, transcribe
from voiceclone_cli.types import Diarization, Progress, Recording, Transcript

if typing.TYPE_CHECKING:
    from faster_whisper import WhisperModel
    from pyannote.audio import Pipeline


class KeptEars:
    """Hears what ``OwnEars`` hears. Not safe to use from several threads."""

    def __init__(self) -> None:
        self._pipeline = _Kept()
        self._recogniser = _Kept()

    def turns(
        self,
        recording: Recording,
        stack: Stack,
        count: SpeakerCount,
        *,
        token: str | None,
        threads: int,
        progress: Progress,
    ) -> Diarization:
        """As ``diarize``."""
        return diarize(
            recording,
            stack,
            token=token,
            count=count,
            threads=threads,
            progress=progress,
            load=self._load_pipeline,
        )

    def words(
        self, recording: Recording, model: Path, *, language: str | None, threads: int, progress: Progress
    ) -> Transcript:
        """As ``transcribe``."""
        return transcribe(
            recording,
            model,
            language=language,
            threads=threads,
            progress=progress,
            load=self._load_recogniser,
        )

    def _load_pipeline(self, stack: Stack, token: str | None) -> Pipeline:
        files = {name: identity(folder) for name, folder in stack.folders.items()}
        pipeline: Pipeline = self._pipeline.get((stack.name, files), lambda: choice.load(stack, token))
        return pipeline

    def _load_recogniser(self, model: Path, threads: int) -> WhisperModel:
        def load() -> WhisperModel:
            whisper = load_recogniser(model, threads)
            _when_it_samples(whisper, self._recogniser.forget)
            return whisper

        whisper: WhisperModel = self._recogniser.get((str(model), threads, identity(model)), load)
        return whisper


class _Kept:
    """One thing, and what it was made from."""

    def __init__(self) -> None:
        self._made: tuple[Any, Any] | None = None

    def get(self, made_from: Any, make: Callable[[], Any]) -> Any:
        if self._made is None or self._made[0] != made_from:
            self._made = None
            gc.collect()  # models hold themselves in circles, and two of them may be more than fits
            self._made = made_from, make()
        return self._made[1]

    def forget(self) -> None:
        self._made = None


def _when_it_samples(whisper: WhisperModel, tell: Callable[[], None]) -> None:
    """Call ``tell`` when a window was decoded by sampling.

    The random generator of a loaded model then stands elsewhere than that of a new one, and ctranslate2 has
    no way to set it back: the next recording would be heard otherwise than by itself.
    """
    decode = whisper.generate_with_fallback

    def decode_and_tell(*args: Any, **named: Any) -> Any:
        found = decode(*args, **named)
        temperature = found[2]  # the last that was tried, whichever result was taken
        if temperature > 0:
            tell()
        return found

    whisper.generate_with_fallback = decode_and_tell
