"""Whether somebody speaks in a bit of sound, music or noise under it or not: Silero's voice activity detector,
which the speech recogniser brings along."""

from __future__ import annotations

import typing
from collections.abc import Callable

from voiceclone_cli.provenance import perth
from voiceclone_cli.provenance.watermark import resampled
from voiceclone_cli.types import ANALYSIS_RATE

if typing.TYPE_CHECKING:
    from voiceclone_cli.types import Samples

_FRAME = 512
"""Samples at ANALYSIS_RATE that the detector judges at a time."""


def speech_share() -> Callable[[Samples], float]:
    """A function that tells in how much of a signal at perth.RATE somebody speaks, from 0 to 1."""
    import numpy as np
    from faster_whisper.vad import get_vad_model

    model = get_vad_model()

    def share(signal: Samples) -> float:
        samples = resampled(signal, perth.RATE, ANALYSIS_RATE)
        probabilities = model(np.pad(samples, (0, -len(samples) % _FRAME)))
        return float((probabilities > 0.5).mean())

    return share
