"""Sampling of the next token."""

from __future__ import annotations

from dataclasses import replace

import torch

from fish_tensors import CODEBOOKS, SHAPE, TOKENS, VOCABULARY, tensors
from voiceclone_worker.engines.fish.model import Windows
from voiceclone_worker.engines.fish.sampling import (
    TOP_K,
    PenaltySampling,
    RasSampling,
    Sampling,
    SamplingSettings,
)
from voiceclone_worker.engines.fish.weights import Weights, read_weights

BEGIN, END = TOKENS.begin, TOKENS.end


def weights(codes: int = SHAPE.codebook_size) -> Weights:
    """Weights whose head is the unit matrix: a state is its logits."""
    vocabulary = VOCABULARY - SHAPE.codebook_size + codes
    side = replace(SHAPE.slow, width=vocabulary)
    shape = replace(SHAPE, slow=side, fast=side, vocabulary=vocabulary, codebook_size=codes)
    found = tensors(shape) | {"output.weight": torch.eye(vocabulary)}
    tokens = replace(TOKENS, last=BEGIN + codes - 1)
    return read_weights(found, 1 << 24, shape, tokens, torch.device("cpu"), torch.float32)


def sampling(
    temperature: float = 0.7, top_p: float = 0.7, repetition_penalty: float = 1.2
) -> PenaltySampling:
    return PenaltySampling(weights(), SamplingSettings(temperature, top_p, repetition_penalty))


def choose(chooser: Sampling, logits: torch.Tensor, past: list[int], seed: int) -> int:
    windows = Windows(1, CODEBOOKS, chooser.window, torch.device("cpu"))
    for token in past:
        windows.push(torch.tensor([[token, token - BEGIN, 0, 0]]))
    noise = chooser.noise([torch.Generator().manual_seed(seed)])
    return int(chooser.token(logits[None], windows.frames, windows.counts, noise[0]))


def test_only_codes_and_the_end_are_candidates() -> None:
    head = sampling().head(torch.eye(30))
    assert head.shape == (30, 17)


def test_a_token_outside_the_nucleus_is_never_taken() -> None:
    logits = torch.full((17,), -3.0)
    logits[4] = 5.0
    assert {choose(sampling(), logits, [], seed) for seed in range(50)} == {BEGIN + 4}


def test_within_the_nucleus_chance_decides_and_a_seed_repeats_it() -> None:
    logits = torch.full((17,), -9.0)
    logits[:8] = torch.linspace(1.0, 1.1, 8)
    taken = [choose(sampling(), logits, [], seed) for seed in range(60)]
    assert len(set(taken)) > 3
    assert taken == [choose(sampling(), logits, [], seed) for seed in range(60)]


def test_the_penalty_applies_to_past_tokens_only() -> None:
    logits = torch.full((17,), -9.0)
    logits[4], logits[7] = 5.0, 4.9
    assert choose(sampling(top_p=0.1), logits, [], 1) == BEGIN + 4
    assert choose(sampling(top_p=0.1), logits, [BEGIN + 4], 1) == BEGIN + 7
    assert choose(sampling(top_p=0.1), logits, [BEGIN + 3], 1) == BEGIN + 4


def test_the_penalty_forgets_what_left_the_window() -> None:
    logits = torch.full((17,), -9.0)
    logits[4], logits[7] = 5.0, 4.9
    long_ago = [BEGIN + 4] + [BEGIN + 1] * PenaltySampling.window
    assert choose(sampling(top_p=0.1), logits, long_ago[:-1], 1) == BEGIN + 7
    assert choose(sampling(top_p=0.1), logits, long_ago, 1) == BEGIN + 4


def test_the_noise_of_a_row_is_its_own() -> None:
    chooser = sampling()
    alone = chooser.noise([torch.Generator().manual_seed(3)])
    beside = chooser.noise([torch.Generator().manual_seed(1), torch.Generator().manual_seed(3)])
    assert [part.shape for part in alone] == [(1, 17), (1, 1024), (1, 1024)]
    assert all(torch.equal(one[0], two[1]) for one, two in zip(alone, beside, strict=True))
    assert all((part > 0).all() and part.isfinite().all() for part in beside)


def ras(temperature: float = 0.7, top_p: float = 0.9, codes: int = SHAPE.codebook_size) -> RasSampling:
    return RasSampling(weights(codes), SamplingSettings(temperature, top_p))


def test_s2_draws_again_what_was_said_within_the_window() -> None:
    """The second draw is wider: the first one would always take the likeliest."""
    logits = torch.full((17,), -9.0)
    logits[[4, 7, 8, 9]] = torch.tensor([1.0, 0.9, 0.9, 0.9])
    surely = ras(top_p=0.1)
    assert {choose(surely, logits, [BEGIN + 3], seed) for seed in range(40)} == {BEGIN + 4}
    repeated = {choose(surely, logits, [BEGIN + 4], seed) for seed in range(40)}
    assert repeated > {BEGIN + 4, BEGIN + 7}


def test_s2_forgets_what_left_the_window_and_never_draws_the_end_again() -> None:
    logits = torch.full((17,), -9.0)
    logits[[4, 7, 8, 9]] = torch.tensor([1.0, 0.9, 0.9, 0.9])
    long_ago = [BEGIN + 4] + [BEGIN + 1] * RasSampling.window
    assert len({choose(ras(top_p=0.1), logits, long_ago[:-1], seed) for seed in range(40)}) > 1
    assert {choose(ras(top_p=0.1), logits, long_ago, seed) for seed in range(40)} == {BEGIN + 4}
    logits[16] = 2.0
    assert {choose(ras(top_p=0.1), logits, [BEGIN + 4], seed) for seed in range(40)} == {END}


def test_s2_chooses_among_the_first_of_its_rank_only() -> None:
    """Of a hundred that are nearly alike, in the nucleus all of them."""
    logits = torch.linspace(0.0, 0.01, 101)
    taken = {choose(ras(1.0, 1.0, codes=100), logits, [], seed) for seed in range(300)}
    ranked = {END, *(BEGIN + 100 - rank for rank in range(1, TOP_K))}
    assert taken <= ranked and len(taken) > TOP_K / 2


def test_the_noise_of_s2_has_two_draws_for_the_token_and_the_codecs_values_for_the_others() -> None:
    chooser = ras()
    alone = chooser.noise([torch.Generator().manual_seed(3)])
    beside = chooser.noise([torch.Generator().manual_seed(1), torch.Generator().manual_seed(3)])
    assert [part.shape for part in alone] == [(1, 2, 17)] + [(1, 1024)] * (CODEBOOKS - 1)
    assert not torch.equal(alone[0][:, 0], alone[0][:, 1])
    assert all(torch.equal(one[0], two[1]) for one, two in zip(alone, beside, strict=True))
