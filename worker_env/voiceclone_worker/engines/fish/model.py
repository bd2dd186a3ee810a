"""fish-speech's two transformers as the batch uses them: tokens to hidden states, those to a frame.

The slow one reads text and frames, the fast one speaks a frame's codes, one after the other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

from voiceclone_worker.engines.fish.transformer import KeyValueCache, TransformerStack, product, seen

# How the next token of each row is chosen.
#
# Repetition penalty, nucleus, temperature and the exponential race are upstream's. Two things are
# mended: the penalty looks at the tokens that were spoken (upstream indexes its window the other way
# round), and only tokens that can follow are considered (a code or the end), so that the head has
# 4,097 rows to read, not 155,776. tests/fish_scripts/upstream_equality.py has upstream's way, to compare with.


WINDOW = 16
"""Frames that the repetition penalty looks back."""

CODES = 1024
"""Values that a residual codebook's code may take."""


@dataclass(frozen=True)
class SamplingSettings:
    temperature: float = 0.7
    top_p: float = 0.7
    repetition_penalty: float = 1.2

    def rounded(self) -> SamplingSettings:
        """As bfloat16 holds them: upstream passes them so, and the same numbers are sampled from."""
        values = torch.tensor([self.temperature, self.top_p, self.repetition_penalty], dtype=torch.bfloat16)
        return SamplingSettings(*values.tolist())


class Sampling:
    """Chooses among the semantic tokens and the end."""

    remembers_first = True
    """Whether the window holds a row's first frame."""

    def __init__(self, model: Any, settings: SamplingSettings, *, int8: bool = False) -> None:
        tokenizer = model.tokenizer
        self.begin: int = tokenizer.semantic_begin_id
        self.end: int = tokenizer.get_token_id("<|im_end|>")
        self._settings = settings.rounded()
        weight = model.embeddings.weight if model.config.tie_word_embeddings else model.output.weight
        self._ids: Tensor = self._considered(tokenizer, weight)
        self.head = product(weight[self._ids], int8=int8)
        self._codebooks = model.config.num_codebooks

    def _considered(self, tokenizer: Any, weight: Tensor) -> Tensor:
        codes = torch.arange(self.begin, tokenizer.semantic_end_id + 1)
        return torch.cat([codes, torch.tensor([self.end])]).to(weight.device)

    def noise(self, generators: Sequence[torch.Generator]) -> list[Tensor]:
        """Exponential noise for one frame of each row: [n, tokens], then [n, CODES] for each further
        codebook. Drawn on the CPU, a row from its own generator, so that a seed means the same on
        every device and in every company."""
        sizes = [len(self._ids)] + [CODES] * (self._codebooks - 1)
        uniform = torch.empty(len(generators), sum(sizes))
        for row, generator in zip(uniform, generators, strict=True):
            row.uniform_(generator=generator)
        noise = uniform.clamp_(min=torch.finfo(torch.float32).tiny).log_().neg_()
        return list(noise.to(self._ids.device).tensor_split(list(accumulate(sizes))[:-1], 1))

    def token(self, logits: Tensor, window: Tensor, spoken: Tensor, noise: Tensor) -> Tensor:
        """Token ids [n] from the head's logits [n, tokens]. ``window`` [n, codebooks + 1, WINDOW]:
        the last frames; ``spoken`` [n]: how many there are."""
        ids: Tensor = self._ids[self._pick(logits, self._said(window), spoken, noise)]
        return ids

    def code(self, logits: Tensor, window: Tensor, spoken: Tensor, noise: Tensor, codebook: int) -> Tensor:
        """Codes [n] of a residual codebook from [n, CODES]."""
        return self._pick(logits, window[:, codebook + 1], spoken, noise)

    def _said(self, window: Tensor) -> Tensor:
        """Which logits the tokens of the window are."""
        return (window[:, 0] - self.begin).clamp(min=0)

    def _pick(self, logits: Tensor, said: Tensor, spoken: Tensor, noise: Tensor) -> Tensor:
        settings = self._settings
        logits = logits.float()
        penalty = torch.where(spoken > 0, settings.repetition_penalty, 1.0)[:, None]
        score = logits.gather(1, said)
        logits = logits.scatter(1, said, torch.where(score < 0, score * penalty, score / penalty))
        ranked, order = logits.sort(-1, descending=True)
        beyond = ranked.softmax(-1).cumsum(-1) > settings.top_p
        beyond[:, 0] = False
        ranked = ranked.masked_fill(beyond, float("-inf")) / max(settings.temperature, 1e-5)
        # The race is run over the ranked tokens, each with the noise of its own place.
        winner = (ranked.softmax(-1) / noise.gather(1, order)).argmax(-1, keepdim=True)
        return order.gather(1, winner)[:, 0]


class Windows:
    """The last frames of each slot, [slots, codebooks + 1, WINDOW]."""

    def __init__(self, codebooks: int, device: torch.device, *, remembers_first: bool) -> None:
        self._remembers_first = remembers_first
        self.frames = torch.zeros(0, codebooks + 1, WINDOW, dtype=torch.long, device=device)
        self.spoken = torch.zeros(0, dtype=torch.long, device=device)
        self._held = self.spoken.clone()

    def add_rows(self, count: int) -> None:
        self.frames = torch.cat([self.frames, self.frames.new_zeros(count, *self.frames.shape[1:])])
        self.spoken = torch.cat([self.spoken, self.spoken.new_zeros(count)])
        self._held = torch.cat([self._held, self._held.new_zeros(count)])

    def keep(self, rows: Tensor) -> None:
        self.frames, self.spoken, self._held = self.frames[rows], self.spoken[rows], self._held[rows]

    def push(self, frames: Tensor) -> None:
        """One frame more for every row, [n, codebooks + 1].

        A window that is not full yet repeats its first frame: what is said once is penalised once,
        and nothing that was not said. Upstream leaves the first frame out and has zeros there.
        """
        first = (self.spoken == 0)[:, None, None]
        if self._remembers_first:
            self.frames = torch.where(first, frames[:, :, None], self.frames)
        full = (self._held >= WINDOW)[:, None, None]
        rolled = torch.where(full, self.frames.roll(-1, 2), self.frames)
        place = self._held.clamp(max=WINDOW - 1)
        written = rolled.scatter(2, place[:, None, None].expand(-1, frames.shape[1], 1), frames[:, :, None])
        recorded = ~first if not self._remembers_first else torch.ones_like(first)
        self.frames = torch.where(recorded, written, self.frames)
        self._held = self._held + recorded[:, 0, 0].long()
        self.spoken = self.spoken + 1


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
        """Bytes of weights that a frame of one row reads."""
        fast: int = self._fast.nbytes + self._codes_head.nbytes
        once: int = self._slow.nbytes + self.sampling.head.nbytes
        return once + fast * (self.codebooks - 1)

    def cache(self, slots: int, positions: int) -> KeyValueCache:
        """What ``read`` keeps of so many rows of so many positions."""
        return KeyValueCache(self._slow, slots, positions)

    def read(self, tokens: Tensor, cache: KeyValueCache, first: int, places: Tensor, length: int) -> Tensor:
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
        cache = KeyValueCache(self._fast, n, self.codebooks)
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
