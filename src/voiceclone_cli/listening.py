"""What the ear makes of a recording: who speaks when, and which words. With the models it takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from voiceclone_cli import models
from voiceclone_cli.diarization import SpeakerCount, diarize
from voiceclone_cli.errors import InputError
from voiceclone_cli.settings import Settings, models_home
from voiceclone_cli.transcription import drop_outside_speech, transcribe
from voiceclone_cli.types import Diarization, Progress, Recording, Transcript


def hear_turns(
    recording: Recording, settings: Settings, count: SpeakerCount, progress: Progress
) -> Diarization:
    """Who speaks when. Raises InputError (nobody speaks), PreflightError (no model)."""

    def folders(names: Sequence[str]) -> Mapping[str, Path]:
        return models.ensure(names, progress, home=models_home(settings), token=settings.token)

    def at_hand(name: str) -> bool:
        (status,) = models.status([name], home=models_home(settings))
        # Files put there by hand count: they are verified before they are used.
        return status.state in (models.ModelState.READY, models.ModelState.UNVERIFIED)

    return diarize(
        recording,
        diarizer=settings.diarizer,
        models=folders,
        token=settings.token,
        count=count,
        threads=settings.threads,
        progress=progress,
        at_hand=at_hand,
    )


def hear_words(
    recording: Recording, diarization: Diarization, settings: Settings, progress: Progress
) -> tuple[Transcript, list[str]]:
    """The words spoken, and notes on those that were dropped as hallucinated outside speech."""
    transcript = transcribe(
        recording,
        _recogniser(settings, progress),
        language=settings.language,
        threads=settings.threads,
        progress=progress,
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
    heard = Transcript(kept, transcript.language, transcript.language_probability, transcript.model)
    return heard, notes


def _recogniser(settings: Settings, progress: Progress) -> Path:
    """A folder as it is given, else a model of the registry."""
    folder = Path(settings.asr_model).expanduser()
    if folder.is_dir():
        return folder
    names = [settings.asr_model]
    return models.ensure(names, progress, home=models_home(settings), token=settings.token)[
        settings.asr_model
    ]
