"""Stems, and what is heard under them, added up into the channels of the mix."""

from __future__ import annotations

import typing
from collections.abc import Mapping

from voiceclone_cli.media.wav import to_pcm16
from voiceclone_cli.timeline.loudness import limit

if typing.TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from voiceclone_cli.media.decoder import Channels
    from voiceclone_cli.timeline.panning import Gains


def mixed(
    stems: Mapping[str, NDArray[np.int16]], gains: Mapping[str, Gains], original: Channels
) -> NDArray[np.int16]:
    """Each 16-bit stem into each channel with its gain, over the original: shape (frames, channels).

    Sums are limited where they near full scale. In one channel, where gains are 1, and over silence this is
    the plain sum of the stems, to the bit.
    """
    import numpy as np

    mix = np.empty(original.shape, np.int16)
    # One channel after the other: half a minute of eight in double precision would be 100 MB.
    for channel in range(original.shape[1]):
        total = original[:, channel].astype(np.float64) * 32768.0
        for speaker, stem in stems.items():
            total += float(gains[speaker][channel]) * stem
        mix[:, channel] = to_pcm16(limit(total / 32768.0))
    return mix
