"""Speech made shorter or longer without changing its pitch (WSOLA: FFmpeg's ``atempo`` filter)."""

from __future__ import annotations

import typing
from fractions import Fraction

if typing.TYPE_CHECKING:
    import av.filter

    from voiceclone_cli.types import Samples

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
