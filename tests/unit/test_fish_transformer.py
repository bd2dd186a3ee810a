"""Products with weights laid out for few rows."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable

import pytest
import torch

from voiceclone_worker.engines.fish.transformer import (
    PLAIN,
    Int8Product,
    Int8WeightProduct,
    MakeProduct,
    _rotate,
    int8_works,
    product,
    products_of,
)


def example(rows: int, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(rows)
    weight = torch.randn(96, 160, generator=random) * 0.1
    x = torch.randn(rows, 160, generator=random) * torch.logspace(-1, 1, rows)[:, None]
    return x.to(dtype), weight.to(dtype), torch.randn(96, generator=random).to(dtype)


needs_int8 = pytest.mark.skipif(not int8_works(), reason="this torch has no int8 products, as on Windows")
INT8_WEIGHTS_OF_FLOAT32 = pytest.param(torch.float32, Int8WeightProduct, 0.02, id="int8 weights of float32")
CASES = [
    pytest.param(torch.float32, product, 1e-5, id="float32"),
    pytest.param(torch.bfloat16, product, 0.02, id="bf16"),
    pytest.param(torch.bfloat16, Int8Product, 0.03, id="int8", marks=needs_int8),
    pytest.param(torch.bfloat16, Int8WeightProduct, 0.02, id="int8 weights"),
]


@pytest.mark.parametrize(("dtype", "make", "error"), [*CASES, INT8_WEIGHTS_OF_FLOAT32])
@pytest.mark.parametrize("rows", [1, 3, 8, 40])
def test_the_product_is_that_of_a_linear_layer(
    dtype: torch.dtype, make: MakeProduct, error: float, rows: int
) -> None:
    x, weight, bias = example(rows, dtype)
    expected = torch.nn.functional.linear(x.double(), weight.double(), bias.double())
    made = make(weight, bias)(x)
    assert made.shape == (rows, 96) and made.dtype == dtype
    assert (made.double() - expected).norm() / expected.norm() < error


# int8 weights are for activations in bf16: the ordinary product of float32 depends on the rows and the threads.
@pytest.mark.parametrize(("dtype", "make", "error"), CASES)
def test_a_row_does_not_depend_on_the_rows_beside_it(
    dtype: torch.dtype, make: MakeProduct, error: float
) -> None:
    x, weight, _ = example(16, dtype)
    layer = make(weight, None)
    whole = layer(x)
    for rows in range(1, 17):
        assert torch.equal(layer(x[:rows]), whole[:rows])


@pytest.mark.skipif(sys.platform != "linux" or platform.machine() != "x86_64", reason="of Linux on x86")
def test_torch_for_linux_has_int8_products() -> None:
    assert int8_works()


def test_on_a_gpu_int8_is_for_the_weights_of_the_slow_transformer_alone() -> None:
    for device in ("cuda", "cpu"):
        found = products_of("int8", torch.device(device))
        kept = (Int8WeightProduct, product) if device == "cuda" else (Int8Product, Int8Product)
        assert (found.slow, found.others) == kept
        assert products_of("bf16", torch.device(device)) == PLAIN


@pytest.mark.parametrize("answer", [lambda: False, None], ids=["refused", "not told"])
def test_bf16_takes_the_ordinary_product_where_onednn_has_none(
    monkeypatch: pytest.MonkeyPatch, answer: Callable[[], bool] | None
) -> None:
    def refuse(*arguments: object) -> None:
        raise RuntimeError("no packed product")

    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", answer)
    monkeypatch.setattr(torch.ops.mkldnn, "_reorder_linear_weight", refuse)
    x, weight, bias = example(8, torch.bfloat16)
    assert torch.equal(product(weight, bias)(x), torch.nn.functional.linear(x, weight, bias))
    with pytest.raises(RuntimeError, match="no packed product"):
        product(weight.float(), bias.float())


def test_leading_dimensions_stay_as_they_are() -> None:
    x, weight, _ = example(6, torch.float32)
    layer = product(weight)
    assert torch.equal(layer(x.view(2, 3, 160)), layer(x).view(2, 3, 96))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bf16"])
@pytest.mark.parametrize("rows", [1, 7])
def test_positions_are_rotated_to_the_last_bit_as_by_cosines_and_sines(rows: int, dtype: torch.dtype) -> None:
    random = torch.Generator().manual_seed(rows)
    x = torch.randn(rows, 2, 6, 32, generator=random).to(dtype)
    angles = torch.randn(rows, 2, 1, 16, generator=random)
    turns = torch.stack([angles.cos(), angles.sin()], -1)
    even, odd = x.float()[..., 0::2], x.float()[..., 1::2]
    expected = torch.empty_like(x)
    expected[..., 0::2] = (even * turns[..., 0] - odd * turns[..., 1]).to(dtype)
    expected[..., 1::2] = (odd * turns[..., 0] + even * turns[..., 1]).to(dtype)
    assert torch.equal(_rotate(x, turns), expected)
