"""What the ear makes of a recording: who speaks when, and which words. With the models it takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from voiceclone_cli import models
from voiceclone_cli.diarization import SpeakerCount, Stack, choose, diarize
from voiceclone_cli.diarization.progress import STAGE as DIARIZATION
from voiceclone_cli.errors import InputError
from voiceclone_cli.settings import Settings, models_home
from voiceclone_cli.stages import NO_STAGES, Stages
from voiceclone_cli.transcription import STAGE as TRANSCRIPTION
from voiceclone_cli.transcription import drop_outside_speech, transcribe
from voiceclone_cli.types import (
    Diarization,
    Progress,
    ProgressEvent,
    Recording,
    Transcript,
    Turn,
    Word,
)


def hear_turns(
    recording: Recording,
    settings: Settings,
    count: SpeakerCount,
    progress: Progress,
    stages: Stages = NO_STAGES,
) -> Diarization:
    """Who speaks when. Raises InputError (nobody speaks), PreflightError (no model)."""
    stack = _stack(settings, progress)
    folders = {name: identity(folder) for name, folder in stack.folders.items()}
    made_from = {"stack": stack.name, "models": folders, "count": asdict(count)}
    known = stages.recall(DIARIZATION, made_from)
    if known is not None:
        progress(ProgressEvent(DIARIZATION, recording.seconds, recording.seconds, note="kept from before"))
        return _diarization(known)
    found = diarize(
        recording, stack, token=settings.token, count=count, threads=settings.threads, progress=progress
    )
    stages.keep(DIARIZATION, made_from, asdict(found))
    return found


def hear_words(
    recording: Recording,
    diarization: Diarization,
    settings: Settings,
    progress: Progress,
    stages: Stages = NO_STAGES,
) -> tuple[Transcript, list[str]]:
    """The words spoken, and notes on those that were dropped as hallucinated outside speech."""
    transcript = _transcript(recording, settings, progress, stages)
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
    heard = Transcript(kept, transcript.language, transcript.language_probability, transcript.model)
    return heard, notes


def heard_before(diarization: Diarization, settings: Settings, stages: Stages) -> Transcript | None:
    """What an earlier run in the same directory heard, if it listened with the same recogniser."""
    folder = Path(settings.asr_model).expanduser()
    if not folder.is_dir():
        try:
            (status,) = models.status([settings.asr_model], home=models_home(settings))
        except InputError:
            return None
        folder = status.folder
    for language in dict.fromkeys((settings.language, None)):
        known = stages.recall(TRANSCRIPTION, {"model": identity(folder), "language": language})
        if known is not None:
            heard = _remembered(known)
            kept, _ = drop_outside_speech(heard.words, diarization.turns)
            return replace(heard, words=kept)
    return None


def _remembered(known: Mapping[str, Any]) -> Transcript:
    words = tuple(Word(**word) for word in known["words"])
    return Transcript(words, known["language"], known["language_probability"], known["model"])


def _stack(settings: Settings, progress: Progress) -> Stack:
    def folders(names: Sequence[str]) -> Mapping[str, Path]:
        return models.ensure(names, progress, home=models_home(settings), token=settings.token)

    def at_hand(name: str) -> bool:
        (status,) = models.status([name], home=models_home(settings))
        # Files put there by hand count: they are verified before they are used.
        return status.state in (models.ModelState.READY, models.ModelState.UNVERIFIED)

    return choose(settings.diarizer, models=folders, token=settings.token, at_hand=at_hand)


def _transcript(recording: Recording, settings: Settings, progress: Progress, stages: Stages) -> Transcript:
    """Every word that was recognised."""
    recogniser = recogniser_folder(settings, progress)
    made_from = {"model": identity(recogniser), "language": settings.language}
    known = stages.recall(TRANSCRIPTION, made_from)
    if known is not None:
        progress(ProgressEvent(TRANSCRIPTION, recording.seconds, recording.seconds, note="kept from before"))
        return _remembered(known)
    transcript = transcribe(
        recording,
        recogniser,
        language=settings.language,
        threads=settings.threads,
        progress=progress,
    )
    stages.keep(TRANSCRIPTION, made_from, asdict(transcript))
    return transcript


def recogniser_folder(settings: Settings, progress: Progress) -> Path:
    """A folder as it is given, else a model of the registry."""
    folder = Path(settings.asr_model).expanduser()
    if folder.is_dir():
        return folder
    names = [settings.asr_model]
    return models.ensure(names, progress, home=models_home(settings), token=settings.token)[
        settings.asr_model
    ]


def identity(folder: Path) -> list[list[Any]]:
    """The model files in a folder, as cheaply as one can know them again: names, sizes, times."""
    files = sorted(path for path in folder.rglob("[!.]*") if path.is_file())
    return [[str(path), path.stat().st_size, path.stat().st_mtime_ns] for path in files]


def _diarization(known: Mapping[str, Any]) -> Diarization:
    turns, exclusive = (tuple(Turn(**turn) for turn in known[name]) for name in ("turns", "exclusive"))
    return Diarization(turns, exclusive, known["diarizer"], known["why"], tuple(known["notes"]))
