"""Matrix products with weights laid out for a handful of rows.

Generating is reading weights: every frame touches all of them for a few rows of activations. The
ordinary product on the CPU is made for tall inputs and reaches a quarter of the memory's speed at
eight rows; oneDNN's blocked layout, packed once at load, reaches two to three times that
(``benchmarks/products.py``). Its rows also come out the same to the last bit whatever rows stand beside them,
from ``FEWEST_ROWS`` on, which is what makes a batch sound like its rows alone. Where oneDNN refuses bfloat16,
the ordinary product computes it row by row, with the same property.
"""

from __future__ import annotations

import warnings
from typing import Protocol

import torch
from torch import Tensor


class Product(Protocol):
    """[..., in] -> [..., out]."""

    nbytes: int
    """Bytes of weights that a call reads."""

    def __call__(self, x: Tensor) -> Tensor: ...


FEWEST_ROWS = 4
"""Shorter inputs are filled up to this: a single row takes another path through oneDNN, with other
rounding, and no less time."""


def product(weight: Tensor, bias: Tensor | None = None, *, int8: bool = False) -> Product:
    """The product with ``weight`` [out, in], in the layout that is fastest on its device."""
    if int8:
        return _Int8(weight, bias)
    if weight.device.type == "cpu" and _packs(weight.dtype):
        return _Packed(weight, bias)
    return _Plain(weight, bias)


def _packs(dtype: torch.dtype) -> bool:
    """Return whether oneDNN multiplies ``dtype`` on this CPU; on x86, bfloat16 takes AVX-512 or AVX2 with VNNI."""
    if not torch._C._has_mkldnn:
        return False
    if dtype != torch.bfloat16:
        return True
    supported = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    return supported is not None and bool(supported())


class _Plain:
    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self._weight, self._bias = weight, bias
        self.nbytes: int = weight.nbytes

    def __call__(self, x: Tensor) -> Tensor:
        return torch.nn.functional.linear(x, self._weight, self._bias)


class _Packed:
    """oneDNN's blocked weights."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self._weight = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), None)
        self._bias = bias
        self._out = weight.shape[0]
        self.nbytes: int = weight.nbytes

    def __call__(self, x: Tensor) -> Tensor:
        rows = x.reshape(-1, x.shape[-1])
        y: Tensor = torch.ops.mkldnn._linear_pointwise(
            _filled(rows), self._weight, self._bias, "none", [], ""
        )
        return y[: len(rows)].view(*x.shape[:-1], self._out)


class _Int8:
    """Weights as int8 with a scale for each output, activations as int8 with a scale for each row.

    The scale of a row comes from that row alone, so that here too a row does not depend on its
    neighbours (the usual dynamic quantisation takes one scale for the whole batch, and it would).
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        scale = weight.float().abs().amax(1).clamp(min=1e-8) / 127
        zeros = torch.zeros(len(scale), dtype=torch.int64)
        with warnings.catch_warnings():
            # Deprecated in favour of a library that has no int8 product for few rows on the CPU.
            warnings.simplefilter("ignore", UserWarning)
            quantised = torch.quantize_per_channel(weight.float(), scale.double(), zeros, 0, torch.qint8)
        before = torch.backends.quantized.engine
        torch.backends.quantized.engine = "fbgemm"
        try:
            self._weight = torch.ops.quantized.linear_prepack(quantised, None)
        finally:
            torch.backends.quantized.engine = before
        self._bias = bias
        # Without VNNI two 8-bit products overflow the 16 bits that they are summed in.
        self._levels = 127 if torch.cpu._is_vnni_supported() else 63
        self.nbytes: int = quantised.numel()

    def __call__(self, x: Tensor) -> Tensor:
        rows = x.reshape(-1, x.shape[-1]).float()
        scale = rows.abs().amax(1, keepdim=True).clamp(min=1e-8) / self._levels
        y: Tensor = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32(
            rows / scale, 1.0, self._levels + 1, self._weight
        )
        y = (y * scale).view(*x.shape[:-1], -1)
        return (y if self._bias is None else y + self._bias).to(x.dtype)


def int8_works() -> bool:
    """Whether this machine has the int8 product."""
    return "fbgemm" in torch.backends.quantized.supported_engines


def _filled(rows: Tensor) -> Tensor:
    missing = FEWEST_ROWS - len(rows)
    return torch.nn.functional.pad(rows, (0, 0, 0, missing)) if missing > 0 else rows
