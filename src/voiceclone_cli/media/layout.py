"""Which loudspeaker each channel of a file is for."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

MOST_CHANNELS = 8
"""A recording of more is a mixing desk's, and no mix for listeners is made in its image."""

_BITS = {
    **{"FL": 1 << 0, "FR": 1 << 1, "FC": 1 << 2, "LFE": 1 << 3, "BL": 1 << 4, "BR": 1 << 5},
    **{"FLC": 1 << 6, "FRC": 1 << 7, "BC": 1 << 8, "SL": 1 << 9, "SR": 1 << 10, "TC": 1 << 11},
    **{"TFL": 1 << 12, "TFC": 1 << 13, "TFR": 1 << 14, "TBL": 1 << 15, "TBC": 1 << 16, "TBR": 1 << 17},
}
"""Of WAVEFORMATEXTENSIBLE's channel mask, by FFmpeg's names."""

_BASS = frozenset({"LFE", "LFE2"})

_PAIRS = (("FL", "FR"), ("SL", "SR"), ("BL", "BR"), ("FLC", "FRC"), ("TFL", "TFR"), ("TBL", "TBR"))


@dataclass(frozen=True, slots=True)
class Layout:
    """The channels of a file in their order, by FFmpeg's names; any other name where nobody knows."""

    names: tuple[str, ...]

    @classmethod
    def of(cls, names: tuple[str, ...]) -> Layout:
        """One or two channels of which a file says nothing are mono and stereo."""
        unknown = not any(name in _BITS for name in names)
        usual = {1: ("FC",), 2: ("FL", "FR")}.get(len(names), names)
        return cls(usual if unknown else names)

    @property
    def channels(self) -> int:
        return len(self.names)

    @property
    def mask(self) -> int:
        """For a wav header; 0 where the channels are unknown, or in an order that a mask cannot tell."""
        bits = [_BITS.get(name, 0) for name in self.names]
        known = all(bits) and all(left < right for left, right in pairwise(bits))
        return sum(bits) if known else 0

    @property
    def voiced(self) -> tuple[int, ...]:
        """The channels in which somebody may speak: all but those for bass."""
        return tuple(index for index, name in enumerate(self.names) if name not in _BASS)

    @property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """The voiced channels: left and right together, others alone."""
        where = {name: index for index, name in enumerate(self.names)}
        pairs = [(where[a], where[b]) for a, b in _PAIRS if a in where and b in where]
        paired = {index for pair in pairs for index in pair}
        return (*pairs, *((index,) for index in self.voiced if index not in paired))


MONO = Layout(("FC",))
