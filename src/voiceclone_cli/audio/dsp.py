"""Signal processing of speech: its level, a limiter, and time stretching."""

from __future__ import annotations

from fractions import Fraction

import av
import av.filter
import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
"""Mono signal, shape (samples,), nominally within [-1, 1]."""

FRAME_SECONDS = 0.02
GATE_DB = 30.0
"""Frames further below the loudest one are pauses."""

FLOOR_DB = -60.0
"""dBFS. Frames below this level are not speech."""

LIMITER_KNEE = 0.9
"""Amplitude up to which the limiter leaves the signal unchanged."""

_FILTER_BLOCK = 1 << 15
_FLUSH_SECONDS = 0.1
"""Silence after the signal: atempo ends up to 24 ms early, and would cut off the end of a word."""


def speech_level_db(samples: Samples, rate: int) -> float | None:
    """Return the active speech level in dBFS, or None for less than 0.1 s of speech.

    It is the mean power of the 20 ms frames within 30 dB of the loudest one: a gated level like that of
    ITU-T P.56, so that pauses do not count.
    """
    size = round(FRAME_SECONDS * rate)
    frames = samples[: len(samples) // size * size].reshape(-1, size)
    power = np.mean(np.square(frames, dtype=np.float64), axis=1)
    threshold = max(power.max(initial=0.0) * 10 ** (-GATE_DB / 10), 10 ** (FLOOR_DB / 10))
    active = power[power > threshold]
    if len(active) * FRAME_SECONDS < 0.1 - 1e-9:
        return None
    return 10 * float(np.log10(active.mean()))


def limit(samples: NDArray[np.floating]) -> NDArray[np.floating]:
    """Keep a signal below full scale: unchanged up to 0.9, and compressed smoothly towards 1 above.

    The curve is static (tanh above the knee, with slope 1 at the knee): each output sample depends on its
    input sample only, so that blocks give the same result as the whole signal.
    """
    size = np.abs(samples)
    if size.max(initial=0.0) <= LIMITER_KNEE:
        return samples
    headroom = 1.0 - LIMITER_KNEE
    compressed = LIMITER_KNEE + headroom * np.tanh((size - LIMITER_KNEE) / headroom)
    limited: NDArray[np.floating] = np.where(size <= LIMITER_KNEE, samples, np.copysign(compressed, samples))
    return limited


def stretch(samples: Samples, rate: int, factor: float) -> Samples:
    """Change the tempo by ``factor`` without changing the pitch (WSOLA: FFmpeg's ``atempo`` filter).

    Returns exactly round(len(samples) / factor) samples; a factor of 1.0 returns the samples unchanged.
    Raises ValueError for a factor outside of [0.5, 2].
    """
    if not 0.5 <= factor <= 2.0:
        raise ValueError(f"stretch factor {factor} is not within 0.5 to 2")
    if factor == 1.0 or not samples.size:
        return samples
    length = round(len(samples) / factor)
    silence = np.zeros(round(_FLUSH_SECONDS * rate), np.float32)
    result = _atempo(np.concatenate([samples.astype(np.float32), silence]), rate, factor)[:length]
    return np.pad(result, (0, length - len(result)))


def _atempo(samples: Samples, rate: int, factor: float) -> Samples:
    graph = av.filter.Graph()
    source = graph.add_abuffer(sample_rate=rate, format="flt", layout="mono", time_base=Fraction(1, rate))
    tempo = graph.add("atempo", f"{factor:.9f}")
    sink = graph.add("abuffersink")
    source.link_to(tempo)
    tempo.link_to(sink)
    graph.configure()
    parts: list[Samples] = []
    for start in range(0, len(samples), _FILTER_BLOCK):
        frame = av.AudioFrame.from_ndarray(
            samples[None, start : start + _FILTER_BLOCK], format="flt", layout="mono"
        )
        frame.sample_rate, frame.pts = rate, start
        graph.push(frame)
        parts += _pull_available(graph)
    graph.push(None)
    parts += _pull_available(graph)
    return np.concatenate(parts)


def _pull_available(graph: av.filter.Graph) -> list[Samples]:
    """Pull the output that the filter has before it needs more input."""
    parts: list[Samples] = []
    while True:
        try:
            parts.append(graph.pull().to_ndarray().ravel().astype(np.float32, copy=False))
        except (av.error.BlockingIOError, av.error.EOFError):
            return parts
