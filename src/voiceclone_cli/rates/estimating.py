"""From what was measured here to what is to be expected."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from voiceclone_cli.rates.history import History, Observation
from voiceclone_cli.rates.kinds import Kind

NEAREST = 5
"""Observations that count: those that did about as much."""
ENOUGH = 3
"""Observations whose own spread says what to expect."""
NARROWEST = 1.15
"""No machine is steadier than this factor, and few are idle."""
FEW, OTHER_VARIANT, UNKNOWN = 1.35, 1.7, 2.5
"""Factors up and down: one or two observations, those of another variant, none."""
FAR, STRAINED = 4.0, 1.25
"""Work that is so many times more or less than any observed makes the estimate this much less certain."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Seconds, and between which two they will probably be; the process's peak in MB (10^6 bytes)."""

    seconds: float
    low: float
    high: float
    memory_mb: int
    runs: int
    """How many measures of just this it rests on; 0: not measured here yet."""


def estimate(history: History, kind: Kind, work: float) -> Estimate:
    """The typical shape of the stage, scaled by the median of how this machine's own runs compared with it.

    Of the observations those nearest in size count, the latest of equals, so that neither an early guess at the fixed part nor a
    single odd run decides.
    """
    same = history.same_variant(kind)
    observed = same or history.same_family(kind)
    usual = kind.typical.seconds(work)
    if not observed:
        return Estimate(usual, usual / UNKNOWN, usual * UNKNOWN, kind.typical.memory_mb, 0)
    latest_first = list(reversed(observed))
    nearest = sorted(latest_first, key=lambda one: _distance(one.work, work))[:NEAREST]
    # Of the same variant by the shape that is known today; of another by the one that was its own.
    usually = [kind.typical.seconds(one.work) if same else one.typical for one in nearest]
    ratios = [one.seconds / typical for one, typical in zip(nearest, usually, strict=True)]
    # Of two in the middle the lower: what disturbs a run only ever makes it slower.
    middle = statistics.median_low(ratios)
    low, high = _spread(ratios, middle, is_same=bool(same))
    if _distance(nearest[0].work, work) > math.log(FAR):
        low, high = low / STRAINED, high * STRAINED
    return Estimate(usual * middle, usual * low, usual * high, _memory(nearest, kind), len(same))


def _spread(ratios: Sequence[float], middle: float, *, is_same: bool) -> tuple[float, float]:
    if not is_same:
        return middle / OTHER_VARIANT, middle * OTHER_VARIANT
    margin = FEW if len(ratios) < ENOUGH else NARROWEST
    return min(*ratios, middle / margin), max(*ratios, middle * margin)


def _distance(one: float, other: float) -> float:
    """Between two amounts of work: none where each is double the other's half."""
    return abs(math.log(max(one, 1e-3) / max(other, 1e-3)))


def _memory(observed: Sequence[Observation], kind: Kind) -> int:
    """The highest peak: a median would be passed by every other run."""
    return max((one.memory_mb for one in observed if one.memory_mb), default=kind.typical.memory_mb)
