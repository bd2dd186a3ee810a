"""Who speaks when and which words, heard once: what was heard before is remembered."""

from __future__ import annotations

from dataclasses import asdict, replace

from voiceclone_cli import models
from voiceclone_cli.diarization import SpeakerCount
from voiceclone_cli.diarization.progress import STAGE as DIARIZATION
from voiceclone_cli.errors import InputError
from voiceclone_cli.listening.choosing import diarization_stack, identity, recogniser_folder
from voiceclone_cli.listening.ears import OWN_EARS, Ears
from voiceclone_cli.listening.findings import diarization_from_dict, transcript_from_dict
from voiceclone_cli.rundir.stages import NO_STAGES, Stages
from voiceclone_cli.settings import Settings, expanded, models_home
from voiceclone_cli.transcription import STAGE as TRANSCRIPTION
from voiceclone_cli.transcription import drop_outside_speech
from voiceclone_cli.types import Diarization, Progress, ProgressEvent, Recording, Transcript


def hear_turns(
    recording: Recording,
    settings: Settings,
    count: SpeakerCount,
    progress: Progress,
    stages: Stages = NO_STAGES,
    ears: Ears = OWN_EARS,
) -> Diarization:
    """Who speaks when. Raises InputError (nobody speaks), PreflightError (no model)."""
    stack = diarization_stack(settings, progress)
    folders = {name: identity(folder) for name, folder in stack.folders.items()}
    made_from = {"stack": stack.name, "models": folders, "count": asdict(count)}
    known = stages.recall(DIARIZATION, made_from)
    if known is not None:
        progress(_kept(DIARIZATION, recording))
        return diarization_from_dict(known)
    found = ears.turns(recording, stack, count, settings, progress)
    stages.keep(DIARIZATION, made_from, asdict(found))
    return found


def hear_words(
    recording: Recording,
    diarization: Diarization,
    settings: Settings,
    progress: Progress,
    stages: Stages = NO_STAGES,
    ears: Ears = OWN_EARS,
) -> tuple[Transcript, list[str]]:
    """The words spoken, and notes on those that were dropped as hallucinated outside speech."""
    transcript = _transcript(recording, settings, progress, stages, ears)
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


def heard_before(diarization: Diarization, settings: Settings, stages: Stages) -> Transcript | None:
    """What an earlier run in the same directory heard, if it listened with the same recogniser."""
    folder = expanded(settings.asr_model)
    if not folder.is_dir():
        try:
            (status,) = models.status([settings.asr_model], home=models_home(settings))
        except InputError:
            return None
        folder = status.folder
    for language in dict.fromkeys((settings.language, None)):
        known = stages.recall(TRANSCRIPTION, {"model": identity(folder), "language": language})
        if known is not None:
            heard = transcript_from_dict(known)
            kept, _ = drop_outside_speech(heard.words, diarization.turns)
            return replace(heard, words=kept)
    return None


def _transcript(
    recording: Recording, settings: Settings, progress: Progress, stages: Stages, ears: Ears
) -> Transcript:
    """Every word that was recognised."""
    recogniser = recogniser_folder(settings, progress)
    made_from = {"model": identity(recogniser), "language": settings.language}
    known = stages.recall(TRANSCRIPTION, made_from)
    if known is not None:
        progress(_kept(TRANSCRIPTION, recording))
        return transcript_from_dict(known)
    transcript = ears.words(recording, recogniser, settings, progress)
    stages.keep(TRANSCRIPTION, made_from, asdict(transcript))
    return transcript


def _kept(stage: str, recording: Recording) -> ProgressEvent:
    return ProgressEvent(stage, recording.seconds, recording.seconds, note="kept from before")
