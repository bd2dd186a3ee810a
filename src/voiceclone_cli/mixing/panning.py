"""Where in the channels each speaker stands: amplitudes, heard in the original while nobody else speaks."""

from __future__ import annotations

import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from voiceclone_cli.audio.formats import MONO, MAX_MIX_CHANNELS, Layout
from voiceclone_cli.audio.reader import open_audio
from voiceclone_cli.errors import InputError, RunError
from voiceclone_cli.mixing.background import DUCK, NONE, BackgroundTrack, Span, ducking_gains, open_background
from voiceclone_cli.types import Recording, Turn

if typing.TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from voiceclone_cli.audio.reader import Channels

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
class SoloPassage:
    """A stretch of time, in seconds, in which ``speaker`` speaks alone ("": nobody speaks)."""

    start: float
    end: float
    speaker: str


def speaker_gains(
    blocks: Iterable[Channels], rate: int, layout: Layout, turns: Sequence[Turn], speakers: Iterable[str]
) -> Mapping[str, Gains]:
    """For each speaker the amplitude of each channel, constant over the recording.

    Measured over the stretches in which that speaker alone has a turn, less the power that is heard where
    nobody has one (music, noise). Somebody who is hardly heard alone stands where all of them stand
    together; equal in all voiced channels where nothing can be told. Bass channels get nothing.
    """
    heard = _powers(blocks, rate, layout.channels, solo_passages(turns))
    return {
        speaker: _normalised(heard.get(speaker, heard.get(_EVERYBODY)), layout)
        for speaker in sorted(set(speakers))
    }


def solo_passages(turns: Sequence[Turn]) -> list[SoloPassage]:
    """The stretches in which at most one speaker has a turn, in order; the last one has no end."""
    changes = sorted(
        [(turn.start, 1, turn.speaker) for turn in turns] + [(turn.end, -1, turn.speaker) for turn in turns]
    )
    found: list[SoloPassage] = []
    speaking: dict[str, int] = {}
    since = 0.0
    for time, change, speaker in [*changes, (float("inf"), 0, _NOBODY)]:
        if time > since and len(speaking) <= 1:
            found.append(SoloPassage(since, time, next(iter(speaking), _NOBODY)))
        since = time
        speaking[speaker] = speaking.get(speaker, 0) + change
        if not speaking[speaker]:
            del speaking[speaker]
    return found


def _powers(
    blocks: Iterable[Channels], rate: int, channels: int, alone: Sequence[SoloPassage]
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
    voiced[list(layout.speech_channels or range(layout.channels))] = 1
    amplitude = voiced if power is None else np.sqrt(power) * voiced
    if power is None or np.max(power * voiced) < _AUDIBLE:
        amplitude = voiced
    result: Gains = (amplitude * layout.channels / amplitude.sum()).astype(np.float32)
    return result


# The original around the new voices: its channels, where each speaker stands in them, and what stays of it.


class ChannelMixer:
    """Made by :func:`open_surround`."""

    def __init__(
        self,
        layout: Layout,
        gains: Mapping[str, Gains],
        rate: int,
        turns: Sequence[Turn],
        background_track: BackgroundTrack | None,
        *,
        ducked: bool,
    ) -> None:
        self.layout = layout
        self.gains = gains
        self._rate = rate
        self._turns = [(turn.start, turn.end) for turn in turns]
        self._background_track = background_track
        self._ducked = ducked

    def under(self, start: int, end: int, placed: Iterable[Span]) -> Channels:
        """What is heard of the original from frame ``start`` to ``end``; blocks are asked for in order.

        ``placed`` are the spans of the new voices, those that begin soon after ``end`` with them.
        """
        import numpy as np

        if self._background_track is None:
            return np.zeros((end - start, self.layout.channels), np.float32)
        original = self._background_track.next_frames(end - start)
        if self._ducked:
            spoken = [*self._turns, *placed]
            original *= ducking_gains(spoken, start, end, self._rate)[:, None]
        return original


@contextmanager
def open_channel_mixer(
    recording: Recording,
    rate: int,
    turns: Sequence[Turn],
    speakers: Sequence[str],
    background: str,
    models: Mapping[str, Path],
    threads: int,
) -> Iterator[ChannelMixer]:
    """Read the recording as far as the mix needs it: not at all for a mono one with nothing under the voices.

    Raises RunError with the codes of media.opening: what could be read at first has gone.
    """
    with _still_readable():
        layout, gains_in_it = _layout_and_gains(recording, turns, speakers)
    ducked = background == DUCK
    background_track = (
        nullcontext()
        if background == NONE
        else open_background(
            recording.path, layout, rate, kind=background, turns=turns, models=models, threads=threads
        )
    )
    with _still_readable(), background_track as opened:
        yield ChannelMixer(layout, gains_in_it, rate, turns, opened, ducked=ducked)


def _layout_and_gains(
    recording: Recording, turns: Sequence[Turn], speakers: Sequence[str]
) -> tuple[Layout, Mapping[str, Gains]]:
    """The mix's channels and each speaker's gains in them; more channels than people listen to become one."""
    import numpy as np

    if not 1 < recording.channels <= MAX_MIX_CHANNELS:
        return MONO, {speaker: np.ones(1, np.float32) for speaker in speakers}
    with open_audio(recording.path) as stream:
        layout = Layout.of(stream.layout)
        return layout, speaker_gains(stream.channel_blocks(), stream.rate, layout, turns, speakers)


@contextmanager
def _still_readable() -> Iterator[None]:
    try:
        yield
    except InputError as error:
        raise RunError(error.message, code=error.code) from error
