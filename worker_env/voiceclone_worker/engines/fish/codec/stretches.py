"""Causal convolutions over a long signal, a stretch at a time.

At the codec's highest rates four seconds of speech are tensors of 70 MB each. Memory of that size is
given back to the system after every layer and fetched anew, which costs up to a third of the decoding;
that of a stretch is kept, and no longer grows with the length. A causal layer looks back only, and only
so far; each stretch is computed together with what its layers look back on, which is then cut off.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

_RESIDUAL_UNITS = sum(6 * dilation for dilation in (1, 3, 9))
"""Samples that the three residual units of a codec block look back (kernel 7, dilations 1, 3, 9)."""

_OUTER_CONVOLUTION = 6
"""Samples that the codec's first and last convolution look back (kernel 7)."""


@dataclass(frozen=True)
class Stretches:
    """``layers``: causal, (batch, channels, samples) to the same at ``up / down`` of the rate.

    ``length`` of a stretch and the ``context`` that the layers look back count input samples; both are
    multiples of ``down``.
    """

    layers: Callable[[torch.Tensor], torch.Tensor]
    length: int
    context: int
    up: int = 1
    down: int = 1

    def starts(self, signal: torch.Tensor) -> range:
        """Where the stretches of ``signal`` begin."""
        return range(0, signal.shape[-1], self.length)

    def one(self, signal: torch.Tensor, start: int) -> torch.Tensor:
        """The output that belongs to the stretch from ``start`` on."""
        before = max(0, start - self.context)
        made = self.layers(signal[..., before : start + self.length])
        return made[..., (start - before) * self.up // self.down :]

    def all(self, signal: torch.Tensor) -> torch.Tensor:
        """The output of the whole ``signal``."""
        return torch.cat([self.one(signal, start) for start in self.starts(signal)], dim=-1)


def upsampling_context(rates: Sequence[int]) -> int:
    """How far a decoder's blocks of these rates, and what follows them, look back: input samples."""
    context = _OUTER_CONVOLUTION
    for rate in reversed(rates):
        # A transposed convolution of kernel 2 * rate spreads each sample over its own step and the next.
        context = math.ceil((context + _RESIDUAL_UNITS) / rate) + 1
    return context


def downsampling_context(rates: Sequence[int]) -> int:
    """How far an encoder's first convolution and blocks of these rates look back: input samples."""
    context = 0
    for rate in reversed(rates):
        # A strided convolution of kernel 2 * rate reads its own step and the one before.
        context = (context + 1) * rate + _RESIDUAL_UNITS
    step = math.prod(rates)
    return math.ceil((context + _OUTER_CONVOLUTION) / step) * step
