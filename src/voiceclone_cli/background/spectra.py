"""DeepFilterNet's view of a signal: its short-time spectra, and the features its network is given.

As in the published runtime (Schröter et al., "DeepFilterNet: Perceptually Motivated Real-Time Speech
Enhancement", Interspeech 2023, and its library libDF): 20 ms windows every 10 ms at 48 kHz.
"""

from __future__ import annotations

import functools
import typing

if typing.TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from voiceclone_cli.types import Samples

    Spectra = NDArray[np.complex64]
    """Shape (frames, BINS)."""
    Features = NDArray[np.float32]

RATE = 48_000
WINDOW = 960
HOP = 480
BINS = WINDOW // 2 + 1
BANDS = 32
MIN_BINS_OF_BAND = 2
FILTERED_BINS = 96
"""The lowest 4.8 kHz, which are filtered over several frames; above, bands get a gain each."""

NORM_DECAY = 0.99
"""Of the running means: a time constant of one second."""

_FIRST_BAND_DB = (-60.0, -90.0)
_FIRST_BIN_SIZE = (0.001, 0.0001)
"""Where the running means begin, at the lowest and the highest band or bin."""


def analyse(samples: Samples) -> Spectra:
    """Spectra of 20 ms windows; the first one begins 10 ms before the signal, the last one ends after it.

    Every sample lies in two windows, so that :func:`synthesise` gives the signal back.
    """
    import numpy as np

    frames = -(-len(samples) // HOP) + 1
    padded = np.zeros((frames + 1) * HOP, np.float32)
    padded[HOP : HOP + len(samples)] = samples
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    spectra: Spectra = (np.fft.rfft(windows * _window(), axis=1) / WINDOW).astype(np.complex64)
    return spectra


def synthesise(spectra: Spectra, length: int) -> Samples:
    """The signal of spectra that lie as those of :func:`analyse` do, by overlap and add."""
    import numpy as np

    halves = (np.fft.irfft(spectra, WINDOW, axis=1) * WINDOW * _window()).reshape(-1, 2, HOP)
    signal: Samples = (halves[1:, 0] + halves[:-1, 1]).ravel()[:length].astype(np.float32)
    return signal


def band_features(spectra: Spectra) -> Features:
    """Level of each band in dB, less its running mean, over 40: shape (frames, BANDS)."""
    import numpy as np

    power = np.square(np.abs(spectra.astype(np.complex128)))
    edges = band_edges()
    level = 10 * np.log10(np.add.reduceat(power, edges[:-1], axis=1) / np.diff(edges) + 1e-10)
    mean = _running_mean(level, np.linspace(*_FIRST_BAND_DB, BANDS))
    return ((level - mean) / 40).astype(np.float32)


def bin_features(spectra: Spectra) -> Features:
    """The lowest bins over the root of their running mean size: shape (2, frames, FILTERED_BINS)."""
    import numpy as np

    lowest = spectra[:, :FILTERED_BINS].astype(np.complex128)
    mean = _running_mean(np.abs(lowest), np.linspace(*_FIRST_BIN_SIZE, FILTERED_BINS))
    unit = lowest / np.sqrt(mean)
    return np.stack([unit.real, unit.imag]).astype(np.float32)


@functools.cache
def band_edges() -> NDArray[np.intp]:
    """First bin of each band, and BINS: bands equally wide in equivalent rectangular bandwidths.

    A band narrower than two bins takes from the next one.
    """
    import numpy as np

    low_frequency_slope = 9.265
    per_hertz = 24.7 * low_frequency_slope
    highest = low_frequency_slope * np.log1p(RATE / 2 / per_hertz)
    corners = per_hertz * np.expm1(np.arange(1, BANDS + 1) * highest / BANDS / low_frequency_slope)
    wanted = np.rint(corners * WINDOW / RATE).astype(int)
    edges = [0]
    for corner in wanted:
        edges.append(max(int(corner), edges[-1] + MIN_BINS_OF_BAND))
    edges[-1] = BINS
    return np.array(edges, np.intp)


@functools.cache
def _window() -> Samples:
    """Vorbis' power-complementary window."""
    import numpy as np

    sine = np.sin(0.5 * np.pi * (np.arange(WINDOW) + 0.5) / HOP)
    return np.sin(0.5 * np.pi * np.square(sine)).astype(np.float32)


def _running_mean(values: NDArray[np.float64], first: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.signal import lfilter

    means, _ = lfilter([1 - NORM_DECAY], [1, -NORM_DECAY], values, axis=0, zi=(NORM_DECAY * first)[None])
    result: NDArray[np.float64] = means
    return result
