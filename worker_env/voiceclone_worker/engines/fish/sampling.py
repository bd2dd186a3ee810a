"""How the next token is chosen from its logits, for a batch of rows that draw their own random numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol

import torch
from torch import Tensor

from voiceclone_worker.engines.fish.layout import RESIDUAL_CODES
from voiceclone_worker.engines.fish.transformer import PLAIN, Product, Products
from voiceclone_worker.engines.fish.weights import Weights

TOP_K = 30
"""Candidates that S2 chooses among, at most."""

AGAIN_TEMPERATURE, AGAIN_TOP_P = 1.0, 0.9
"""How S2 draws what was said within the window again."""


@dataclass(frozen=True)
class SamplingSettings:
    """Upstream's settings."""

    temperature: float = 0.7
    top_p: float = 0.7
    repetition_penalty: float = 1.2


class Sampling(Protocol):
    """The rule of a generation."""

    window: int
    """Frames that it looks back."""
    values: int
    """Values of a residual codebook's code among which it chooses."""
    begin: int
    """Token of code 0."""
    end: int
    """Token that ends a line."""
    head: Product
    """From the slow transformer's states to the logits of the candidates."""

    def noise(self, generators: Sequence[torch.Generator]) -> list[Tensor]:
        """Return the random numbers of a frame for each row, [n, ...] each: for the token, then for each codebook.

        They are on the CPU, drawn there from each row's own generator.
        """
        ...

    def token(self, logits: Tensor, window: Tensor, counts: Tensor, noise: Tensor) -> Tensor:
        """Return token ids [n] from the head's logits [n, candidates].

        ``window`` [n, codebooks + 1, window]: the last frames; ``counts`` [n]: how many frames each row has.
        """
        ...

    def code(self, logits: Tensor, window: Tensor, counts: Tensor, noise: Tensor, codebook: int) -> Tensor:
        """Return codes [n] of a residual codebook from its logits [n, values]."""
        ...


class PenaltySampling:
    """S1's choice: what was said in the window becomes less likely.

    Repetition penalty, nucleus, temperature and the exponential race are upstream's, with two repairs: the penalty
    looks at the generated tokens (upstream indexes its window the other way round), and only tokens that can follow are
    considered (a code or the end), so that the head has 4,097 rows instead of 155,776.
    tests/fish_scripts/upstream_equality.py compares with upstream's sampling.
    """

    window = 16
    values = RESIDUAL_CODES

    def __init__(self, weights: Weights, settings: SamplingSettings, products: Products = PLAIN) -> None:
        self.begin, self.end = weights.tokens.begin, weights.tokens.end
        # Upstream passes them in bfloat16, so the same numbers are used here.
        numbers = [settings.temperature, settings.top_p, settings.repetition_penalty]
        rounded = torch.tensor(numbers, dtype=torch.bfloat16)
        self._temperature, self._top_p, self._penalty = rounded.tolist()
        self._ids: Tensor = self._considered(weights).to(weights.device)
        self.head = products.others(weights.head(self._ids), None)
        self._codebooks = weights.shape.codebooks

    def _considered(self, weights: Weights) -> Tensor:
        return _candidates(weights)

    def noise(self, generators: Sequence[torch.Generator]) -> list[Tensor]:
        """Return exponential noise for a frame of each row: [n, tokens], then [n, values] per further codebook."""
        sizes = [len(self._ids)] + [self.values] * (self._codebooks - 1)
        return _exponential(generators, sizes)

    def token(self, logits: Tensor, window: Tensor, counts: Tensor, noise: Tensor) -> Tensor:
        """Return token ids [n] from the head's logits [n, tokens].

        ``window`` [n, codebooks + 1, window]: the last frames; ``counts`` [n]: how many frames each row has.
        """
        ids: Tensor = self._ids[self._pick(logits, self._penalised(window), counts, noise)]
        return ids

    def code(self, logits: Tensor, window: Tensor, counts: Tensor, noise: Tensor, codebook: int) -> Tensor:
        """Return codes [n] of a residual codebook from its logits [n, values]."""
        return self._pick(logits, window[:, codebook + 1], counts, noise)

    def _penalised(self, window: Tensor) -> Tensor:
        """Return the indices, among the logits, of the tokens in the window."""
        return (window[:, 0] - self.begin).clamp(min=0)

    def _pick(self, logits: Tensor, penalised: Tensor, counts: Tensor, noise: Tensor) -> Tensor:
        logits = logits.float()
        penalty = torch.where(counts > 0, self._penalty, 1.0)[:, None]
        score = logits.gather(1, penalised)
        logits = logits.scatter(1, penalised, torch.where(score < 0, score * penalty, score / penalty))
        return _race(_ranked(logits), self._temperature, self._top_p, None, noise)


