"""Upstream's own way of sampling, to compare with it token by token.

For the same seed and in float32 the decoder then speaks the very tokens of upstream's
``generate_long``: every token of the vocabulary is a candidate, the noise comes in upstream's order
from torch's exponential, the penalty's window is indexed the way upstream does it (its first frame
across the codebooks, in place of the spoken tokens), is padded with zeros, and lacks the first frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from voiceclone_worker.engines.fish.generation.sampling import CODES, Sampling


class UpstreamSampling(Sampling):
    remembers_first = False

    def _considered(self, tokenizer: Any, weight: Tensor) -> Tensor:
        return torch.arange(len(weight), device=weight.device)

    def noise(self, generators: Sequence[torch.Generator]) -> list[Tensor]:
        def draw(size: int) -> Tensor:
            rows = [torch.empty(size).exponential_(1, generator=generator) for generator in generators]
            return torch.stack(rows).to(self._ids.device)

        return [draw(len(self._ids))] + [draw(CODES) for _ in range(self._codebooks - 1)]

    def _said(self, window: Tensor) -> Tensor:
        return window[:, :, 0]
