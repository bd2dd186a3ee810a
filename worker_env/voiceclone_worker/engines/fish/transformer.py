"""A pass through fish-speech's transformers for rows at different positions.

What it computes is what upstream's (fish_speech.models.text2semantic.llama) does, which takes one position for all rows
and attends to its whole window each time.

Generating is reading weights: every frame reads all of them for a few rows of activations. The ordinary product on the
CPU is made for many rows and reaches a quarter of the memory's bandwidth at eight; oneDNN's blocked layout, packed
once at load, reaches two to three times that (``benchmarks/products.py``). From ``FEWEST_ROWS`` on its rows are also
the same to the last bit whatever the other rows are, which makes a batch sound like its rows alone. Where oneDNN
refuses bfloat16, the ordinary product computes it row by row, with the same property.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from voiceclone_worker.engines.fish.layout import TransformerShape
from voiceclone_worker.engines.fish.weights import BlockWeights, NormWeights, StackWeights


class Product(Protocol):
    """A matrix product, [..., in] -> [..., out]."""

    nbytes: int
    """Bytes of weights that a call reads."""

    def __call__(self, x: Tensor) -> Tensor:
        """Return the product for ``x``."""
        ...


FEWEST_ROWS = 4
"""Shorter inputs are padded to this: a single row takes another path through oneDNN, with other rounding, and no less
time."""


def product(weight: Tensor, bias: Tensor | None = None) -> Product:
    """Return the product with ``weight`` [out, in], in the layout that is fastest on its device."""
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
    """Weights in oneDNN's blocked layout."""

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


class Int8Product:
    """Weights in int8 with a scale for each output, activations in int8 with a scale for each row.

    The scale of a row comes from that row alone, so that a row does not depend on the others (dynamic quantisation
    usually takes one scale for the whole batch).
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
        # Without VNNI two 8-bit products overflow their 16-bit sum.
        self._levels = 127 if torch.cpu._is_vnni_supported() else 63
        self.nbytes: int = quantised.numel()

    def __call__(self, x: Tensor) -> Tensor:
        """Return the product for ``x``."""
        rows = x.reshape(-1, x.shape[-1]).float()
        scale = rows.abs().amax(1, keepdim=True).clamp(min=1e-8) / self._levels
        y: Tensor = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32(
            rows / scale, 1.0, self._levels + 1, self._weight
        )
        y = (y * scale).view(*x.shape[:-1], -1)
        return (y if self._bias is None else y + self._bias).to(x.dtype)


class Int8WeightProduct:
    """Weights in int8 with a scale for each output, activations as they are, by ordinary operations on any device.

    The weights are widened in each call, for that call alone: the memory of one matrix is taken, and no time is saved.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        wide = weight.float()
        self._scale = wide.abs().amax(1).clamp(min=1e-8) / 127
        self._weight = (wide / self._scale[:, None]).round_().to(torch.int8)
        self._bias = bias
        self.nbytes: int = self._weight.nbytes

    def __call__(self, x: Tensor) -> Tensor:
        """Return the product for ``x``."""
        rows = x.reshape(-1, x.shape[-1])
        # Whole numbers up to 127 are exact in every format; the scale is applied before the sum is rounded.
        y = F.linear(_filled(rows), self._weight.to(x.dtype))[: len(rows)].float() * self._scale
        y = y if self._bias is None else y + self._bias
        return y.to(x.dtype).view(*x.shape[:-1], -1)


MakeProduct = Callable[[Tensor, Tensor | None], Product]


@dataclass(frozen=True)
class Products:
    """How the matrix products of a model are made."""

    slow: MakeProduct
    """In the slow transformer's blocks, four fifths of the weights or more."""
    others: MakeProduct
    """In the fast transformer, and for the logits: a rounded logit is another token."""


PLAIN = Products(product, product)
INT8 = Products(Int8Product, Int8Product)
"""Of x86 CPUs."""
INT8_WEIGHTS = Products(Int8WeightProduct, product)
"""Of GPUs with little memory."""


def products_of(precision: str, device: torch.device) -> Products:
    """Return the products of a precision (of ``checkpoint.PRECISIONS``) on a device."""
    if precision != "int8":
        return PLAIN
    return INT8 if device.type == "cpu" else INT8_WEIGHTS


def int8_works() -> bool:
    """Return whether this CPU has the int8 product."""
    return "fbgemm" in torch.backends.quantized.supported_engines


