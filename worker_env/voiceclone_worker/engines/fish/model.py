"""fish-speech's two transformers for a batch of rows, and the sampling of tokens.

The slow transformer reads text and frames to hidden states; the fast one makes the codes of a frame, one after the
other. Repetition penalty, nucleus, temperature and the exponential race are upstream's, with two repairs: the penalty
looks at the generated tokens (upstream indexes its window the other way round), and only tokens that can follow are
considered (a code or the end), so that the head has 4,097 rows instead of 155,776.
tests/fish_scripts/upstream_equality.py compares with upstream's sampling.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

from voiceclone_worker.engines.fish.transformer import KeyValueCache, TransformerStack, causal_mask, product

WINDOW = 16
"""Frames that the repetition penalty covers."""

CODES = 1024
"""Values of a residual codebook's code."""


class Sampling:
    """Choice among the semantic tokens and the end."""

    def __init__(
        self,
        model: Any,
        *,
        temperature: float = 0.7,
        top_p: float = 0.7,
        repetition_penalty: float = 1.2,
        int8: bool = False,
    ) -> None:
        tokenizer = model.tokenizer
        self.begin: int = tokenizer.semantic_begin_id
        self.end: int = tokenizer.get_token_id("<|im_end|>")
        # Upstream passes them in bfloat16, so the same numbers are used here.
        settings = torch.tensor([temperature, top_p, repetition_penalty], dtype=torch.bfloat16)
        self._temperature, self._top_p, self._penalty = settings.tolist()
        weight = model.embeddings.weight if model.config.tie_word_embeddings else model.output.weight
        self._ids: Tensor = self._considered(tokenizer, weight)
        self.head = product(weight[self._ids], int8=int8)
        self._codebooks = model.config.num_codebooks

    def _considered(self, tokenizer: Any, weight: Tensor) -> Tensor:
        codes = torch.arange(self.begin, tokenizer.semantic_end_id + 1)
        return torch.cat([codes, torch.tensor([self.end])]).to(weight.device)

    def noise(self, generators: Sequence[torch.Generator]) -> list[Tensor]:
        """Return exponential noise for a frame of each row: [n, tokens], then [n, CODES] per further codebook.

        Drawn on the CPU from each row's own generator, so that a seed gives the same on every device and in every
        batch.
        """
        sizes = [len(self._ids)] + [CODES] * (self._codebooks - 1)
        uniform = torch.empty(len(generators), sum(sizes))
        for row, generator in zip(uniform, generators, strict=True):
            row.uniform_(generator=generator)
        noise = uniform.clamp_(min=torch.finfo(torch.float32).tiny).log_().neg_()
        return list(noise.to(self._ids.device).tensor_split(list(accumulate(sizes))[:-1], 1))

    def token(self, logits: Tensor, window: Tensor, counts: Tensor, noise: Tensor) -> Tensor:
        """Return token ids [n] from the head's logits [n, tokens].

        ``window`` [n, codebooks + 1, WINDOW]: the last frames; ``counts`` [n]: how many frames each row has.
        """
        ids: Tensor = self._ids[self._pick(logits, self._penalised(window), counts, noise)]
        return ids

    def code(self, logits: Tensor, window: Tensor, counts: Tensor, noise: Tensor, codebook: int) -> Tensor:
        """Return codes [n] of a residual codebook from its logits [n, CODES]."""
        return self._pick(logits, window[:, codebook + 1], counts, noise)

    def _penalised(self, window: Tensor) -> Tensor:
        """Return the indices, among the logits, of the tokens in the window."""
        return (window[:, 0] - self.begin).clamp(min=0)

    def _pick(self, logits: Tensor, penalised: Tensor, counts: Tensor, noise: Tensor) -> Tensor:
        logits = logits.float()
        penalty = torch.where(counts > 0, self._penalty, 1.0)[:, None]
        score = logits.gather(1, penalised)
        logits = logits.scatter(1, penalised, torch.where(score < 0, score * penalty, score / penalty))
        ranked, order = logits.sort(-1, descending=True)
        beyond = ranked.softmax(-1).cumsum(-1) > self._top_p
        beyond[:, 0] = False
        ranked = ranked.masked_fill(beyond, float("-inf")) / max(self._temperature, 1e-5)
        # The race runs over the ranked tokens, each with the noise of its index.
        winner = (ranked.softmax(-1) / noise.gather(1, order)).argmax(-1, keepdim=True)
        return order.gather(1, winner)[:, 0]


