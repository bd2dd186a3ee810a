"""Panning of speakers in the channels of the mix, measured in the original while each speaks alone."""

from __future__ import annotations

import typing
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from voiceclone_cli.audio.formats import MAX_MIX_CHANNELS, MONO, Layout
from voiceclone_cli.audio.reader import open_audio
from voiceclone_cli.types import Recording, Turn

if typing.TYPE_CHECKING:
    from voiceclone_cli.audio.reader import Channels

    Gains = NDArray[np.float32]
    """Amplitude of each channel, with a mean of 1: the mean of the channels is the stem."""


MIN_SECONDS = 0.5
"""Minimum seconds of a speaker alone; with less, a speaker gets the mean of all speakers."""

_SILENCE, _ALL = "", "*"
"""Keys that cannot be names of speakers, which are file names."""

_NOISE_FACTOR = 1.25
"""Factor of the subtracted background power: music varies, and a small remainder is a large amplitude."""

_AUDIBLE = 1e-9
"""Mean power of -90 dBFS."""


def layout_and_gains(
    recording: Recording, turns: Sequence[Turn], speakers: Sequence[str]
) -> tuple[Layout, Mapping[str, Gains]]:
    """Return the channels of the mix and each speaker's gains in them.

    More than MAX_MIX_CHANNELS become mono. Raises InputError as open_audio does.
    """
    if not 1 < recording.channels <= MAX_MIX_CHANNELS:
        return MONO, {speaker: np.ones(1, np.float32) for speaker in speakers}
    with open_audio(recording.path, recording.audio) as stream:
        layout = Layout.of(stream.layout)
        return layout, speaker_gains(stream.channel_blocks(), stream.rate, layout, turns, speakers)


def speaker_gains(
    blocks: Iterable[Channels], rate: int, layout: Layout, turns: Sequence[Turn], speakers: Iterable[str]
) -> Mapping[str, Gains]:
    """Return each speaker's gains, which are constant over the recording.

    They follow from the power of the channels while only that speaker has a turn, minus the power while no
    speaker has one (music, noise). A speaker who is hardly ever alone gets the mean of all speakers; without
    any measure, gains are equal in all speech channels. Low-frequency channels get nothing.
    """
    powers = _powers(blocks, rate, layout.channels, solo_passages(turns))
    return {
        speaker: _to_gains(powers.get(speaker, powers.get(_ALL)), layout) for speaker in sorted(set(speakers))
    }


def solo_passages(turns: Sequence[Turn]) -> list[Turn]:
    """Return the times in which at most one speaker has a turn, in order, with the speaker "" for silence.

    The last one is silence without an end.
    """
    changes = sorted(
        [(turn.start, 1, turn.speaker) for turn in turns] + [(turn.end, -1, turn.speaker) for turn in turns]
    )
    passages: list[Turn] = []
    speaking: dict[str, int] = {}
    since = 0.0
    for time, change, speaker in [*changes, (float("inf"), 0, _SILENCE)]:
        if time > since and len(speaking) <= 1:
            passages.append(Turn(since, time, next(iter(speaking), _SILENCE)))
        since = time
        speaking[speaker] = speaking.get(speaker, 0) + change
        if not speaking[speaker]:
            del speaking[speaker]
    return passages


def _powers(
    blocks: Iterable[Channels], rate: int, channels: int, passages: Sequence[Turn]
) -> dict[str, NDArray[np.float64]]:
    """Return the mean power of each channel for each speaker with enough time, and for all, without noise."""
    names = [_SILENCE, *sorted({passage.speaker for passage in passages} - {_SILENCE})]
    energy = {name: np.zeros(channels) for name in names}
    frames = dict.fromkeys(names, 0)
    position = first = 0
    for block in blocks:
        after = position + len(block)
        while first < len(passages) and passages[first].end * rate <= position:
            first += 1
        for passage in passages[first:]:
            if passage.start * rate >= after:
                break
            start = max(0, round(passage.start * rate) - position)
            part = block[start : max(start, round(min(passage.end * rate, after)) - position)]
            energy[passage.speaker] += np.einsum("fc,fc->c", part, part, dtype=np.float64)
            frames[passage.speaker] += len(part)
        position = after
    enough = MIN_SECONDS * rate
    noise = np.zeros(channels)
    if frames[_SILENCE] > enough:
        noise = _NOISE_FACTOR * energy[_SILENCE] / frames[_SILENCE]
    powers = {
        name: np.maximum(0, energy[name] - frames[name] * noise) / frames[name]
        for name in names[1:]
        if frames[name] > enough
    }
    if powers:
        powers[_ALL] = np.mean(list(powers.values()), axis=0)
    return powers


def _to_gains(power: NDArray[np.float64] | None, layout: Layout) -> Gains:
    amplitude = mask = np.zeros(layout.channels)
    mask[list(layout.speech_channels or range(layout.channels))] = 1
    if power is not None and np.max(power * mask) >= _AUDIBLE:
        amplitude = np.sqrt(power) * mask
    result: Gains = (amplitude * layout.channels / amplitude.sum()).astype(np.float32)
    return result