def _filled(rows: Tensor, fewest: int = FEWEST_ROWS) -> Tensor:
    missing = fewest - len(rows)
    return torch.nn.functional.pad(rows, (0, 0, 0, missing)) if missing > 0 else rows


class KeyValueCache:
    """Keys and values of every layer, [slots, 2 x key heads, positions, head size] each: the heads' keys, then their
    values, so that both are written by one operation."""

    def __init__(self, stack: TransformerStack, slots: int, positions: int) -> None:
        self.layers = [stack.empty(slots, positions) for _ in stack.blocks]

    @property
    def slots(self) -> int:
        """Number of rows that fit."""
        return self.layers[0].shape[0]

    @property
    def positions(self) -> int:
        """Number of positions of a row."""
        return self.layers[0].shape[2]

    def begin(self, slot: int, prefix: KeyValueCache) -> None:
        """Copy ``prefix`` (one slot) to the beginning of a slot."""
        for target, source in zip(self.layers, prefix.layers, strict=True):
            target[slot, :, : source.shape[2]] = source[0]

    def clear(self, slot: int) -> None:
        """Set a slot to zero."""
        for layer in self.layers:
            layer[slot] = 0

    def move(self, source: int, target: int, positions: int) -> None:
        """Copy the first ``positions`` of slot ``source`` to slot ``target``."""
        for layer in self.layers:
            layer[target, :, :positions] = layer[source, :, :positions]

    def take_over(self, other: KeyValueCache) -> None:
        """Copy a cache that is not larger."""
        for target, source in zip(self.layers, other.layers, strict=True):
            target[: source.shape[0], :, : source.shape[2]] = source


class TransformerStack:
    """Transformer blocks, with weights laid out for few rows."""

    def __init__(self, weights: StackWeights, make: MakeProduct) -> None:
        """Take over the blocks of ``weights``; ``make`` makes their products."""
        shape = weights.shape
        self.blocks = [_Block(block, shape, make) for block in weights.take_blocks()]
        self._rotations = weights.rotations
        self._pass = self._run
        self._shape = (shape.key_heads, shape.head_size)
        self._shared = shape.heads // shape.key_heads
        self._device, self._dtype = weights.device, weights.dtype
        self._fewest = FEWEST_ROWS if self._device.type == "cpu" else 1

    @property
    def nbytes(self) -> int:
        """Bytes of weights that a pass reads."""
        return sum(block.nbytes for block in self.blocks)

    def compile(self) -> None:
        """Have torch compile a pass at its first use; shapes may vary.

        Where that fails (no compiler on this machine), torch logs it and the pass runs uncompiled.
        """
        torch._dynamo.config.suppress_errors = True
        self._pass = torch.compile(self._run, dynamic=True)

    def empty(self, slots: int, positions: int) -> Tensor:
        """Return zeros for the keys and values of a layer."""
        heads, size = self._shape
        # Not uninitialised: a masked key must still be a number.
        return torch.zeros(slots, 2 * heads, positions, size, dtype=self._dtype, device=self._device)

    def __call__(
        self, x: Tensor, cache: KeyValueCache, first: int, positions: Tensor, length: int, mask: Tensor
    ) -> Tensor:
        """Compute [n, t, width] -> [n, t, width] for the ``n`` slots from ``first`` on.

        ``positions`` [n, t]: of each token in its own row; ``length``: positions of the cache that are attended to;
        ``mask`` [n, 1, t, length]: of ``causal_mask``.
        """
        # Long texts and references are read once: only the pass over a frame is compiled.
        run = self._pass if x.shape[1] <= 2 else self._run
        return run(x, cache, first, positions, length, mask)

    def _run(
        self, x: Tensor, cache: KeyValueCache, first: int, positions: Tensor, length: int, mask: Tensor
    ) -> Tensor:
        n, t, width = x.shape
        step = _PassState(
            shape=(n, t),
            rows=slice(first, first + n),
            slots=torch.arange(first, first + n, device=x.device)[:, None],
            positions=positions,
            length=length,
            mask=mask if t == 1 else mask.repeat(1, 1, self._shared, 1),
            rotations=self._rotations[positions][:, :, None],
        )
        # Few rows are padded once for all products, and not for each.
        x = _filled(x.reshape(n * t, width), self._fewest)
        for block, layer in zip(self.blocks, cache.layers, strict=True):
            x = block(x, layer, step)
        return x[: n * t].view(n, t, width)


