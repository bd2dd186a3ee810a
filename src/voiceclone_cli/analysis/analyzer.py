"""Ears that keep their models from one recording to the next: those of the last recording, no more."""

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


# Which models listen, and where their files are.


def select_diarization_model(settings: Settings, progress: Progress) -> DiarizationModel:
    """The stack that the settings ask for, its files at hand. Raises InputError and PreflightError."""

    def folders(names: Sequence[str]) -> Mapping[str, Path]:
        return download.ensure_models(names, progress, home=models_home(settings), token=settings.token)

    def at_hand(name: str) -> bool:
        (status,) = download.models_status([name], home=models_home(settings))
        # Files put there by hand count: they are verified before they are used.
        return status.state in (store.ModelState.READY, store.ModelState.UNVERIFIED)

    return choose_diarizer(settings.diarizer, models=folders, token=settings.token, at_hand=at_hand)


def recogniser_folder(settings: Settings, progress: Progress) -> Path:
    """A folder as it is given, else a model of the registry."""
    folder = expanded(settings.asr_model)
    if folder.is_dir():
        return folder
    name = settings.asr_model
    return download.ensure_models([name], progress, home=models_home(settings), token=settings.token)[name]


def model_identity(folder: Path) -> list[list[Any]]:
    """The model files in a folder, as cheaply as one can know them again: names, sizes, times."""
    files = sorted(path for path in folder.rglob("[!.]*") if path.is_file())
    return [[str(path), path.stat().st_size, path.stat().st_mtime_ns] for path in files]


# Who diarizes and transcribes: this process, or others.


class Analyzer(Protocol):
    """The same recording, models and settings give the same turns and words, whoever listens.

    Models are chosen and verified before; raises what ``diarize`` and ``transcribe`` raise.
    """

    def turns(
        self,
        recording: Recording,
        stack: DiarizationModel,
        count: SpeakerCount,
        settings: Settings,
        progress: Progress,
    ) -> Diarization:
        """Who speaks when."""

    def words(
        self, recording: Recording, recogniser: Path, settings: Settings, progress: Progress
    ) -> Transcript:
        """Every word that the model in the folder ``recogniser`` hears."""


class StoppableAnalyzer(Analyzer, Protocol):
    """Ears that several threads use at once."""

    def stop(self, stopped: Stopped) -> None:
        """From now on every question, also one that is being answered, raises ``stopped``. Never blocks: fit for
        a signal's handler."""


class LocalAnalyzer:
    """This process listens; a model is loaded for a recording and forgotten after it."""

    def turns(
        self,
        recording: Recording,
        stack: DiarizationModel,
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


LOCAL_ANALYZER = LocalAnalyzer()


# What was heard, back from plain data: ``dataclasses.asdict`` and JSON are the way there.


def diarization_from_dict(known: Mapping[str, Any]) -> Diarization:
    turns, exclusive = (tuple(Turn(**turn) for turn in known[name]) for name in ("turns", "exclusive"))
    return Diarization(turns, exclusive, known["diarizer"], known["why"], tuple(known["notes"]))


def transcript_from_dict(known: Mapping[str, Any]) -> Transcript:
    words = tuple(Word(**word) for word in known["words"])
    return Transcript(words, known["language"], known["language_probability"], known["model"])


# Who speaks when and which words, heard once: what was heard before is remembered.

DIARIZATION_VERSION = 1
TRANSCRIPTION_VERSION = 1
"""To be counted up when the same inputs give another result."""


def diarize_cached(
    recording: Recording,
    settings: Settings,
    count: SpeakerCount,
    progress: Progress,
    cache: StageCache = NULL_CACHE,
    ears: Analyzer = LOCAL_ANALYZER,
) -> Diarization:
    """Who speaks when. Raises InputError (nobody speaks), PreflightError (no model)."""
    stack = select_diarization_model(settings, progress)
    folders = {name: model_identity(folder) for name, folder in stack.folders.items()}
    inputs = {"stack": stack.name, "models": folders, "count": asdict(count)}
    return cache.cached(
        DIARIZATION,
        DIARIZATION_VERSION,
        inputs,
        lambda: ears.turns(recording, stack, count, settings, progress),
        serialize=asdict,
        parse=diarization_from_dict,
    )


def transcribe_cached(
    recording: Recording,
    diarization: Diarization,
    settings: Settings,
    progress: Progress,
    cache: StageCache = NULL_CACHE,
    ears: Analyzer = LOCAL_ANALYZER,
) -> tuple[Transcript, list[str]]:
    """The words spoken, and notes on those that were dropped as hallucinated outside speech."""
    transcript = _transcript(recording, settings, progress, cache, ears)
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
    """What an earlier run in the same directory heard, if it listened with the same recogniser."""
    folder = expanded(settings.asr_model)
    if not folder.is_dir():
        try:
            (status,) = download.models_status([settings.asr_model], home=models_home(settings))
        except InputError:
            return None
        folder = status.folder
    for language in dict.fromkeys((settings.language, None)):
        inputs = {"model": model_identity(folder), "language": language}
        known = cache.load(TRANSCRIPTION, TRANSCRIPTION_VERSION, inputs)
        if known is not None:
            heard = transcript_from_dict(known)
            kept, _ = drop_outside_speech(heard.words, diarization.turns)
            return replace(heard, words=kept)
    return None


def _transcript(
    recording: Recording, settings: Settings, progress: Progress, cache: StageCache, ears: Analyzer
) -> Transcript:
    """Every word that was recognised."""
    recogniser = recogniser_folder(settings, progress)
    inputs = {"model": model_identity(recogniser), "language": settings.language}
    return cache.cached(
        TRANSCRIPTION,
        TRANSCRIPTION_VERSION,
        inputs,
        lambda: ears.words(recording, recogniser, settings, progress),
        serialize=asdict,
        parse=transcript_from_dict,
    )


class CachedModels:
    """Hears what ``OwnEars`` hears. Not safe to use from several threads."""

    def __init__(self) -> None:
        self._pipeline = _LoadedModel()
        self._recogniser = _LoadedModel()

    def turns(
        self,
        recording: Recording,
        stack: DiarizationModel,
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

    def _load_pipeline(self, stack: DiarizationModel, token: str | None) -> Pipeline:
        files = {name: model_identity(folder) for name, folder in stack.folders.items()}
        pipeline: Pipeline = self._pipeline.get(
            (stack.name, files), lambda: diarization.load_diarizer(stack, token)
        )
        return pipeline

    def _load_recogniser(self, model: Path, threads: int) -> WhisperModel:
        def load() -> WhisperModel:
            whisper = load_recogniser(model, threads)
            _when_it_samples(whisper, self._recogniser.forget)
            return whisper

        whisper: WhisperModel = self._recogniser.get((str(model), threads, model_identity(model)), load)
        return whisper


class _LoadedModel:
    """One thing, and what it was made from."""

    def __init__(self) -> None:
        self._made: tuple[Any, Any] | None = None

    def get(self, inputs: Any, make: Callable[[], Any]) -> Any:
        if self._made is None or self._made[0] != inputs:
            self._made = None
            gc.collect()  # models hold themselves in circles, and two of them may be more than fits
            self._made = inputs, make()
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
