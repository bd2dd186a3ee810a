"""How loud somebody speaks, pauses left out, and a limiter that keeps sums within full scale."""

from __future__ import annotations

import typing

if typing.TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from voiceclone_cli.types import Samples

FRAME_SECONDS = 0.02
GATE_DB = 30.0
"""Frames that lie further below the loudest one are pauses."""

FLOOR_DB = -60.0
"""dBFS. What is not louder than this is not speech."""

LIMITER_KNEE = 0.9
"""Up to here the limiter changes nothing."""


def speech_level_db(samples: Samples, rate: int) -> float | None:
    """Active speech level in dBFS; None where less than 0.1 s of speech can be heard.

    The mean power of the 20 ms frames within 30 dB of the loudest one: a gated level, in the spirit of
    ITU-T P.56, so that pauses do not count.
    """
    import numpy as np

    size = round(FRAME_SECONDS * rate)
    frames = samples[: len(samples) // size * size].reshape(-1, size)
    power = np.mean(np.square(frames, dtype=np.float64), axis=1)
    threshold = max(power.max(initial=0.0) * 10 ** (-GATE_DB / 10), 10 ** (FLOOR_DB / 10))
    active = power[power > threshold]
    if len(active) * FRAME_SECONDS < 0.1 - 1e-9:
        return None
    return 10 * float(np.log10(active.mean()))


def limit(samples: NDArray[np.floating]) -> NDArray[np.floating]:
    """Keep a signal below full scale: untouched up to 0.9, and bent smoothly towards 1 beyond.

    A static curve (tanh above the knee, of slope 1 at it): each sample depends on itself alone, so a
    signal limited in blocks is the signal limited in one piece.
    """
    import numpy as np

    size = np.abs(samples)
    if size.max(initial=0.0) <= LIMITER_KNEE:
        return samples
    room = 1.0 - LIMITER_KNEE
    bent = LIMITER_KNEE + room * np.tanh((size - LIMITER_KNEE) / room)
    limited: NDArray[np.floating] = np.where(size <= LIMITER_KNEE, samples, np.copysign(bent, samples))
    return limited
