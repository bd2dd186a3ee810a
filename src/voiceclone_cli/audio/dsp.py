"""Speech made shorter or longer without changing its pitch (WSOLA: FFmpeg's ``atempo`` filter)."""

from __future__ import annotations

import typing
from fractions import Fraction

if typing.TYPE_CHECKING:
    import av.filter
    import numpy as np
    from numpy.typing import NDArray

    from voiceclone_cli.types import Samples


# How loud somebody speaks, pauses left out, and a limiter that keeps sums within full scale.


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


_BLOCK = 1 << 15
_FLUSH_SECONDS = 0.1
"""Silence after the signal: atempo ends up to 24 ms early, and a word's end must not go with them."""


def stretch(samples: Samples, rate: int, factor: float) -> Samples:
    """``factor`` times as fast, at the same pitch, in exactly round(len(samples) / factor) samples.

    ``factor`` lies within [0.5, 2]; 1.0 gives the samples back as they are.
    """
    import numpy as np

    if not 0.5 <= factor <= 2.0:
        raise ValueError(f"speech cannot be stretched by {factor}: 0.5 to 2 is possible")
    if factor == 1.0 or not samples.size:
        return samples
    wanted = round(len(samples) / factor)
    silence = np.zeros(round(_FLUSH_SECONDS * rate), np.float32)
    result = _atempo(np.concatenate([samples.astype(np.float32), silence]), rate, factor)[:wanted]
    return np.pad(result, (0, wanted - len(result)))


def _atempo(samples: Samples, rate: int, factor: float) -> Samples:
    import av
    import numpy as np

    graph = av.filter.Graph()
    source = graph.add_abuffer(sample_rate=rate, format="flt", layout="mono", time_base=Fraction(1, rate))
    tempo = graph.add("atempo", f"{factor:.9f}")
    sink = graph.add("abuffersink")
    source.link_to(tempo)
    tempo.link_to(sink)
    graph.configure()
    parts: list[Samples] = []
    for start in range(0, len(samples), _BLOCK):
        frame = av.AudioFrame.from_ndarray(samples[None, start : start + _BLOCK], format="flt", layout="mono")
        frame.sample_rate, frame.pts = rate, start
        graph.push(frame)
        parts += _ready(graph)
    graph.push(None)
    parts += _ready(graph)
    return np.concatenate(parts)


def _ready(graph: av.filter.Graph) -> list[Samples]:
    """What the filter can give before it needs more."""
    import av
    import numpy as np

    parts: list[Samples] = []
    while True:
        try:
            parts.append(graph.pull().to_ndarray().ravel().astype(np.float32, copy=False))
        except (av.error.BlockingIOError, av.error.EOFError):
            return parts
