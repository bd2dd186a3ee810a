"""What clones are compared with: the speakers' own speech in the recording, their references, their loudness."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voiceclone_cli.casting.sound import cut
from voiceclone_cli.casting.spans import alone, merge
from voiceclone_cli.checking.ears import Ears
from voiceclone_cli.checking.embedding import MODEL, from_text, to_text
from voiceclone_cli.checking.hearing import read_wav
from voiceclone_cli.checking.reading import Finished
from voiceclone_cli.fingerprints import file_sha256
from voiceclone_cli.rundir.stages import Stages
from voiceclone_cli.timeline.loudness import speech_level_db
from voiceclone_cli.types import ANALYSIS_RATE, Progress, ProgressEvent

if typing.TYPE_CHECKING:
    from voiceclone_cli.checking.embedding import Embedding
    from voiceclone_cli.types import Samples

STAGE = "voices"
_REMEMBERED_AS = "check-originals"
_ENOUGH = 60.0
"""Seconds of a speaker's own speech; more hardly moves an embedding."""
_LITTLE = 2.0
"""Seconds. Who speaks alone for less is measured where others speak too."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Some speech of one person."""

    embedding: Embedding
    seconds: float


@dataclass(frozen=True, slots=True)
class Originals:
    own: Mapping[str, Sample]
    """Each speaker's speech in the recording; those of whom there is any."""
    references: Mapping[str, Sample]
    levels: Mapping[str, float | None]
    """Active speech level in dBFS of the recording between each segment's times."""


def measure_originals(finished: Finished, ears: Ears, stages: Stages, progress: Progress) -> Originals:
    """Measured once for each recording, turns and references. Raises InputError for a recording that cannot be
    decoded, RunError where the run directory cannot be written."""
    made_from = {
        "model": ears.identity(MODEL),
        "turns": [[turn.start, turn.end, turn.speaker] for turn in finished.turns],
        "lines": [[line.id, line.start, line.end] for line in finished.lines],
        "references": {name: file_sha256(path) for name, path in _references(finished).items()},
        "recording": finished.recording is not None,
    }
    known = stages.recall(_REMEMBERED_AS, made_from)
    if known is None:
        progress(ProgressEvent(STAGE, 0, 1))
        known = _measure(finished, ears)
        stages.keep(_REMEMBERED_AS, made_from, known)
    progress(ProgressEvent(STAGE, 1, 1))
    return Originals(_samples(known["own"]), _samples(known["references"]), known["levels"])


def _measure(finished: Finished, ears: Ears) -> dict[str, Any]:
    from voiceclone_cli.media import read_recording

    own, levels = {}, {}
    if finished.recording is not None:
        signal = read_recording(finished.recording).samples
        speakers = sorted({turn.speaker for turn in finished.turns})
        own = {name: _embedded(_speech_of(name, finished, signal), ears) for name in speakers}
        levels = {
            line.id: speech_level_db(cut(signal, (line.start, line.end)), ANALYSIS_RATE)
            for line in finished.lines
        }
    references = {name: _embedded(_resampled(path), ears) for name, path in _references(finished).items()}
    return {
        "own": {name: sample for name, sample in own.items() if sample},
        "references": {name: sample for name, sample in references.items() if sample},
        "levels": levels,
    }


def _speech_of(speaker: str, finished: Finished, signal: Samples) -> Samples:
    import numpy as np

    spans = alone(finished.turns, speaker)
    if sum(end - start for start, end in spans) < _LITTLE:
        spans = merge((turn.start, turn.end) for turn in finished.turns if turn.speaker == speaker)
    parts = [cut(signal, span) for span in spans]
    return np.concatenate(parts)[: round(_ENOUGH * ANALYSIS_RATE)]


def _embedded(speech: Samples, ears: Ears) -> dict[str, Any] | None:
    voice = ears.encoder.embed(speech)
    return None if voice is None else {"embedding": to_text(voice), "seconds": len(speech) / ANALYSIS_RATE}


def _samples(known: Mapping[str, Any]) -> dict[str, Sample]:
    return {name: Sample(from_text(row["embedding"]), row["seconds"]) for name, row in known.items()}


def _references(finished: Finished) -> dict[str, Path]:
    return {name: path for name, path in finished.references.items() if path.is_file()}


def _resampled(path: Path) -> Samples:
    import soxr

    samples, rate = read_wav(path)
    resampled: Samples = soxr.resample(samples, rate, ANALYSIS_RATE)
    return resampled
