"""fish-speech's two transformers as the batch uses them: tokens to hidden states, those to a frame.

The slow one reads text and frames, the fast one speaks a frame's codes, one after the other.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from voiceclone_worker.engines.fish.generation.linear import product
from voiceclone_worker.engines.fish.generation.sampling import CODES, Sampling, Windows
from voiceclone_worker.engines.fish.generation.transformer import Cache, Stack, seen


class Model:
    """Upstream's DualARTransformer, whose weights move into this."""

    def __init__(self, upstream: Any, sampling: Sampling, *, int8: bool, compiled: bool) -> None:
        config = upstream.config
        self._upstream, self.sampling = upstream, sampling
        self.device: torch.device = upstream.embeddings.weight.device
        self._dtype: torch.dtype = upstream.embeddings.weight.dtype
        self.codebooks: int = config.num_codebooks
        self.longest: int = config.max_seq_len
        """Positions of its window."""
        self._slow = Stack(upstream.layers, upstream.freqs_cis, int8=int8)
        self._fast = Stack(upstream.fast_layers, upstream.fast_freqs_cis, int8=int8)
        if compiled:
            self._slow.compile()
            self._fast.compile()
        self._codes_head = product(upstream.fast_output.weight[:CODES], int8=int8)
        offsets = torch.arange(self.codebooks, device=self.device) * config.codebook_size
        self._offsets = offsets[None, :, None]

    @property
    def nbytes_per_frame(self) -> int:
        """Bytes of weights that a frame of one row reads."""
        fast: int = self._fast.nbytes + self._codes_head.nbytes
        once: int = self._slow.nbytes + self.sampling.head.nbytes
        return once + fast * (self.codebooks - 1)

    def cache(self, slots: int, positions: int) -> Cache:
        """What ``read`` keeps of so many rows of so many positions."""
        return Cache(self._slow, slots, positions)

    def read(self, tokens: Tensor, cache: Cache, first: int, places: Tensor, length: int) -> Tensor:
        """Hidden states [n, t, width] of ``tokens`` [n, codebooks + 1, t], which stand at ``places`` [n, t]
        of the rows in the slots from ``first`` on; ``length`` of the cache's positions are looked at."""
        length = min(length, cache.positions)
        mask = seen(places, length, self._dtype)
        return self._slow(self._embed(tokens), cache, first, places, length, mask)

    def logits(self, states: Tensor) -> Tensor:
        """[n, candidates] of the next token, from hidden states [n, width]."""
        return self.sampling.head(self._upstream.norm(states))

    def frame(self, states: Tensor, tokens: Tensor, windows: Windows, noise: list[Tensor]) -> Tensor:
        """The frame of each row, [n, codebooks + 1] with its token and semantic code first."""
        upstream, n = self._upstream, len(tokens)
        cache = Cache(self._fast, n, self.codebooks)
        code = (tokens - self.sampling.begin).clamp(min=0)
        frame = [tokens, code]
        # The hidden state and the first code are both known: read together, the weights once.
        x = torch.stack([upstream.fast_project_in(states), upstream.fast_embeddings(code)], 1)
        for codebook in range(1, self.codebooks):
            length = codebook + 1
            places = torch.arange(length - x.shape[1], length, device=self.device)[None].expand(n, -1)
            made = self._fast(x, cache, 0, places, length, seen(places, length, self._dtype))
            logits = self._codes_head(upstream.fast_norm(made[:, -1]))
            code = self.sampling.code(logits, windows.frames, windows.spoken, noise[codebook], codebook)
            frame.append(code)
            x = upstream.fast_embeddings(code)[:, None]
        return torch.stack(frame, 1)

    def _embed(self, tokens: Tensor) -> Tensor:
        upstream, sampling = self._upstream, self.sampling
        codes = upstream.codebook_embeddings(tokens[:, 1:] + self._offsets).sum(1)
        semantic = (tokens[:, 0] >= sampling.begin) & (tokens[:, 0] <= upstream.tokenizer.semantic_end_id)
        x: Tensor = upstream.embeddings(tokens[:, 0]) + codes * semantic[..., None]
        if upstream.config.scale_codebook_embeddings:
            x = torch.where(semantic[..., None], x / math.sqrt(self.codebooks + 1), x)
        return x
