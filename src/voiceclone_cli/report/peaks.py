"""Waveforms small enough to lie in a page: the loudest sample of every hundredth of a second, a byte each."""

from __future__ import annotations

import base64
import typing
from dataclasses import dataclass
from pathlib import Path

if typing.TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PER_SECOND = 100.0
"""Peaks. Enough to see the burst of a consonant when a line fills the window."""

MOST = 240_000
"""Peaks of one file. Recordings of more than 40 minutes are drawn more coarsely."""

_BINS_AT_ONCE = 2_000


@dataclass(frozen=True, slots=True)
class Peaks:
    seconds: float
    per_second: float
    base64: str
    """A byte a peak, 255 is full scale."""


def read_peaks(path: Path) -> Peaks | None:
    """The peaks of an audio file over all its channels, read in blocks; None where it cannot be read."""
    import soundfile

    try:
        # Opened here, since libsndfile's wrapper takes no name that is not Unicode.
        with path.open("rb") as file, soundfile.SoundFile(file) as sound:
            seconds = sound.frames / sound.samplerate
            per_second = PER_SECOND if seconds * PER_SECOND <= MOST else MOST / seconds
            peaks = _peaks(sound, sound.samplerate / per_second)
    except (soundfile.LibsndfileError, OSError):
        return None
    return Peaks(seconds, per_second, base64.b64encode(peaks.tobytes()).decode("ascii"))


def _peaks(sound: typing.Any, frames_each: float) -> NDArray[np.uint8]:
    import numpy as np

    count = int(np.ceil(sound.frames / frames_each))
    # Rounded from exact times, so that a long file does not drift.
    bounds = np.minimum(np.rint(np.arange(count + 1) * frames_each), sound.frames).astype(np.int64)
    peaks = np.zeros(count, np.uint8)
    for first in range(0, count, _BINS_AT_ONCE):
        edges = bounds[first : first + _BINS_AT_ONCE + 1]
        block = sound.read(int(edges[-1] - edges[0]), dtype="float32", always_2d=True)
        starts = edges[:-1] - edges[0]
        # A file that ends before its header says so has no more peaks.
        starts = starts[starts < len(block)]
        if not len(starts):
            break
        loudest = np.maximum.reduceat(np.abs(block).max(axis=1), starts)
        peaks[first : first + len(starts)] = np.rint(255 * np.clip(np.nan_to_num(loudest), 0, 1))
    return peaks
