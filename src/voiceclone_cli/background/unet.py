"""The U-nets of Spleeter's two stems: how large the voices are in a spectrogram, and how large the rest is.

A. Jansson et al.: "Singing voice separation with deep U-net convolutional networks", ISMIR 2017;
R. Hennequin, A. Khlif, F. Voituret, M. Moussallam: "Spleeter: a fast and efficient music source separation
tool with pre-trained models", JOSS 2020. Written after the papers, for the published weights.
"""

from __future__ import annotations

import math
import typing
from pathlib import Path

if typing.TYPE_CHECKING:
    import torch

    Shape = tuple[int, ...]

VOICES, REST = 0, 1

STEP = 64
"""Frames and bins come in multiples of it: each of six layers halves them."""

_WIDTHS = (16, 32, 64, 128, 256, 512)
_CHANNELS = 2
_LEAK = 0.2
_NORM_EPSILON = 1e-3
"""Keras' own, with which the network was trained."""


class UNets:
    """Both networks of one weights file."""

    def __init__(self, weights: Path) -> None:
        self._weights = _read(weights)

    def magnitudes(self, spectrogram: torch.Tensor, which: int) -> torch.Tensor:
        """Magnitudes of the VOICES or the REST in those of a mix: shape (2 channels, frames, bins)."""
        import torch

        with torch.inference_mode():
            mask = self._mask(spectrogram[None], which)[0]
        return mask * spectrogram

    def _mask(self, x: torch.Tensor, which: int) -> torch.Tensor:
        import torch
        from torch.nn import functional

        skipped = []
        for layer in range(len(_WIDTHS)):
            kernel, bias = self._convolution("conv2d", 7 * which + layer)
            # Tensorflow's "same": an odd number of zeros has its larger half behind.
            x = functional.conv2d(functional.pad(x, (1, 2, 1, 2)), kernel, bias, stride=2)
            skipped.append(x)
            x = functional.leaky_relu(self._normalised(x, 12 * which + layer), _LEAK)
        x = skipped.pop()
        for layer in range(len(_WIDTHS)):
            kernel, bias = self._convolution("conv2d_transpose", 6 * which + layer)
            height, width = 2 * x.shape[2], 2 * x.shape[3]
            x = functional.conv_transpose2d(x, kernel, bias, stride=2)[:, :, 1 : 1 + height, 1 : 1 + width]
            x = self._normalised(functional.relu(x), 12 * which + 6 + layer)
            if skipped:
                x = torch.cat([skipped.pop(), x], dim=1)
        kernel, bias = self._convolution("conv2d", 7 * which + 6)
        return torch.sigmoid(functional.conv2d(functional.pad(x, (3, 3, 3, 3)), kernel, bias, dilation=2))

    def _convolution(self, kind: str, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        name = _name(kind, index)
        return self._weights[f"{name}/kernel"].permute(3, 2, 0, 1), self._weights[f"{name}/bias"]

    def _normalised(self, x: torch.Tensor, index: int) -> torch.Tensor:
        from torch.nn import functional

        name = _name("batch_normalization", index)
        mean, variance, gamma, beta = (
            self._weights[f"{name}/{part}"] for part in ("moving_mean", "moving_variance", "gamma", "beta")
        )
        return functional.batch_norm(x, mean, variance, gamma, beta, eps=_NORM_EPSILON)


def _read(path: Path) -> dict[str, torch.Tensor]:
    """A checkpoint's data file holds its numbers bare, one tensor after the other in the order of names."""
    import numpy as np
    import torch

    numbers = np.fromfile(path, "<f4")
    tensors: dict[str, torch.Tensor] = {}
    position = 0
    for name, shape in sorted(_shapes().items()):
        size = math.prod(shape)
        tensors[name] = torch.from_numpy(numbers[position : position + size].reshape(shape))
        position += size
    return tensors


def _shapes() -> dict[str, Shape]:
    """Of every tensor of both networks."""
    shapes: dict[str, Shape] = {}
    for which in (VOICES, REST):
        down = list(zip((_CHANNELS, *_WIDTHS), _WIDTHS, strict=False))
        for layer, (taken, given) in enumerate(down):
            _add_convolution(shapes, _name("conv2d", 7 * which + layer), (5, 5, taken, given), given)
        _add_convolution(shapes, _name("conv2d", 7 * which + 6), (4, 4, 1, _CHANNELS), _CHANNELS)
        up = (*_WIDTHS[-2::-1], 1)
        # From the second layer on, what the way down had at the same size comes beside it.
        taken_up = (_WIDTHS[-1], *(2 * width for width in up[:-1]))
        for layer, (taken, given) in enumerate(zip(taken_up, up, strict=True)):
            name = _name("conv2d_transpose", 6 * which + layer)
            _add_convolution(shapes, name, (5, 5, given, taken), given)
        for layer, width in enumerate((*_WIDTHS, *up)):
            name = _name("batch_normalization", 12 * which + layer)
            for part in ("beta", "gamma", "moving_mean", "moving_variance"):
                shapes[f"{name}/{part}"] = (width,)
    return shapes


def _add_convolution(shapes: dict[str, Shape], name: str, kernel: Shape, width: int) -> None:
    shapes[f"{name}/kernel"], shapes[f"{name}/bias"] = kernel, (width,)


def _name(kind: str, index: int) -> str:
    """Keras counts layers of a kind over both networks, and leaves the first one's zero out."""
    return f"{kind}_{index}" if index else kind
