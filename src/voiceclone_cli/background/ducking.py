"""The original under the new voices, lowered while somebody speaks."""

from __future__ import annotations

import typing
from collections.abc import Iterable

from voiceclone_cli.background.presence import Span, envelope, merged

if typing.TYPE_CHECKING:
    from voiceclone_cli.types import Samples

DEPTH_DB = 18.0
"""How much lower the original is then: still there, and no longer to be followed."""

ATTACK_SECONDS = 0.15
"""Before a word, so that its beginning is free already."""
RELEASE_SECONDS = 0.5
GAP_SECONDS = 0.8
"""Pauses shorter than this stay lowered: music that pumps between words is worse than none."""


def ducking_gains(active: Iterable[Span], first: int, last: int, rate: int) -> Samples:
    """Amplitude for each frame of the original from ``first`` to ``last``; ramps are straight in decibels.

    ``active`` are the spans in which anybody speaks, in any order. Those that begin more than GAP_SECONDS
    after ``last`` change nothing.
    """
    import numpy as np

    spoken = envelope(merged(active, GAP_SECONDS), first, last, rate, ATTACK_SECONDS, RELEASE_SECONDS)
    gains: Samples = np.power(np.float32(10), -DEPTH_DB / 20 * spoken, dtype=np.float32)
    return gains