class RasSampling:
    """S2's choice: a code that was said in the window is drawn anew, from a wider distribution.

    Every token is drawn twice, with its own random numbers, so that a row takes as many whatever it says. Nucleus and the
    first ``TOP_K`` are taken of the plain logits, then the temperature is applied. Only codes and the end are candidates,
    and of the further codebooks the values that the codec has. S2 has no repetition penalty.
    """

    window = 10
    values = RESIDUAL_CODES

    def __init__(self, weights: Weights, settings: SamplingSettings, products: Products = PLAIN) -> None:
        self.begin, self.end = weights.tokens.begin, weights.tokens.end
        self._temperature, self._top_p = settings.temperature, settings.top_p
        self._ids = _candidates(weights).to(weights.device)
        self.head = products.others(weights.head(self._ids), None)
        self._codebooks = weights.shape.codebooks

    def noise(self, generators: Sequence[torch.Generator]) -> list[Tensor]:
        """Return exponential noise: [n, 2, tokens] for both draws, then [n, values] per further codebook."""
        sizes = [len(self._ids)] * 2 + [self.values] * (self._codebooks - 1)
        first, again, *rest = _exponential(generators, sizes)
        return [torch.stack([first, again], 1), *rest]

    def token(self, logits: Tensor, window: Tensor, counts: Tensor, noise: Tensor) -> Tensor:
        """Return token ids [n]."""
        ranked = _ranked(logits.float())
        token = self._ids[_race(ranked, self._temperature, self._top_p, TOP_K, noise[:, 0])]
        wider = self._ids[_race(ranked, AGAIN_TEMPERATURE, AGAIN_TOP_P, TOP_K, noise[:, 1])]
        again = (window[:, 0] == token[:, None]).any(1) & (token != self.end)
        return torch.where(again, wider, token)

    def code(self, logits: Tensor, window: Tensor, counts: Tensor, noise: Tensor, codebook: int) -> Tensor:
        """Return codes [n] of a residual codebook."""
        return _race(_ranked(logits.float()), self._temperature, self._top_p, TOP_K, noise)


def _candidates(weights: Weights) -> Tensor:
    tokens = weights.tokens
    return torch.cat([torch.arange(tokens.begin, tokens.last + 1), torch.tensor([tokens.end])])


def _exponential(generators: Sequence[torch.Generator], sizes: Sequence[int]) -> list[Tensor]:
    """Return exponential noise [n, size] for each of ``sizes``.

    Drawn on the CPU from each row's own generator, so that a seed gives the same on every device and in every batch.
    """
    uniform = torch.empty(len(generators), sum(sizes))
    for row, generator in zip(uniform, generators, strict=True):
        row.uniform_(generator=generator)
    noise = uniform.clamp_(min=torch.finfo(torch.float32).tiny).log_().neg_()
    return list(noise.tensor_split(list(accumulate(sizes))[:-1], 1))


def _ranked(logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the logits [n, candidates] from the highest to the lowest, the index of each, and how likely it is that
    one down to it is chosen."""
    ranked, order = logits.sort(-1, descending=True)
    return ranked, order, ranked.softmax(-1).cumsum(-1)


def _race(
    ranking: tuple[Tensor, Tensor, Tensor],
    temperature: float,
    top_p: float,
    top_k: int | None,
    noise: Tensor,
) -> Tensor:
    """Return the index [n] that wins an exponential race over the ranked logits, each with its noise."""
    ranked, order, together = ranking
    beyond = together > top_p
    if top_k is not None:
        beyond[:, top_k:].fill_(True)
    beyond[:, 0].fill_(False)
    ranked = ranked.masked_fill(beyond, float("-inf")) / max(temperature, 1e-5)
    winner = (ranked.softmax(-1) / noise.gather(1, order)).argmax(-1, keepdim=True)
    return order.gather(1, winner)[:, 0]