@dataclass(frozen=True)
class _PassState:
    """The tokens of a pass, the same for every layer."""

    shape: tuple[int, int]
    """Slots, and tokens of each."""
    rows: slice
    slots: Tensor
    positions: Tensor
    length: int
    mask: Tensor
    """Repeated for each query head of a key head, where there is more than one token."""
    rotations: Tensor


class _Block:
    def __init__(self, block: BlockWeights, shape: TransformerShape, make: MakeProduct) -> None:
        self._heads, self._key_heads, self._size = shape.heads, shape.key_heads, shape.head_size
        self._before, self._after = block.before_attention, block.before_feed
        self._head_norm = _head_norm(block, shape)
        self._qkv = make(block.qkv.weight, block.qkv.bias)
        self._out = make(block.attention_out.weight, block.attention_out.bias)
        # One product instead of two: the activations are read once, with one call less.
        self._gates = make(torch.cat([block.gate.weight, block.value.weight]), None)
        self._down = make(block.feed_out.weight, block.feed_out.bias)
        self.nbytes = sum(p.nbytes for p in (self._qkv, self._out, self._gates, self._down))

    def __call__(self, x: Tensor, layer: Tensor, step: _PassState) -> Tensor:
        """Compute [rows, width] -> the same, the rows being the tokens of ``step`` and what they are padded with."""
        x = x + self._attend(_rms(x, self._before), layer, step)
        gate, value = self._gates(_rms(x, self._after)).chunk(2, -1)
        return x + self._down(F.silu(gate) * value)

    def _attend(self, x: Tensor, layer: Tensor, step: _PassState) -> Tensor:
        n, t = step.shape
        turned = self._heads + self._key_heads
        qkv = self._qkv(x)[: n * t].view(n, t, turned + self._key_heads, self._size)
        query_key = qkv[:, :, :turned]
        normed = query_key
        if self._head_norm is not None:
            weight, eps = self._head_norm
            normed = F.rms_norm(query_key, (self._size,), None, eps) * weight
        query_key.copy_(_rotate(normed, step.rotations))
        layer[step.slots, :, step.positions] = qkv[:, :, self._heads :]
        keys, values = layer[step.rows, :, : step.length].chunk(2, 1)
        # Query heads that share a key head are treated as further tokens of it, so that the keys need no copies.
        shared = self._heads // self._key_heads
        q = qkv[:, :, : self._heads].view(n, t, self._key_heads, shared, self._size).permute(0, 2, 3, 1, 4)
        y = F.scaled_dot_product_attention(
            q.reshape(n, self._key_heads, shared * t, self._size), keys, values, attn_mask=step.mask
        )
        y = y.view(n, self._key_heads, shared, t, self._size).permute(0, 3, 1, 2, 4)
        return self._out(_filled(y.reshape(n * t, self._heads * self._size), len(x)))


def _head_norm(block: BlockWeights, shape: TransformerShape) -> tuple[Tensor, float] | None:
    """Return the weights of both head norms, [query and key heads, head size], for one call, and their epsilon."""
    query, key = block.query_norm, block.key_norm
    if query is None or key is None:
        return None
    return torch.stack([query.weight] * shape.heads + [key.weight] * shape.key_heads), query.eps


def _rms(x: Tensor, norm: NormWeights) -> Tensor:
    return F.rms_norm(x, norm.weight.shape, norm.weight, norm.eps)


def _rotate(x: Tensor, rotations: Tensor) -> Tensor:
    """Apply rotary positions: rotate each pair of numbers by the angle whose cosine and sine are in ``rotations``."""
    pairs = x.float().view(*x.shape[:-1], -1, 2)
    if x.device.type == "cpu":
        # One operation instead of eight, with the same bits.
        turned = torch.view_as_complex(pairs) * torch.view_as_complex(rotations)
        return torch.view_as_real(turned).flatten(-2).type_as(x)
    even, odd = pairs.unbind(-1)
    cosine, sine = rotations.unbind(-1)
    rotated = torch.stack([even * cosine - odd * sine, odd * cosine + even * sine], -1)
    return rotated.flatten(-2).type_as(x)


def causal_mask(positions: Tensor, length: int, dtype: torch.dtype) -> Tensor:
    """Return the mask [n, 1, t, length] of tokens at ``positions`` [n, t]: 0 up to the own position, -inf after it."""
    hidden = torch.arange(length, device=positions.device)[None, None, :] > positions[:, :, None]
    return torch.zeros(hidden.shape, dtype=dtype, device=positions.device).masked_fill_(
        hidden, float("-inf")
    )[:, None]
