"""Where in the channels each speaker stands: amplitudes, heard in the original while nobody else speaks."""

from __future__ import annotations

import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from voiceclone_cli.media.layout import Layout
from voiceclone_cli.types import Turn

if typing.TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from voiceclone_cli.media.decoder import Channels

    Gains = NDArray[np.float32]
    """Shape (channels,). Their mean is 1: the mean of what is put into the channels is the stem itself."""

LEAST_SECONDS = 0.5
"""Of somebody alone. Less says too little; then everybody's place together is taken."""

_NOBODY, _EVERYBODY = "", "*"
"""Not names of speakers: those are file names as well."""

_BED_TAKEN_OFF = 1.25
"""Times what is heard while nobody speaks: music is not the same all the time, and what little of it is left
would weigh a lot as an amplitude."""

_AUDIBLE = 1e-9
"""Mean power of -90 dBFS."""


@dataclass(frozen=True, slots=True)
class Solo:
    """A stretch of time, in seconds, in which ``speaker`` speaks alone ("": nobody speaks)."""

    start: float
    end: float
    speaker: str


def gains(
    blocks: Iterable[Channels], rate: int, layout: Layout, turns: Sequence[Turn], speakers: Iterable[str]
) -> Mapping[str, Gains]:
    """For each speaker the amplitude of each channel, constant over the recording.

    Measured over the stretches in which that speaker alone has a turn, less the power that is heard where
    nobody has one (music, noise). Somebody who is hardly heard alone stands where all of them stand
    together; equal in all voiced channels where nothing can be told. Bass channels get nothing.
    """
    heard = _powers(blocks, rate, layout.channels, solos(turns))
    return {
        speaker: _normalised(heard.get(speaker, heard.get(_EVERYBODY)), layout)
        for speaker in sorted(set(speakers))
    }


def solos(turns: Sequence[Turn]) -> list[Solo]:
    """The stretches in which at most one speaker has a turn, in order; the last one has no end."""
    changes = sorted(
        [(turn.start, 1, turn.speaker) for turn in turns] + [(turn.end, -1, turn.speaker) for turn in turns]
    )
    found: list[Solo] = []
    speaking: dict[str, int] = {}
    since = 0.0
    for time, change, speaker in [*changes, (float("inf"), 0, _NOBODY)]:
        if time > since and len(speaking) <= 1:
            found.append(Solo(since, time, next(iter(speaking), _NOBODY)))
        since = time
        speaking[speaker] = speaking.get(speaker, 0) + change
        if not speaking[speaker]:
            del speaking[speaker]
    return found


def _powers(
    blocks: Iterable[Channels], rate: int, channels: int, alone: Sequence[Solo]
) -> dict[str, NDArray[np.float64]]:
    """Mean power of each channel for who is heard long enough, and for everybody; the bed is taken off."""
    import numpy as np

    names = [_NOBODY, *sorted({solo.speaker for solo in alone} - {_NOBODY})]
    energy = {name: np.zeros(channels) for name in names}
    frames = dict.fromkeys(names, 0)
    position = first = 0
    for block in blocks:
        after = position + len(block)
        while first < len(alone) and alone[first].end * rate <= position:
            first += 1
        for solo in alone[first:]:
            if solo.start * rate >= after:
                break
            start = max(0, round(solo.start * rate) - position)
            piece = block[start : max(start, round(min(solo.end * rate, after)) - position)]
            energy[solo.speaker] += np.einsum("fc,fc->c", piece, piece, dtype=np.float64)
            frames[solo.speaker] += len(piece)
        position = after
    least = LEAST_SECONDS * rate
    bed = (
        _BED_TAKEN_OFF * energy[_NOBODY] / frames[_NOBODY] if frames[_NOBODY] > least else np.zeros(channels)
    )
    voices = {name: energy[name] - frames[name] * bed for name in names[1:] if frames[name] > least}
    powers = {name: np.maximum(0, voice) / frames[name] for name, voice in voices.items()}
    if powers:
        powers[_EVERYBODY] = np.mean(list(powers.values()), axis=0)
    return powers


def _normalised(power: NDArray[np.float64] | None, layout: Layout) -> Gains:
    import numpy as np

    voiced = np.zeros(layout.channels)
    voiced[list(layout.voiced or range(layout.channels))] = 1
    amplitude = voiced if power is None else np.sqrt(power) * voiced
    if power is None or np.max(power * voiced) < _AUDIBLE:
        amplitude = voiced
    result: Gains = (amplitude * layout.channels / amplitude.sum()).astype(np.float32)
    return result
