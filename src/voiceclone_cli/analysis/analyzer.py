"""Diarization and transcription of recordings: choice of the models, cached results, models that stay loaded."""

from __future__ import annotations

import gc
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Protocol

from voiceclone_cli.analysis import diarization
from voiceclone_cli.analysis.diarization import DIARIZATION_STAGE as DIARIZATION
from voiceclone_cli.analysis.diarization import DiarizationModel, SpeakerCount, choose_diarizer, diarize
from voiceclone_cli.analysis.transcription import STAGE as TRANSCRIPTION
from voiceclone_cli.analysis.transcription import drop_outside_speech, load_recogniser, transcribe
from voiceclone_cli.config import Settings, expanded, models_home
from voiceclone_cli.errors import InputError, Stopped
from voiceclone_cli.models import download, store
from voiceclone_cli.rundir.cache import NULL_CACHE, StageCache
from voiceclone_cli.types import Diarization, Progress, Recording, Transcript, Turn, Word

if typing.TYPE_CHECKING:
    from faster_whisper import WhisperModel
    from pyannote.audio import Pipeline

DIARIZATION_VERSION = 1
TRANSCRIPTION_VERSION = 1
"""To be incremented when the same inputs give another result."""


class Analyzer(Protocol):
    """Diarizes and transcribes, in this process or in others.

    The same recording, models and settings give the same result with every analyzer. Models are chosen and
    verified before. Raises what ``diarize`` and ``transcribe`` raise.
    """

    def diarize(
        self,
        recording: Recording,
        model: DiarizationModel,
        count: SpeakerCount,
        settings: Settings,
        progress: Progress,
    ) -> Diarization:
        """Find who speaks when."""

    def transcribe(
        self, recording: Recording, folder: Path, settings: Settings, progress: Progress
    ) -> Transcript:
        """Recognize the words with the model in ``folder``."""


class StoppableAnalyzer(Analyzer, Protocol):
    """An analyzer that can be stopped from another thread."""

    def stop(self, stopped: Stopped) -> None:
        """Raise ``stopped`` in every thread that waits for a result, and in those that ask later. Never blocks."""


class LocalAnalyzer:
    """Analyzer of a single run: in this process, with models that live as long as a call."""

    def diarize(
        self,
        recording: Recording,
        model: DiarizationModel,
        count: SpeakerCount,
        settings: Settings,
        progress: Progress,
    ) -> Diarization:
        """As ``Analyzer``."""
        return diarize(
            recording, model, token=settings.token, count=count, threads=settings.threads, progress=progress
        )

    def transcribe(
        self, recording: Recording, folder: Path, settings: Settings, progress: Progress
    ) -> Transcript:
        """As ``Analyzer``."""
        return transcribe(
            recording, folder, language=settings.language, threads=settings.threads, progress=progress
        )


LOCAL_ANALYZER = LocalAnalyzer()


def select_diarization_model(settings: Settings, progress: Progress) -> DiarizationModel:
    """Return the diarization model of the settings, downloaded. Raises InputError and PreflightError."""

    def folders(names: Sequence[str]) -> Mapping[str, Path]:
        return download.ensure_models(names, progress, home=models_home(settings), token=settings.token)

    def is_downloaded(name: str) -> bool:
        (status,) = download.models_status([name], home=models_home(settings))
        # Files put there by hand count: they are verified before they are used.
        return status.state in (store.ModelState.READY, store.ModelState.UNVERIFIED)

    return choose_diarizer(
        settings.diarizer, models=folders, token=settings.token, is_downloaded=is_downloaded
    )


def recogniser_folder(settings: Settings, progress: Progress) -> Path:
    """Return the folder of the transcription model: as given, else of the registry, downloaded."""
    folder = expanded(settings.asr_model)
    if folder.is_dir():
        return folder
    name = settings.asr_model
    return download.ensure_models([name], progress, home=models_home(settings), token=settings.token)[name]


def model_identity(folder: Path) -> list[list[Any]]:
    """Return names, sizes and times of the files in a folder: a cheap way to recognize a model."""
    files = sorted(path for path in folder.rglob("[!.]*") if path.is_file())
    return [[str(path), path.stat().st_size, path.stat().st_mtime_ns] for path in files]


def diarization_from_dict(document: Mapping[str, Any]) -> Diarization:
    """Return the diarization that ``dataclasses.asdict`` gave."""
    turns, exclusive = (tuple(Turn(**turn) for turn in document[name]) for name in ("turns", "exclusive"))
    return Diarization(turns, exclusive, document["diarizer"], document["why"], tuple(document["notes"]))


def transcript_from_dict(document: Mapping[str, Any]) -> Transcript:
    """Return the transcript that ``dataclasses.asdict`` gave."""
    words = tuple(Word(**word) for word in document["words"])
    return Transcript(words, document["language"], document["language_probability"], document["model"])


