"""Stretches and threads: the same numbers as at once, on layers built like the codec's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import nn

from voiceclone_worker.engines.fish.codec.spreading import spread
from voiceclone_worker.engines.fish.codec.stretches import Stretches, downsampling_context, upsampling_context

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def exact_numbers() -> Iterator[None]:
    """In float64 rounding is no excuse: a stretch that looks back too little differs by far more."""
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("rates", [(2,), (4, 2), (8, 4, 2)])
@torch.inference_mode()
def test_an_upsampling_in_stretches_is_the_same(rates: tuple[int, ...]) -> None:
    layers = nn.Sequential(*(nn.Sequential(Up(rate), *residual()) for rate in rates), Causal(7))
    up = int(torch.tensor(rates).prod())
    signal = torch.randn(2, 3, 700)
    needed = upsampling_context(rates)
    assert_same(layers, signal, Stretches(layers, length=128, context=needed, up=up))


@pytest.mark.parametrize("rates", [(2,), (2, 4), (2, 4, 8)])
@torch.inference_mode()
def test_a_downsampling_in_stretches_is_the_same(rates: tuple[int, ...]) -> None:
    layers = nn.Sequential(
        Causal(7), *(nn.Sequential(*residual(), Causal(2 * rate, step=rate)) for rate in rates)
    )
    down = int(torch.tensor(rates).prod())
    signal = torch.randn(2, 3, 64 * 80)
    needed = downsampling_context(rates)
    assert needed % down == 0
    assert_same(layers, signal, Stretches(layers, length=1024, context=needed, down=down))


@torch.inference_mode()
def test_less_context_would_be_noticed() -> None:
    layers = nn.Sequential(Up(2), *residual(), Causal(7))
    signal = torch.randn(1, 3, 700)
    short = Stretches(layers, length=128, context=upsampling_context([2]) - 2, up=2)
    assert not torch.allclose(short.all(signal), layers(signal))


def test_work_is_spread_in_order_and_the_number_of_threads_stays() -> None:
    before = torch.get_num_threads()
    seen = spread(
        lambda piece: (piece, torch.get_num_threads(), torch.is_inference_mode_enabled()), range(9), CPU
    )
    assert seen == [(piece, 1, True) for piece in range(9)]
    assert torch.get_num_threads() == before


def test_an_error_in_a_piece_is_raised_and_the_number_of_threads_stays() -> None:
    before = torch.get_num_threads()
    with pytest.raises(ZeroDivisionError):
        spread(lambda piece: 1 // piece, [1, 0, 2], CPU)
    assert torch.get_num_threads() == before


def assert_same(layers: nn.Module, signal: torch.Tensor, stretches: Stretches) -> None:
    assert len(stretches.starts(signal)) > 3
    torch.testing.assert_close(stretches.all(signal), layers(signal), rtol=0, atol=1e-12)


class Causal(nn.Module):
    """A convolution that looks back, as upstream pads it."""

    def __init__(self, kernel: int, dilation: int = 1, step: int = 1) -> None:
        super().__init__()
        self.before = (kernel - 1) * dilation + 1 - step
        self.inner = nn.Conv1d(3, 3, kernel, dilation=dilation, stride=step)

    def forward(self, signal: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.inner(nn.functional.pad(signal, (self.before, 0)))
        return made


class Up(nn.Module):
    """A transposed convolution, its tail cut as upstream cuts it."""

    def __init__(self, rate: int) -> None:
        super().__init__()
        self.rate = rate
        self.inner = nn.ConvTranspose1d(3, 3, 2 * rate, stride=rate)

    def forward(self, signal: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.inner(signal)[..., : -self.rate]
        return made


def residual() -> list[nn.Module]:
    return [Causal(7, dilation) for dilation in (1, 3, 9)]
