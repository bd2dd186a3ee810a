"""Samples to codes, with upstream's DAC."""

from __future__ import annotations

import math
from typing import Any

import torch

from voiceclone_worker.engines.fish.codec.stretches import Stretches, downsampling_context

_FAST_BLOCKS = 2
"""The encoder's first blocks, those at the highest rates, are computed in stretches."""


class CodesEncoder:
    """A reference's samples to its codes. ``stretch_frames``: as of :class:`SpeechDecoder`."""

    def __init__(self, dac: Any, device: torch.device, stretch_frames: int) -> None:
        self._dac = dac
        self._device = device
        fast = 1 + _FAST_BLOCKS
        rates = list(dac.encoder_rates)[:_FAST_BLOCKS]
        self._fast = Stretches(
            layers=dac.encoder.block[:fast],
            length=stretch_frames * int(dac.frame_length),
            context=downsampling_context(rates),
            down=math.prod(rates),
        )
        self._slow_layers = dac.encoder.block[fast:]

    def __call__(self, samples: torch.Tensor) -> torch.Tensor:
        """``samples`` [samples] at the codec's rate: int64 codes [codebooks, frames]; the last frame is
        filled up with silence."""
        missing = -len(samples) % int(self._dac.frame_length)
        signal = torch.nn.functional.pad(samples, (0, missing)).to(self._device)[None, None]
        codes: torch.Tensor = self._dac.quantizer(self._slow_layers(self._fast.all(signal))).codes
        return codes[0].long().cpu()
