"""Analysis of recordings: tasks to diarize and to transcribe, choice of the models, cached results."""

from __future__ import annotations

import gc
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from voiceclone_cli.analysis import transcription
from voiceclone_cli.analysis.diarization import DIARIZATION_STAGE as DIARIZATION
from voiceclone_cli.analysis.diarization import (
    DiarizationModel,
    LoadPipeline,
    SpeakerCount,
    choose_diarizer,
    diarize,
    load_diarizer,
)
from voiceclone_cli.analysis.transcription import STAGE as TRANSCRIPTION
from voiceclone_cli.audio.dsp import Samples
from voiceclone_cli.config import Settings, expanded, models_home
from voiceclone_cli.errors import InputError, Stopped
from voiceclone_cli.models import download, store
from voiceclone_cli.rundir.cache import NULL_CACHE, StageCache
from voiceclone_cli.system import machine_memory
from voiceclone_cli.types import ANALYSIS_RATE, Diarization, Progress, Recording, Transcript, Turn, Word
from voiceclone_cli.workers.protocol import AnalysisTask

if typing.TYPE_CHECKING:
    from faster_whisper import WhisperModel
    from pyannote.audio import Pipeline

DIARIZATION_VERSION = 2
TRANSCRIPTION_VERSION = 2
"""To be incremented when the same inputs give another result."""


DIARIZE, TRANSCRIBE, IDENTIFY = "turns", "words", "language"

IDENTIFICATION = "identification"
IDENTIFICATION_VERSION = 1
_SURE_LANGUAGE = 0.5
"""Probability under which a language is not believed."""
_IDENTIFIED_SECONDS = 120.0
"""Of speech, at most."""


def diarization_task(
    recording: Recording, model: DiarizationModel, count: SpeakerCount, settings: Settings
) -> AnalysisTask:
    """Return the task to find who speaks when."""
    folders = {name: str(folder) for name, folder in model.folders.items()}
    request = {
        "op": DIARIZE,
        "model": {"name": model.name, "folders": folders, "why": model.why},
        "count": asdict(count),
        "token": settings.token,
    }
    return _task(recording, request, settings)


def transcription_task(recording: Recording, folder: Path, settings: Settings) -> AnalysisTask:
    """Return the task to recognize the words with the model in ``folder``."""
    model = {"name": settings.asr_model, "folders": {settings.asr_model: str(folder)}}
    return _task(recording, {"op": TRANSCRIBE, "model": model, "language": settings.language}, settings)


def identification_task(
    recording: Recording, diarization: Diarization, folder: Path, settings: Settings
) -> AnalysisTask:
    """Return the task to identify the language that is spoken, by the speech at the beginning of the recording."""
    model = {"name": settings.asr_model, "folders": {settings.asr_model: str(folder)}}
    speech: list[Samples] = []
    for turn in diarization.exclusive:
        speech.append(recording.samples[round(turn.start * ANALYSIS_RATE) : round(turn.end * ANALYSIS_RATE)])
        if sum(map(len, speech)) >= _IDENTIFIED_SECONDS * ANALYSIS_RATE:
            break
    speech_alone = replace(recording, samples=np.concatenate(speech))
    return _task(speech_alone, {"op": IDENTIFY, "model": model}, settings)


def _task(recording: Recording, request: dict[str, Any], settings: Settings) -> AnalysisTask:
    fields = ("source_rate", "source_frames", "channels", "has_video")
    row = {"path": str(recording.path), **{name: getattr(recording, name) for name in fields}}
    request = {**request, "threads": settings.threads, "recording": row}
    return AnalysisTask(request["op"], request, recording.samples, recording.seconds)


def run_task(
    task: AnalysisTask,
    progress: Progress,
    load_pipeline: LoadPipeline = load_diarizer,
    load_whisper: transcription.LoadWhisper = transcription.load_recogniser,
) -> dict[str, Any]:
    """Do a task in this process; return its result as plain data.

    Raises what ``diarize``, ``transcribe`` and ``identify_language`` raise.
    """
    request, model = task.request, task.request["model"]
    row = request["recording"]
    recording = Recording(**{**row, "path": Path(row["path"]), "samples": task.samples})
    folders = {name: Path(folder) for name, folder in model["folders"].items()}
    if request["op"] == IDENTIFY:
        (folder,) = folders.values()
        language, probability = transcription.identify_language(
            task.samples, folder, threads=request["threads"], load=load_whisper
        )
        return {"language": language, "probability": probability}
    if request["op"] == TRANSCRIBE:
        (folder,) = folders.values()
        transcript = transcription.transcribe(
            recording,
            folder,
            language=request["language"],
            threads=request["threads"],
            progress=progress,
            load=load_whisper,
        )
        return asdict(transcript)
    diarization = diarize(
        recording,
        DiarizationModel(model["name"], folders, model["why"]),
        count=SpeakerCount(**request["count"]),
        token=request["token"],
        threads=request["threads"],
        progress=progress,
        load=load_pipeline,
    )
    return asdict(diarization)


class Analyzer(Protocol):
    """Does analysis tasks, in this process or in others, with the same results."""

    def run(self, task: AnalysisTask, progress: Progress) -> dict[str, Any]:
        """As ``run_task``."""


