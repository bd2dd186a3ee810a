"""When somebody speaks, as spans of time, and as an envelope with ramps."""

from __future__ import annotations

import typing
from collections.abc import Iterable, Sequence

if typing.TYPE_CHECKING:
    from voiceclone_cli.types import Samples

Span = tuple[float, float]
"""Start and end in seconds."""


def merged(spans: Iterable[Span], gap: float) -> list[Span]:
    """The union of ``spans`` in order; pauses shorter than ``gap`` seconds belong to what is around them."""
    result: list[Span] = []
    for start, end in sorted(spans):
        if result and start - result[-1][1] < gap:
            result[-1] = (result[-1][0], max(end, result[-1][1]))
        elif end > start:
            result.append((start, end))
    return result


def envelope(spans: Sequence[Span], first: int, last: int, rate: int, rise: float, fall: float) -> Samples:
    """1 within the spans, 0 elsewhere, for the frames from ``first`` to ``last`` at ``rate``.

    Straight ramps lead up to a span in the ``rise`` seconds before it and down in the ``fall`` seconds
    after it. ``spans`` are :func:`merged` with a gap of at least both together, so that ramps never meet.
    """
    import numpy as np

    near = [span for span in spans if span[0] - rise < last / rate and span[1] + fall > first / rate]
    times = [time for start, end in near for time in (start - rise, start, end, end + fall)]
    if not times:
        return np.zeros(last - first, np.float32)
    values = np.interp(np.arange(first, last) / rate, times, [0.0, 1.0, 1.0, 0.0] * len(near))
    return values.astype(np.float32)
