"""How the next token of each row is chosen.

Repetition penalty, nucleus, temperature and the exponential race are upstream's. Two things are
mended: the penalty looks at the tokens that were spoken (upstream indexes its window the other way
round), and only tokens that can follow are considered (a code or the end), so that the head has
4,097 rows to read, not 155,776. tests/fish_scripts/upstream_equality.py has upstream's way, to compare with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

from voiceclone_worker.engines.fish.generation.linear import product

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
