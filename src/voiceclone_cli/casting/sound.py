"""What can be heard in a bit of the recording: its level, its noise, where it is clipped or pauses."""

from __future__ import annotations

import typing
from collections.abc import Iterator
from dataclasses import dataclass

from voiceclone_cli.casting.spans import Span
from voiceclone_cli.types import ANALYSIS_RATE, Word

if typing.TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from voiceclone_cli.types import Samples

FRAME = 0.02
"""Seconds a level is taken over."""

_SILENCE_DB = -80.0
_SURROUNDINGS = 0.5
"""Seconds before and after a piece in which its background noise can be heard."""
_FLAT = 0.98
"""Share of a piece's own peak from which on a sample counts as touching the ceiling. A signal that was
clipped and then turned down, or resampled, is flat below full scale."""
_DYNAMIC_DB = 30.0
"""Speech reaches down this far below its loudest frame."""
_SHORT_PAUSE = 0.15
"""Seconds. Sounds that are closer than this are one."""
_LONGEST_SOUND = 3.0
"""Seconds. A longer one is parted at its quietest moment."""


@dataclass(frozen=True, slots=True)
class Quality:
    """How well a piece serves as a reference."""

    level_db: float
    """Of its loud frames, in dB of full scale."""
    snr_db: float
    """Its loud frames over the quietest in and around it."""
    clipped: float
    """Share of its samples that touch the ceiling."""


def listen(samples: Samples, span: Span) -> Quality:
    """The quality of ``span`` of a recording at ANALYSIS_RATE."""
    import numpy as np

    piece = cut(samples, span)
    around = cut(samples, (span[0] - _SURROUNDINGS, span[1] + _SURROUNDINGS))
    speech = float(np.percentile(levels(piece), 90))
    noise = float(np.percentile(levels(around), 5))
    magnitude = np.abs(piece)
    peak = float(magnitude.max(initial=0.0))
    clipped = float(np.mean(magnitude >= _FLAT * peak)) if peak > 0 else 0.0
    return Quality(level_db=speech, snr_db=speech - noise, clipped=clipped)


def cut(samples: Samples, span: Span) -> Samples:
    """The samples of ``span`` at ANALYSIS_RATE, as far as the recording goes."""
    start, end = (max(0, round(time * ANALYSIS_RATE)) for time in span)
    return samples[start:end]


def levels(samples: Samples, rate: int = ANALYSIS_RATE) -> NDArray[np.float64]:
    """Power of each FRAME in dB of full scale, at least one, none under -80."""
    import numpy as np

    size = round(FRAME * rate)
    padded = np.pad(samples.astype(np.float64), (0, -len(samples) % size or (0 if len(samples) else size)))
    power = (padded.reshape(-1, size) ** 2).mean(axis=1)
    decibels: NDArray[np.float64] = 10 * np.log10(np.maximum(power, 10 ** (_SILENCE_DB / 10)))
    return decibels


def sounding(samples: Samples, stretch: Span) -> list[Word]:
    """Where something sounds in a stretch, as words without text: stand-ins where no words are known."""
    loudness = levels(cut(samples, stretch))
    loud = loudness > max(float(loudness.max()) - _DYNAMIC_DB, _SILENCE_DB)
    words = []
    for first, last in _bridged(loud, round(_SHORT_PAUSE / FRAME)):
        for start, end in _parted(loudness, first, last, round(_LONGEST_SOUND / FRAME)):
            begin, stop = stretch[0] + start * FRAME, min(stretch[1], stretch[0] + end * FRAME)
            if stop > begin:
                words.append(Word(begin, stop, "", 1.0))
    return words


def quietest(samples: Samples, rate: int, within: Span) -> float:
    """The middle of the quietest frame between two times of a signal, in seconds."""
    import numpy as np

    start = round(within[0] * rate)
    loudness = levels(samples[start : round(within[1] * rate)], rate)
    return start / rate + (int(np.argmin(loudness)) + 0.5) * FRAME


def _bridged(loud: NDArray[np.bool_], gap: int) -> list[tuple[int, int]]:
    """Runs of loud frames (first, one past the last), those less than ``gap`` frames apart joined."""
    import numpy as np

    edges = np.flatnonzero(np.diff(np.concatenate(([False], loud, [False])).astype(np.int8)))
    runs: list[tuple[int, int]] = []
    for first, last in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if runs and first - runs[-1][1] < gap:
            runs[-1] = (runs[-1][0], last)
        else:
            runs.append((first, last))
    return runs


def _parted(loudness: NDArray[np.float64], first: int, last: int, longest: int) -> Iterator[tuple[int, int]]:
    """A run in parts of at most ``longest`` frames, parted at the quietest frame of its middle half."""
    import numpy as np

    if last - first <= longest:
        yield first, last
        return
    quarter = (last - first) // 4
    middle = first + quarter + int(np.argmin(loudness[first + quarter : last - quarter]))
    yield from _parted(loudness, first, middle, longest)
    yield from _parted(loudness, middle, last, longest)