class StoppableAnalyzer(Analyzer, Protocol):
    """An analyzer that can be stopped from another thread."""

    def stop(self, stopped: Stopped) -> None:
        """Raise ``stopped`` in every thread that waits for a result, and in those that ask later. Never blocks."""


class LocalAnalyzer:
    """Analyzer of a single run: in this process, with models that live as long as a task."""

    def run(self, task: AnalysisTask, progress: Progress) -> dict[str, Any]:
        """As ``run_task``."""
        return run_task(task, progress)


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
    name = settings.asr_model
    if (folder := _given_folder(settings)) is not None:
        return folder
    return download.ensure_models([name], progress, home=models_home(settings), token=settings.token)[name]


def _given_folder(settings: Settings) -> Path | None:
    """Return the folder of a transcription model that the user gave; None where it is the name of one."""
    folder = expanded(settings.asr_model)
    return folder if folder.is_dir() else None


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
        lambda: diarization_from_dict(
            analyzer.run(diarization_task(recording, model, count, settings), progress)
        ),
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
    transcript = cache.cached(
        TRANSCRIPTION,
        TRANSCRIPTION_VERSION,
        _transcription_inputs(folder, settings.language),
        lambda: transcript_from_dict(analyzer.run(transcription_task(recording, folder, settings), progress)),
        serialize=asdict,
        parse=transcript_from_dict,
    )
    kept, dropped = transcription.drop_outside_speech(transcript.words, diarization.turns)
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


SIDE_BY_SIDE_BYTES = 3 << 30
"""Memory that has to be free for both analyses at a time: 1.4 GB, and a margin for larger models."""


def concurrent_transcription(
    recording: Recording, settings: Settings, progress: Progress, cache: StageCache = NULL_CACHE
) -> AnalysisTask | None:
    """Return the task to recognize the words while the turns are found.

    None where an earlier run has recognised them, and where there is one thread only or too little memory.
    """
    memory = machine_memory()
    needed = SIDE_BY_SIDE_BYTES + 4 * recording.samples.nbytes
    if settings.threads < 2 or (memory is not None and memory.available < needed):
        return None
    folder = recogniser_folder(settings, progress)
    if cache.holds(TRANSCRIPTION, TRANSCRIPTION_VERSION, _transcription_inputs(folder, settings.language)):
        return None
    return transcription_task(recording, folder, settings)


def _transcription_inputs(folder: Path, language: str | None) -> dict[str, Any]:
    return {"model": model_identity(folder), "language": language}


def cached_transcript(diarization: Diarization, settings: Settings, cache: StageCache) -> Transcript | None:
    """Return the transcript of an earlier run in the same directory with the same model; None where there is none."""
    folder = _known_folder(settings)
    if folder is None:
        return None
    for language in dict.fromkeys((settings.language, None)):
        inputs = _transcription_inputs(folder, language)
        cached = cache.load(TRANSCRIPTION, TRANSCRIPTION_VERSION, inputs)
        if cached is not None:
            transcript = transcript_from_dict(cached)
            kept, _ = transcription.drop_outside_speech(transcript.words, diarization.turns)
            return replace(transcript, words=kept)
    return None


def _known_folder(settings: Settings) -> Path | None:
    """Return the folder of the transcription model, whether it is there or not; None for a name that is not known."""
    if (folder := _given_folder(settings)) is not None:
        return folder
    try:
        (status,) = download.models_status([settings.asr_model], home=models_home(settings))
    except InputError:
        return None
    return status.folder


def identify_language_cached(
    recording: Recording,
    diarization: Diarization,
    settings: Settings,
    progress: Progress,
    cache: StageCache = NULL_CACHE,
    analyzer: Analyzer = LOCAL_ANALYZER,
) -> str:
    """Return the language that is spoken (an ISO 639-1 code), without recognizing the words.

    Empty where it is in doubt, where there is no turn, and where the transcription model has not been downloaded, which
    is not done for this.
    """
    folder = _known_folder(settings)
    if folder is None or not (folder / "model.bin").is_file() or not diarization.exclusive:
        return ""
    found = cache.cached(
        IDENTIFICATION,
        IDENTIFICATION_VERSION,
        {"model": model_identity(folder), "turns": [asdict(turn) for turn in diarization.exclusive]},
        lambda: analyzer.run(identification_task(recording, diarization, folder, settings), progress),
        serialize=lambda document: document,
        parse=lambda document: document,
    )
    language: str = found["language"]
    return language if found["probability"] >= _SURE_LANGUAGE else ""


class CachedModels:
    """Loaders for ``run_task`` that keep the last models. Not safe to use from several threads."""

    def __init__(self) -> None:
        self._pipeline = _LoadedModel()
        self._whisper = _LoadedModel()

    def load_pipeline(self, model: DiarizationModel, token: str | None) -> Pipeline:
        """As ``load_diarizer``."""
        files = {name: model_identity(folder) for name, folder in model.folders.items()}
        pipeline: Pipeline = self._pipeline.get((model.name, files), lambda: load_diarizer(model, token))
        return pipeline

    def load_whisper(self, folder: Path, threads: int) -> WhisperModel:
        """As ``load_recogniser``."""

        def load() -> WhisperModel:
            whisper = transcription.load_recogniser(folder, threads)
            _after_sampling(whisper, self._whisper.forget)
            return whisper

        whisper: WhisperModel = self._whisper.get((str(folder), threads, model_identity(folder)), load)
        return whisper


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
