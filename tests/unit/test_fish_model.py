"""Sampling of the next token, and the windows of past frames."""

from __future__ import annotations

from types import SimpleNamespace

import torch

from voiceclone_worker.engines.fish.model import WINDOW, Sampling, Windows

BEGIN, END, CODEBOOKS = 10, 5, 3


def sampling(temperature: float = 0.7, top_p: float = 0.7, repetition_penalty: float = 1.2) -> Sampling:
    tokenizer = SimpleNamespace(
        semantic_begin_id=BEGIN, semantic_end_id=BEGIN + 15, get_token_id=lambda name: END
    )
    model = SimpleNamespace(
        tokenizer=tokenizer,
        config=SimpleNamespace(tie_word_embeddings=False, num_codebooks=CODEBOOKS),
        output=SimpleNamespace(weight=torch.eye(30)),
    )
    return Sampling(model, temperature=temperature, top_p=top_p, repetition_penalty=repetition_penalty)


def choose(chooser: Sampling, logits: torch.Tensor, past: list[int], seed: int) -> int:
    windows = Windows(CODEBOOKS, torch.device("cpu"))
    windows.add_rows(1)
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
    long_ago = [BEGIN + 4] + [BEGIN + 1] * WINDOW
    assert choose(sampling(top_p=0.1), logits, long_ago[:-1], 1) == BEGIN + 7
    assert choose(sampling(top_p=0.1), logits, long_ago, 1) == BEGIN + 4


def test_the_noise_of_a_row_is_its_own() -> None:
    chooser = sampling()
    alone = chooser.noise([torch.Generator().manual_seed(3)])
    beside = chooser.noise([torch.Generator().manual_seed(1), torch.Generator().manual_seed(3)])
    assert [part.shape for part in alone] == [(1, 17), (1, 1024), (1, 1024)]
    assert all(torch.equal(one[0], two[1]) for one, two in zip(alone, beside, strict=True))
    assert all((part > 0).all() and part.isfinite().all() for part in beside)


def test_windows_follow_the_rows_that_are_left() -> None:
    windows = Windows(CODEBOOKS, torch.device("cpu"))
    windows.add_rows(2)
    windows.push(torch.tensor([[11, 1, 0, 0], [12, 2, 0, 0]]))
    windows.keep(torch.tensor([1]))
    windows.add_rows(1)
    assert windows.counts.tolist() == [1, 0]
    windows.push(torch.tensor([[13, 3, 0, 0], [14, 4, 0, 0]]))
    assert set(windows.frames[0, 0].tolist()) == {12, 13}
    assert set(windows.frames[1, 0].tolist()) == {14}
