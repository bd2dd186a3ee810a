"""Spleeter's two stems: voices and the rest of a stereo signal, told apart in its spectrogram."""

from __future__ import annotations

import typing
from pathlib import Path

from voiceclone_cli.background.unet import REST, STEP, VOICES, UNets

if typing.TYPE_CHECKING:
    import torch

    from voiceclone_cli.media.decoder import Channels

MODEL = "spleeter-2stems"
RATE = 44_100

_WEIGHTS = "model.data"
_WINDOW = 4096
_HOP = 1024
_HEARD_BINS = 1024
"""Up to 11 kHz. What lies above shares the fate of the highest bins below."""
_HIGHEST_BINS = 64
_EPSILON = 1e-10


class Spleeter:
    """The separation of one model folder. Not to be used by two threads at once."""

    def __init__(self, folder: Path) -> None:
        self._nets = UNets(folder / _WEIGHTS)

    def voices(self, samples: Channels) -> Channels:
        """The voices in one or two channels at 44.1 kHz, in as many samples, each at its place.

        Taking what is left as the background is the same as masking it, since both add up.
        """
        import numpy as np
        import torch

        length, channels = samples.shape
        # Both channels are asked for at once; mono is the same on both sides, as in training.
        stereo = torch.from_numpy(np.ascontiguousarray(samples.T, np.float32)).expand(2, length)
        window = torch.hann_window(_WINDOW)
        padded = torch.nn.functional.pad(stereo, (_WINDOW, _WINDOW + _HOP))
        spectra = torch.stft(padded, _WINDOW, _HOP, window=window, center=False, return_complex=True)
        voices = torch.istft(spectra * self._voice_mask(spectra.abs()), _WINDOW, _HOP, window=window)
        # istft takes the spectra for centred ones and drops the first half window itself.
        start = _WINDOW // 2
        return voices[:channels, start : start + length].numpy().T

    def _voice_mask(self, magnitudes: torch.Tensor) -> torch.Tensor:
        """Share of the power that is voice, shape (2, bins, frames)."""
        import torch
        from torch.nn import functional

        frames = magnitudes.shape[2]
        heard = functional.pad(magnitudes[:, :_HEARD_BINS], (0, -frames % STEP)).transpose(1, 2)
        voice, rest = (self._nets.magnitudes(heard, which).square() for which in (VOICES, REST))
        mask = ((voice + _EPSILON / 2) / (voice + rest + _EPSILON)).transpose(1, 2)[:, :, :frames]
        above = mask[:, -_HIGHEST_BINS:].mean(dim=1, keepdim=True)
        return torch.cat([mask, above.expand(-1, magnitudes.shape[1] - _HEARD_BINS, -1)], dim=1)
