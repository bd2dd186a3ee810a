"""Pieces of speech put one after the other."""

from __future__ import annotations

import typing
from collections.abc import Sequence

if typing.TYPE_CHECKING:
    from voiceclone_cli.types import Samples

PAUSE = 0.15
"""Seconds of silence between two pieces."""
FADE = 0.008
"""Seconds in which a piece comes and goes, so that no edge clicks."""


def join(pieces: Sequence[Samples], rate: int) -> Samples:
    """The pieces with a short silence between them, each faded at its edges."""
    import numpy as np

    pause = np.zeros(round(PAUSE * rate), np.float32)
    parts: list[Samples] = []
    for piece in pieces:
        parts += [pause, _faded(piece, rate)]
    return np.concatenate(parts[1:])


def _faded(piece: Samples, rate: int) -> Samples:
    import numpy as np

    length = min(round(FADE * rate), len(piece) // 2)
    ramp = np.sin(np.linspace(0, np.pi / 2, length, endpoint=False, dtype=np.float32)) ** 2
    faded = piece.astype(np.float32, copy=True)
    faded[:length] *= ramp
    faded[len(faded) - length :] *= ramp[::-1]
    return faded
