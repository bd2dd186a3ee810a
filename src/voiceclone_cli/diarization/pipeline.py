"""From a recording to turns."""

from __future__ import annotations

import gc
import typing
from collections.abc import Callable
from typing import Any

from voiceclone_cli.diarization import choice
from voiceclone_cli.diarization.progress import STAGE, Hook, progress_hook
from voiceclone_cli.diarization.speaker_count import SpeakerCount
from voiceclone_cli.diarization.surroundings import prepare_import, quiet
from voiceclone_cli.errors import InputError
from voiceclone_cli.machine.torch_threads import torch_threads
from voiceclone_cli.types import (
    ANALYSIS_RATE,
    Diarization,
    Progress,
    ProgressEvent,
    Recording,
    Turn,
    no_progress,
)

if typing.TYPE_CHECKING:
    from pyannote.audio import Pipeline
    from pyannote.core import Annotation

Load = Callable[[choice.Stack, str | None], "Pipeline"]
"""Gives the pipeline of a stack; the hub token is for files that are still to be fetched."""


def diarize(
    recording: Recording,
    stack: choice.Stack,
    *,
    token: str | None,
    count: SpeakerCount,
    threads: int,
    progress: Progress = no_progress,
    load: Load = choice.load,
) -> Diarization:
    """Find who speaks when, with a stack that :func:`choose` gave. Speakers are called SPEAKER_00, ... in
    the order in which they first speak.

    A number of speakers that the recording does not bear out is told in the result's notes. The models live
    no longer than this call, unless ``load`` keeps them.
    Raises InputError for a recording without speech and for a stack's folder that does not work.
    """
    progress(ProgressEvent(STAGE, 0.0, recording.seconds, note=f"{stack.name} ({stack.why})"))
    hook = progress_hook(progress, recording.seconds)
    try:
        prepare_import()
        with torch_threads(threads), quiet():
            output = _apply(load(stack, token), recording, count, hook)
    finally:
        gc.collect()  # pyannote's pipelines hold themselves in circles, and the workers need their memory
    turns, exclusive = _named_turns(output, recording)
    found = len({turn.speaker for turn in turns})
    complaint = count.complaint(found)
    progress(ProgressEvent(STAGE, recording.seconds, recording.seconds, note=complaint or ""))
    return Diarization(turns, exclusive, stack.name, stack.why, (complaint,) if complaint else ())


def _apply(pipeline: Pipeline, recording: Recording, count: SpeakerCount, hook: Hook) -> Any:
    """pyannote's DiarizeOutput."""
    import numpy as np
    import torch

    samples = np.require(recording.samples, dtype=np.float32, requirements=["C", "W"])
    file = {
        "waveform": torch.from_numpy(samples)[None],
        "sample_rate": ANALYSIS_RATE,
        "uri": recording.path.stem,
    }
    return pipeline(
        file,
        hook=hook,
        num_speakers=count.exactly,
        min_speakers=count.least,
        max_speakers=count.most,
    )


def _named_turns(output: Any, recording: Recording) -> tuple[tuple[Turn, ...], tuple[Turn, ...]]:
    """Turns and exclusive turns, speakers named in the order in which they are first heard."""
    if not hasattr(output, "exclusive_speaker_diarization"):
        raise InputError(
            "This diarization pipeline gives no exclusive turns; "
            'remove "legacy: true" from its config.yaml or choose --diarizer embedded.',
            code="diarizer_unusable",
        )
    turns = _turns(output.speaker_diarization, recording.seconds)
    exclusive = _turns(output.exclusive_speaker_diarization, recording.seconds)
    if not turns:
        raise InputError(
            f"No speech found in {recording.path.name}; give a recording in which somebody speaks.",
            code="no_speech",
        )
    names: dict[str, str] = {}
    for turn in (*turns, *exclusive):
        names.setdefault(turn.speaker, f"SPEAKER_{len(names):02d}")
    return _renamed(turns, names), _renamed(exclusive, names)


def _turns(annotation: Annotation, seconds: float) -> list[Turn]:
    """In the order of their start, to the millisecond, within the recording (its last window is padded)."""
    turns = [
        Turn(max(0.0, round(segment.start, 3)), min(round(segment.end, 3), round(seconds, 3)), str(label))
        for segment, _, label in annotation.itertracks(yield_label=True)
    ]
    return sorted((turn for turn in turns if turn.end > turn.start), key=lambda turn: (turn.start, turn.end))


def _renamed(turns: list[Turn], names: dict[str, str]) -> tuple[Turn, ...]:
    return tuple(Turn(turn.start, turn.end, names[turn.speaker]) for turn in turns)