class Windows:
    """The last frames of each slot, [slots, codebooks + 1, WINDOW]; ``counts`` [slots]: how many frames it has had."""

    def __init__(self, codebooks: int, device: torch.device) -> None:
        self.frames = torch.zeros(0, codebooks + 1, WINDOW, dtype=torch.long, device=device)
        self.counts = torch.zeros(0, dtype=torch.long, device=device)

    def add_rows(self, count: int) -> None:
        """Add empty windows for new rows."""
        self.frames = torch.cat([self.frames, self.frames.new_zeros(count, *self.frames.shape[1:])])
        self.counts = torch.cat([self.counts, self.counts.new_zeros(count)])

    def keep(self, rows: Tensor) -> None:
        """Keep only these rows, in this order."""
        self.frames, self.counts = self.frames[rows], self.counts[rows]

    def push(self, frames: Tensor) -> None:
        """Add a frame to every row, [n, codebooks + 1].

        A window that is not full repeats its first frame: what was generated once is penalised once, and nothing else
        is. Upstream omits the first frame and has zeros there.
        """
        latest = frames[:, :, None]
        self.frames = torch.where((self.counts == 0)[:, None, None], latest, self.frames)
        full = (self.counts >= WINDOW)[:, None, None]
        rolled = torch.where(full, self.frames.roll(-1, 2), self.frames)
        index = self.counts.clamp(max=WINDOW - 1)[:, None, None].expand(-1, frames.shape[1], 1)
        self.frames = rolled.scatter(2, index, latest)
        self.counts = self.counts + 1


class Model:
    """Upstream's DualARTransformer for rows at different positions; it takes over the weights."""

    def __init__(self, upstream: Any, sampling: Sampling, *, int8: bool, compiled: bool) -> None:
        config = upstream.config
        self._upstream, self.sampling = upstream, sampling
        self.device: torch.device = upstream.embeddings.weight.device
        self._dtype: torch.dtype = upstream.embeddings.weight.dtype
        self.codebooks: int = config.num_codebooks
        self.longest: int = config.max_seq_len
        """Positions of the model's window."""
        self._slow = TransformerStack(upstream.layers, upstream.freqs_cis, int8=int8)
        self._fast = TransformerStack(upstream.fast_layers, upstream.fast_freqs_cis, int8=int8)
        if compiled:
            self._slow.compile()
            self._fast.compile()
        self._codes_head = product(upstream.fast_output.weight[:CODES], int8=int8)
        offsets = torch.arange(self.codebooks, device=self.device) * config.codebook_size
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

    def logits(self, states: Tensor) -> Tensor:
        """Return the logits [n, candidates] of the next token from hidden states [n, width]."""
        return self.sampling.head(self._upstream.norm(states))

    def frame(self, states: Tensor, tokens: Tensor, windows: Windows, noise: list[Tensor]) -> Tensor:
        """Return the frame of each row, [n, codebooks + 1], with its token and semantic code first."""
        upstream, n = self._upstream, len(tokens)
        cache = KeyValueCache(self._fast, n, self.codebooks)
        code = (tokens - self.sampling.begin).clamp(min=0)
        frame = [tokens, code]
        # The hidden state and the first code are both known: read together, the weights once.
        x = torch.stack([upstream.fast_project_in(states), upstream.fast_embeddings(code)], 1)
        for codebook in range(1, self.codebooks):
            length = codebook + 1
            positions = torch.arange(length - x.shape[1], length, device=self.device)[None].expand(n, -1)
            mask = causal_mask(positions, length, self._dtype)
            hidden = self._fast(x, cache, 0, positions, length, mask)
            logits = self._codes_head(upstream.fast_norm(hidden[:, -1]))
            code = self.sampling.code(logits, windows.frames, windows.counts, noise[codebook], codebook)
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