def diarize_cached(
    recording: Recording,
    settings: Settings,
    count: SpeakerCount,
    progress: Progress,
    cache: StageCache = NULL_CACHE,
    analyzer: Analyzer = LOCAL_ANALYZER,
) -> Diarization:
    """Return who speaks when, from the cache where it is there.

    Raises InputError (the recording holds no speech), PreflightError (no model).
    """
    model = select_diarization_model(settings, progress)
    folders = {name: model_identity(folder) for name, folder in model.folders.items()}
    inputs = {"stack": model.name, "models": folders, "count": asdict(count)}
    return cache.cached(
        DIARIZATION,
        DIARIZATION_VERSION,
        inputs,
        lambda: analyzer.diarize(recording, model, count, settings, progress),
        serialize=asdict,
        parse=diarization_from_dict,
    )


def transcribe_cached(
    recording: Recording,
    diarization: Diarization,
    settings: Settings,
    progress: Progress,
    cache: StageCache = NULL_CACHE,
    analyzer: Analyzer = LOCAL_ANALYZER,
) -> tuple[Transcript, list[str]]:
    """Return the words, and notes on those that were dropped because they lie outside any speech."""
    folder = recogniser_folder(settings, progress)
    inputs = {"model": model_identity(folder), "language": settings.language}
    transcript = cache.cached(
        TRANSCRIPTION,
        TRANSCRIPTION_VERSION,
        inputs,
        lambda: analyzer.transcribe(recording, folder, settings, progress),
        serialize=asdict,
        parse=transcript_from_dict,
    )
    kept, dropped = drop_outside_speech(transcript.words, diarization.turns)
    if not kept:
        raise InputError(
            f"no words were recognised in {recording.path.name}; give the text with --script",
            code="no_words",
        )
    notes = []
    if dropped:
        words = "".join(word.text for word in dropped).strip()
        notes.append(f"{len(dropped)} recognised words lie outside any speech and were dropped: {words:.80}")
    return replace(transcript, words=kept), notes


def cached_transcript(diarization: Diarization, settings: Settings, cache: StageCache) -> Transcript | None:
    """Return the transcript of an earlier run in the same directory with the same model; None where there is none."""
    folder = expanded(settings.asr_model)
    if not folder.is_dir():
        try:
            (status,) = download.models_status([settings.asr_model], home=models_home(settings))
        except InputError:
            return None
        folder = status.folder
    for language in dict.fromkeys((settings.language, None)):
        inputs = {"model": model_identity(folder), "language": language}
        cached = cache.load(TRANSCRIPTION, TRANSCRIPTION_VERSION, inputs)
        if cached is not None:
            transcript = transcript_from_dict(cached)
            kept, _ = drop_outside_speech(transcript.words, diarization.turns)
            return replace(transcript, words=kept)
    return None


class CachedModels:
    """Models that stay loaded, those of the last recording. Not safe to use from several threads.

    Gives the same results as ``LocalAnalyzer``.
    """

    def __init__(self) -> None:
        self._pipeline = _LoadedModel()
        self._recogniser = _LoadedModel()

    def diarize(
        self,
        recording: Recording,
        model: DiarizationModel,
        count: SpeakerCount,
        *,
        token: str | None,
        threads: int,
        progress: Progress,
    ) -> Diarization:
        """As ``diarize``."""

        def load(model: DiarizationModel, token: str | None) -> Pipeline:
            files = {name: model_identity(folder) for name, folder in model.folders.items()}
            pipeline: Pipeline = self._pipeline.get(
                (model.name, files), lambda: diarization.load_diarizer(model, token)
            )
            return pipeline

        return diarize(
            recording, model, token=token, count=count, threads=threads, progress=progress, load=load
        )

    def transcribe(
        self, recording: Recording, folder: Path, *, language: str | None, threads: int, progress: Progress
    ) -> Transcript:
        """As ``transcribe``."""

        def load_new() -> WhisperModel:
            whisper = load_recogniser(folder, threads)
            _after_sampling(whisper, self._recogniser.forget)
            return whisper

        def load(folder: Path, threads: int) -> WhisperModel:
            whisper: WhisperModel = self._recogniser.get(
                (str(folder), threads, model_identity(folder)), load_new
            )
            return whisper

        return transcribe(recording, folder, language=language, threads=threads, progress=progress, load=load)


class _LoadedModel:
    """One model, and what it was made from."""

    def __init__(self) -> None:
        self._inputs_and_model: tuple[Any, Any] | None = None

    def get(self, inputs: Any, make: Callable[[], Any]) -> Any:
        if self._inputs_and_model is None or self._inputs_and_model[0] != inputs:
            self._inputs_and_model = None
            gc.collect()  # models hold themselves in circles, and two of them may be more than fits
            self._inputs_and_model = inputs, make()
        return self._inputs_and_model[1]

    def forget(self) -> None:
        self._inputs_and_model = None


def _after_sampling(whisper: WhisperModel, forget: Callable[[], None]) -> None:
    """Call ``forget`` when a window was decoded by sampling.

    The random generator of a loaded model is then in another state than that of a new one, and ctranslate2 has
    no way to set it back: the next recording would get other words than with a new model.
    """
    decode = whisper.generate_with_fallback

    def decode_and_check(*args: Any, **named: Any) -> Any:
        found = decode(*args, **named)
        temperature = found[2]  # the last that was tried, whichever result was taken
        if temperature > 0:
            forget()
        return found

    whisper.generate_with_fallback = decode_and_check
