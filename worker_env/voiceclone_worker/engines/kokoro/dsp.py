"""Signals of speech: silent ends, pauses and level. Only numpy is used, since scipy.signal takes a second to import."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from voiceclone_worker.engines.kokoro.model import Floats

_FRAME_SECONDS = 0.01
_ENDS_BELOW_DB, _PAUSES_BELOW_DB = 40.0, 35.0
"""Below the loudest frame: what is quieter is not speech."""
_PAUSE_SECONDS = 0.15
_DIGITAL_SILENCE = 1e-4


def trim(signal: Floats, rate: int, *, keep_seconds: float = 0.0) -> Floats:
    """Return ``signal`` without ends that are 40 dB below its loudest 10 ms; ``keep_seconds`` of each end stay."""
    power = _frame_power(signal, rate)
    if len(power) < 3:
        return signal
    frame, kept = round(rate * _FRAME_SECONDS), round(rate * keep_seconds)
    loud = np.flatnonzero(power > power.max() * 10 ** (-_ENDS_BELOW_DB / 10))
    if not len(loud):
        return signal
    return signal[max(0, loud[0] * frame - kept) : (loud[-1] + 1) * frame + kept]


def speech_seconds(signal: Floats, rate: int) -> float:
    """Return the duration of speech in ``signal``: without its ends and its pauses of 0.15 s or longer."""
    power = _frame_power(signal, rate)
    if not len(power):
        return 0.0
    loud = np.flatnonzero(power > power.max() * 10 ** (-_PAUSES_BELOW_DB / 10))
    if not len(loud):
        return 0.0
    gaps = np.diff(loud) - 1
    pauses = gaps[gaps * _FRAME_SECONDS >= _PAUSE_SECONDS].sum()
    return float((loud[-1] - loud[0] + 1 - pauses) * _FRAME_SECONDS)


def without_gaps(signal: Floats, rate: int) -> Floats:
    """Return ``signal`` without its 10 ms frames of digital silence, as between the parts of a reference.

    No recording of a voice has them, and the logarithm of zero would weigh heavily in its embedding.
    """
    frame = round(rate * _FRAME_SECONDS)
    whole = len(signal) // frame * frame
    frames = signal[:whole].reshape(-1, frame)
    audible = np.abs(frames).max(1) > _DIGITAL_SILENCE
    return np.concatenate([frames[audible].ravel(), signal[whole:]])


def level(signal: Floats) -> float:
    """Return the root mean square."""
    return float(np.sqrt(np.mean(np.square(signal, dtype=np.float64)))) if len(signal) else 0.0


def _frame_power(signal: Floats, rate: int) -> Floats:
    frame = round(rate * _FRAME_SECONDS)
    count = len(signal) // frame
    power: Floats = np.square(signal[: count * frame].reshape(count, frame)).mean(1)
    return power


def at_level(signal: NDArray[np.floating], level: float) -> Floats:
    """Return ``signal`` at the root mean square ``level``, its peak at most .98."""
    scaled = signal * (level / (np.sqrt(np.mean(np.square(signal, dtype=np.float64))) + 1e-9))
    return np.asarray(scaled * min(1.0, 0.98 / (np.abs(scaled).max() + 1e-9)), np.float32)
