"""Perth's implicit watermark: the network that writes it into a spectrum, and the one that looks for it.

Perth ("perceptual threshold", Resemble AI, 2023) changes the magnitudes below 2 kHz by a few decibels, in a
pattern that convolutions make of the speech itself and that speech masks. Both networks are seven
convolutions over time; weights and sizes are those of the published model (resemble-perth 1.0.1, MIT).
"""

from __future__ import annotations

import typing
from collections.abc import Mapping
from pathlib import Path

if typing.TYPE_CHECKING:
    from torch import Tensor

    Convolutions = list[tuple[Tensor, Tensor]]
    """Weights and bias of each, in order."""

FILE = "perth_net_250000.pth.tar"
RATE = 32_000
"""Hz. At no other rate do the networks hear what they were trained on."""
HOP = 320
SHORTEST = 3_200
"""Samples at RATE, a tenth of a second. Half a window of the transform has to fit in, and a few hops."""

_WINDOW = 2_048
_BANDS = 128
"""Of the transform's 1025 bins, those below 2 kHz."""
_FLOOR_DB, _RANGE_DB = -180.0, 195.0
"""The networks know a magnitude as its place between -180 and +15 dB, from 0 to 1."""
_AUDIBLE = 0.05
"""Frames that are less than this share of the loudest one carry no mark."""
_TEMPI = (("slow", 1.25), ("normal", 1.0), ("fast", 0.75))
"""The decoder looks at three tempi, and believes the one it is surest of."""


class Perth:
    """Both networks, ready to be called. Signals are float32 at RATE, of at least SHORTEST samples."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        self._encoder = _convolutions(weights, "encoder.layers")
        self._decoder = [
            (_convolutions(weights, f"decoder.{tempo}_layers"), stretch) for tempo, stretch in _TEMPI
        ]

    def residual(self, signal: Tensor) -> Tensor:
        """What has to be added to a signal, (samples,), to mark it. Nothing above 2 kHz."""
        import torch

        window = torch.hann_window(_WINDOW)
        spectrum = _spectrum(signal[None], window)
        magnitudes = _normalised(spectrum)
        audible = _audible(magnitudes)
        change_db = _RANGE_DB * _run(self._encoder, magnitudes[:, :_BANDS]) * audible
        added = torch.zeros_like(spectrum)
        # A change of magnitude under the same phase is a factor. What the transform keeps is not touched.
        added[:, :_BANDS] = spectrum[:, :_BANDS] * (10 ** (change_db / 20) - 1)
        whole: Tensor = torch.istft(added, _WINDOW, HOP, window=window, length=len(signal))[0]
        return whole

    def presence(self, signals: Tensor) -> Tensor:
        """How surely each of the signals, (signals, samples), carries the mark: (signals,) from 0 to 1.
        NaN for digital silence."""
        import torch

        magnitudes = _normalised(_spectrum(signals, torch.hann_window(_WINDOW)))
        audible = _audible(magnitudes)
        answers = [
            _answer(network, magnitudes[:, :_BANDS], audible, stretch) for network, stretch in self._decoder
        ]
        trust, marks = torch.stack(answers, dim=2).unbind(dim=1)
        return (marks * torch.softmax(trust, dim=1)).sum(dim=1).clip(0.0, 1.0)


def load(folder: Path) -> Perth:
    """The networks, from FILE in the folder. Nothing in the file is run: it is read as tensors alone.

    Raises OSError, and what torch and a missing tensor raise for a file that is not the published one.
    """
    import torch

    saved = torch.load(folder / FILE, map_location="cpu", weights_only=True)
    return Perth(saved["model"])


def _convolutions(weights: Mapping[str, Tensor], name: str) -> Convolutions:
    return [(weights[f"{name}.{n}.conv.weight"], weights[f"{name}.{n}.conv.bias"]) for n in range(7)]


def _run(network: Convolutions, frames: Tensor) -> Tensor:
    """(signals, bands, frames) through the convolutions, as many frames as before."""
    from torch.nn import functional

    for number, (weight, bias) in enumerate(network):
        if number:
            frames = functional.leaky_relu(frames)
        frames = functional.conv1d(frames, weight, bias, padding="same")
    return frames


def _answer(network: Convolutions, bands: Tensor, audible: Tensor, stretch: float) -> Tensor:
    """(signals, 2): how far this tempo is to be trusted, and whether it sees the mark."""
    from torch.nn import functional

    frames = int(bands.shape[2] * stretch)
    if stretch != 1.0:
        bands = functional.interpolate(bands, size=frames, mode="linear", align_corners=True)
        audible = functional.interpolate(audible, size=frames, mode="nearest")
    return (_run(network, bands) * audible).sum(dim=2) / audible.sum(dim=2)


def _spectrum(signals: Tensor, window: Tensor) -> Tensor:
    import torch

    return torch.stft(signals, _WINDOW, HOP, window=window, pad_mode="reflect", return_complex=True)


def _normalised(spectrum: Tensor) -> Tensor:
    import torch

    decibels = 20 * torch.log10(spectrum.abs().clip(10 ** (_FLOOR_DB / 20)))
    return (decibels - _FLOOR_DB) / _RANGE_DB


def _audible(magnitudes: Tensor) -> Tensor:
    """1 for the frames that something can be heard in, (signals, 1, frames)."""
    loudness = magnitudes.sum(dim=1, keepdim=True)
    return (loudness > _AUDIBLE * loudness.amax(dim=2, keepdim=True)).float()
