"""The voices in a recording's channels, by two networks that know different things.

DeepFilterNet knows speech from noise, and takes some music for speech; Spleeter knows voices from music, and
takes some noise for a voice. What the first one calls speech is taken out, and from what is left, what the
second one calls a voice (benchmarks/background.py compares this with either of them alone).
"""

from __future__ import annotations

import typing
from collections.abc import Mapping
from pathlib import Path

from voiceclone_cli.background import deepfilter, spectra, spleeter
from voiceclone_cli.background.deepfilter import DeepFilter
from voiceclone_cli.background.spleeter import Spleeter
from voiceclone_cli.machine.torch_threads import torch_threads
from voiceclone_cli.media.layout import Layout

if typing.TYPE_CHECKING:
    from voiceclone_cli.media.decoder import Channels

MODELS = (deepfilter.MODEL, spleeter.MODEL)
"""What ``models.ensure`` is asked for."""

_SILENT = 1e-4
"""-80 dBFS. A channel that never passes it is not looked into."""


class Voices:
    """Finds the voices in pieces of one recording. ``folders`` holds the folder of each of MODELS."""

    def __init__(self, folders: Mapping[str, Path], layout: Layout, rate: int, threads: int) -> None:
        self._speech = DeepFilter(folders[deepfilter.MODEL], threads)
        self._spleeter = Spleeter(folders[spleeter.MODEL])
        self._groups = layout.groups
        self._rate = rate
        self._threads = threads

    def __call__(self, samples: Channels) -> Channels:
        """The part of the samples that is voice, in the same shape. Bass channels have none."""
        import numpy as np

        voices = np.zeros_like(samples)
        for group in self._groups:
            heard = samples[:, group]
            if np.abs(heard).max(initial=0.0) > _SILENT:
                voices[:, group] = self._voices(heard)
        return voices

    def _voices(self, samples: Channels) -> Channels:
        import numpy as np

        length = len(samples)
        fine = _resampled(samples, self._rate, spectra.RATE)
        speech = np.stack([self._speech.speech(channel) for channel in fine.T], axis=1)
        found = _fitted(_resampled(speech, spectra.RATE, self._rate), length)
        coarse = _resampled(samples - found, self._rate, spleeter.RATE)
        with torch_threads(self._threads):
            voices = self._spleeter.voices(coarse)
        return found + _fitted(_resampled(voices, spleeter.RATE, self._rate), length)


def _resampled(samples: Channels, rate: int, target: int) -> Channels:
    import soxr

    resampled: Channels = soxr.resample(samples, rate, target) if rate != target else samples
    return resampled


def _fitted(samples: Channels, length: int) -> Channels:
    """Cut or padded by the sample that the rounding of two resamplings may leave."""
    import numpy as np

    return np.pad(samples[:length], ((0, max(0, length - len(samples))), (0, 0)))
