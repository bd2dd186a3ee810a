"""The windows of past frames, and how near a model with weights in int8 is to its own weights."""

from __future__ import annotations

import torch

from fish_model import prompt, random_weights
from voiceclone_worker.engines.fish.model import Model, Windows
from voiceclone_worker.engines.fish.sampling import PenaltySampling, SamplingSettings
from voiceclone_worker.engines.fish.transformer import INT8_WEIGHTS, PLAIN, Products


def logits(products: Products, dtype: torch.dtype) -> torch.Tensor:
    """The logits behind each token of a prompt, in float32."""
    weights = random_weights(dtype)
    model = Model(weights, PenaltySampling(weights, SamplingSettings(), products), products, compiled=False)
    tokens = prompt(60, seed=3, frames=True)[None]
    states = model.read(tokens, model.cache(1, 64), 0, torch.arange(60)[None], 64)
    return model.logits(states[0]).float()


def test_logits_with_weights_in_int8_are_about_as_near_as_those_in_bf16() -> None:
    exact = logits(PLAIN, torch.float32)

    def error(found: torch.Tensor) -> float:
        return float((found - exact).norm() / exact.norm())

    rounded, quantised = error(logits(PLAIN, torch.bfloat16)), error(logits(INT8_WEIGHTS, torch.bfloat16))
    assert 0 < rounded < 0.02 and rounded < quantised < 0.03


def test_a_window_that_is_not_full_repeats_its_first_frame() -> None:
    windows = Windows(1, 3, 4, torch.device("cpu"))
    for token in (11, 12, 13):
        windows.push(torch.tensor([[token, token - 10, 0, 0]]))
    assert windows.frames[0, 0].tolist() == [11, 12, 13, 11]
    assert windows.counts.tolist() == [3]


def test_the_oldest_frame_leaves_a_full_window() -> None:
    windows = Windows(1, 3, 4, torch.device("cpu"))
    for token in range(11, 18):
        windows.push(torch.tensor([[token, token - 10, 0, 0]]))
    assert set(windows.frames[0, 0].tolist()) == {14, 15, 16, 17}


def test_windows_move_with_their_rows() -> None:
    windows = Windows(2, 3, 16, torch.device("cpu"))
    windows.push(torch.tensor([[11, 1, 0, 0], [12, 2, 0, 0]]))
    windows.move(1, 0)
    windows.begin(1)
    windows.push(torch.tensor([[13, 3, 0, 0], [14, 4, 0, 0]]))
    assert windows.counts.tolist() == [2, 1]
    assert set(windows.frames[0, 0].tolist()) == {12, 13}
    assert set(windows.frames[1, 0].tolist()) == {14}


def test_windows_are_kept_where_slots_are_added() -> None:
    few, many = Windows(1, 3, 4, torch.device("cpu")), Windows(2, 3, 4, torch.device("cpu"))
    few.push(torch.tensor([[11, 1, 0, 0]]))
    many.take_over(few)
    many.push(torch.tensor([[12, 2, 0, 0], [13, 3, 0, 0]]))
    assert set(many.frames[0, 0].tolist()) == {11, 12}
    assert set(many.frames[1, 0].tolist()) == {13}
