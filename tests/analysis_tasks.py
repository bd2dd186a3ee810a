"""Tasks of analysis, done by an analyzer in this process, in a worker process or on a node."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from voiceclone_cli.analysis import analyzer
from voiceclone_cli.analysis.analyzer import Analyzer
from voiceclone_cli.analysis.diarization import DiarizationModel, SpeakerCount
from voiceclone_cli.config import Settings
from voiceclone_cli.types import (
    ANALYSIS_RATE,
    Diarization,
    Progress,
    Recording,
    Transcript,
    no_progress,
)


def diarized(
    by: Analyzer,
    recording: Recording,
    model: DiarizationModel,
    settings: Settings,
    progress: Progress = no_progress,
    count: SpeakerCount | None = None,
) -> Diarization:
    task = analyzer.diarization_task(recording, model, count or SpeakerCount(), settings)
    return analyzer.diarization_from_dict(by.run(task, progress))


def transcribed(
    by: Analyzer,
    recording: Recording,
    folder: Path,
    settings: Settings,
    progress: Progress = no_progress,
) -> Transcript:
    task = analyzer.transcription_task(recording, folder, settings)
    return analyzer.transcript_from_dict(by.run(task, progress))


def excerpt(recording: Recording, start: int, end: int) -> Recording:
    """Return the recording from ``start`` to ``end``, in seconds."""
    samples = recording.samples[start * ANALYSIS_RATE : end * ANALYSIS_RATE]
    return replace(recording, samples=samples, source_rate=ANALYSIS_RATE, source_frames=len(samples))
