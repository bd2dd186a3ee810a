"""Sampling of the next token."""

from __future__ import annotations

import torch

from voiceclone_worker.engines.fish.model import Windows
from voiceclone_worker.engines.fish.sampling import PenaltySampling, SamplingSettings
from voiceclone_worker.engines.fish.weights import (
    ModelShape,
    SpeechTokens,
    TransformerShape,
    Weights,
    read_weights,
)

BEGIN, END, CODEBOOKS = 10, 5, 3


def weights() -> Weights:
    """Weights whose head is the unit matrix: a state is its logits."""
    side = TransformerShape(30, 1, 1, 1, 2, 2, norm_eps=1e-6, rope_base=10_000.0, head_norms=False)
    shape = ModelShape(side, side, 30, CODEBOOKS, 16, 8, False, True, False)
    attention = {"wqkv": (6, 30), "wo": (30, 2)}
    feed = {"w1": (2, 30), "w3": (2, 30), "w2": (30, 2)}
    block = {
        **{f"attention.{name}.weight": size for name, size in attention.items()},
        **{f"feed_forward.{name}.weight": size for name, size in feed.items()},
        **{f"{name}.weight": (30,) for name in ("attention_norm", "ffn_norm")},
    }
    sizes = {
        **{f"{name}.0.{part}": size for name in ("layers", "fast_layers") for part, size in block.items()},
        **{"embeddings.weight": (30, 30), "codebook_embeddings.weight": (16 * CODEBOOKS, 30)},
        **{"fast_embeddings.weight": (16, 30), "fast_output.weight": (16, 30)},
        **{f"{name}.weight": (30,) for name in ("norm", "fast_norm")},
    }
    tensors = {name: torch.zeros(size) for name, size in sizes.items()} | {"output.weight": torch.eye(30)}
    tokens = SpeechTokens(BEGIN, BEGIN + 15, END)
    return read_weights(tensors, 1 << 20, shape, tokens, torch.device("cpu"), torch.float32)


def sampling(
    temperature: float = 0.7, top_p: float = 0.7, repetition_penalty: float = 1.2
) -> PenaltySampling:
    return PenaltySampling(weights(), SamplingSettings(temperature, top_p, repetition_penalty))


def choose(chooser: PenaltySampling, logits: torch.Tensor, past: list[int], seed: int) -> int:
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
