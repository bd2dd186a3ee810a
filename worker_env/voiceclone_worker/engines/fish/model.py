"""fish-speech's two transformers for a batch of rows.

The slow transformer reads text and frames to hidden states; the fast one makes the codes of a frame, one after the
other.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from voiceclone_worker.engines.fish.sampling import Sampling
from voiceclone_worker.engines.fish.transformer import KeyValueCache, Products, TransformerStack, causal_mask
from voiceclone_worker.engines.fish.weights import NormWeights, Weights


class Windows:
    """The last frames of each slot, [slots, codebooks + 1, length]; ``counts`` [slots]: how many frames it has had."""

    def __init__(self, slots: int, codebooks: int, length: int, device: torch.device) -> None:
        self.length = length
        self.frames = torch.zeros(slots, codebooks + 1, length, dtype=torch.long, device=device)
        self.counts = torch.zeros(slots, dtype=torch.long, device=device)

    def begin(self, slot: int) -> None:
        """Empty a slot."""
        self.frames[slot] = 0
        self.counts[slot] = 0

    def move(self, source: int, target: int) -> None:
        """Copy a slot to another."""
        self.frames[target] = self.frames[source]
        self.counts[target] = self.counts[source]

    def take_over(self, other: Windows) -> None:
        """Copy windows of not more slots."""
        self.frames[: len(other.counts)] = other.frames
        self.counts[: len(other.counts)] = other.counts

    def push(self, frames: Tensor) -> None:
        """Add a frame to the first rows, [n, codebooks + 1], in the place of the oldest one.

        A window that is not full repeats its first frame: what was generated once is penalised once, and nothing else
        is. Upstream omits the first frame and has zeros there.
        """
        latest, n = frames[:, :, None], len(frames)
        window, counts = self.frames[:n], self.counts[:n]
        window.copy_(torch.where((counts == 0)[:, None, None], latest, window))
        index = (counts % self.length)[:, None, None].expand_as(latest)
        window.scatter_(2, index, latest)
        counts += 1


class Model:
    """Both transformers for rows at different positions; it takes over the weights."""

    def __init__(self, weights: Weights, sampling: Sampling, products: Products, *, compiled: bool) -> None:
        shape = weights.shape
        self._weights, self.sampling = weights, sampling
        self.device, self._dtype = weights.device, weights.dtype
        self.codebooks = shape.codebooks
        self.longest = shape.window
        """Positions of the model's window."""
        self._slow = TransformerStack(weights.slow, products.slow)
        self._fast = TransformerStack(weights.fast, products.others)
        if compiled:
            self._slow.compile()
            self._fast.compile()
        self._codes_head = products.others(weights.codes_head(sampling.values), None)
        self._fast_places = [self._fast_place(codebook) for codebook in range(1, self.codebooks)]
        offsets = torch.arange(self.codebooks, device=self.device) * shape.codebook_size
        self._offsets = offsets[None, :, None]

    @property
    def nbytes_per_frame(self) -> int:
        """Bytes of weights that are read for a frame of one row."""
        fast: int = self._fast.nbytes + self._codes_head.nbytes
        once: int = self._slow.nbytes + self.sampling.head.nbytes
        return once + fast * (self.codebooks - 1)

    def cache(self, slots: int, positions: int) -> KeyValueCache:
        """Return an empty cache for ``read``."""
        return KeyValueCache(self._slow, slots, positions)

    def read(
        self, tokens: Tensor, cache: KeyValueCache, first: int, positions: Tensor, length: int
    ) -> Tensor:
        """Return the hidden states [n, t, width] of ``tokens`` [n, codebooks + 1, t].

        ``positions`` [n, t] are those of the tokens in the rows of the slots from ``first`` on; ``length`` positions of
        the cache are attended to.
        """
        length = min(length, cache.positions)
        mask = causal_mask(positions, length, self._dtype)
        return self._slow(self._embed(tokens), cache, first, positions, length, mask)

    def states(self, slots: int) -> Tensor:
        """Return zeros for the hidden states, [slots, width]."""
        width = self._weights.embeddings.shape[1]
        return torch.zeros(slots, width, dtype=self._dtype, device=self.device)

    def logits(self, states: Tensor) -> Tensor:
        """Return the logits [n, candidates] of the next token from hidden states [n, width]."""
        return self.sampling.head(_last_norm(states, self._weights.slow.norm))

    def frame(
        self, states: Tensor, tokens: Tensor, window: Tensor, counts: Tensor, noise: list[Tensor]
    ) -> Tensor:
        """Return the frame of each row, [n, codebooks + 1], with its token and semantic code first.

        ``window`` and ``counts`` are those of ``Windows``, ``noise`` that of ``Sampling.noise``.
        """
        weights, n = self._weights, len(tokens)
        if weights.shape.fast_reads_normed:
            states = _last_norm(states, weights.slow.norm)
        cache = KeyValueCache(self._fast, n, self.codebooks)
        code = (tokens - self.sampling.begin).clamp(min=0)
        frame = [tokens, code]
        # The hidden state and the first code are both known: read together, the weights once.
        x = torch.stack([self._projected(states), F.embedding(code, weights.fast_embeddings)], 1)
        for codebook, (positions, mask) in enumerate(self._fast_places, 1):
            hidden = self._fast(x, cache, 0, positions, codebook + 1, mask)
            logits = self._codes_head(_last_norm(hidden[:, -1], weights.fast.norm))
            code = self.sampling.code(logits, window, counts, noise[codebook], codebook)
            frame.append(code)
            x = F.embedding(code, weights.fast_embeddings)[:, None]
        return torch.stack(frame, 1)

    def _fast_place(self, codebook: int) -> tuple[Tensor, Tensor]:
        """Return the positions [1, t] of what the fast transformer reads for a codebook, and the mask, for every row."""
        positions = torch.arange(0 if codebook == 1 else codebook, codebook + 1, device=self.device)[None]
        return positions, causal_mask(positions, codebook + 1, self._dtype)

    def _projected(self, states: Tensor) -> Tensor:
        projection = self._weights.fast_projection
        return states if projection is None else F.linear(states, projection.weight, projection.bias)

    def _embed(self, tokens: Tensor) -> Tensor:
        weights, speech = self._weights, self._weights.tokens
        codes = F.embedding(tokens[:, 1:] + self._offsets, weights.codebook_embeddings).sum(1)
        semantic = (tokens[:, 0] >= speech.begin) & (tokens[:, 0] <= speech.last)
        x = F.embedding(tokens[:, 0], weights.embeddings) + codes * semantic[..., None]
        if weights.shape.scaled_frames:
            x = torch.where(semantic[..., None], x / math.sqrt(self.codebooks + 1), x)
        return x


def _last_norm(x: Tensor, norm: NormWeights) -> Tensor:
    """Norm in float32 whatever ``x`` is, as upstream does after the last block."""
    wide = x.float()
    normed = wide * torch.rsqrt(torch.mean(wide * wide, dim=-1, keepdim=True) + norm.eps)
    return normed.type_as(x) * norm.weight
