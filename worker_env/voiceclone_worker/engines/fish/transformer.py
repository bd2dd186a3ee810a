"""One pass through fish-speech's transformers, for rows that stand at different places.

The weights and their meaning are upstream's (fish_speech.models.text2semantic.llama); the pass is
ours, because upstream's takes one position for all rows and attends to its whole window each time.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

# Matrix products with weights laid out for a handful of rows.
#
# Generating is reading weights: every frame touches all of them for a few rows of activations. The
# ordinary product on the CPU is made for tall inputs and reaches a quarter of the memory's speed at
# eight rows; oneDNN's blocked layout, packed once at load, reaches two to three times that
# (``benchmarks/products.py``). Its rows also come out the same to the last bit whatever rows stand beside them,
# from ``FEWEST_ROWS`` on, which is what makes a batch sound like its rows alone. Where oneDNN refuses bfloat16,
# the ordinary product computes it row by row, with the same property.


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


class KeyValueCache:
    """Keys and values of every layer: [slots, key heads, positions, head size] each."""

    def __init__(self, stack: TransformerStack, slots: int, positions: int) -> None:
        self.keys = [stack.empty(slots, positions) for _ in stack.blocks]
        self.values = [stack.empty(slots, positions) for _ in stack.blocks]

    @property
    def slots(self) -> int:
        return self.keys[0].shape[0]

    @property
    def positions(self) -> int:
        return self.keys[0].shape[2]

    def begin(self, slot: int, prefix: KeyValueCache) -> None:
        """Let a slot begin with what ``prefix`` (one slot) holds."""
        for mine, theirs in zip(self.keys + self.values, prefix.keys + prefix.values, strict=True):
            mine[slot, :, : theirs.shape[2]] = theirs[0]

    def move(self, source: int, target: int, positions: int) -> None:
        """Put the first ``positions`` of slot ``source`` into slot ``target``."""
        for tensor in self.keys + self.values:
            tensor[target, :, :positions] = tensor[source, :, :positions]

    def take_over(self, other: KeyValueCache, slots: int) -> None:
        """Copy the first ``slots`` of a smaller cache."""
        for mine, theirs in zip(self.keys + self.values, other.keys + other.values, strict=True):
            mine[:slots, :, : theirs.shape[2]] = theirs[:slots]


class TransformerStack:
    """A stack of upstream's transformer blocks with their weights laid out for few rows."""

    def __init__(self, blocks: Sequence[Any], turns: Tensor, *, int8: bool) -> None:
        """``turns``: upstream's table of rotations, [positions, head size / 2, 2]."""
        self.blocks = [_Block(block, int8=int8) for block in blocks]
        self._turns = turns.float()
        self._pass = self._run
        attention = blocks[0].attention
        self._shape = (attention.n_local_heads, attention.head_dim)
        self._shared = attention.n_head // attention.n_local_heads
        self._like = blocks[0].attention_norm.weight

    @property
    def nbytes(self) -> int:
        """Bytes of weights that a pass reads."""
        return sum(block.nbytes for block in self.blocks)

    def compile(self) -> None:
        """Have torch compile a pass at its first use; shapes may vary. Where that fails (no compiler on
        this machine), torch says so in its log and the pass stays as it is."""
        torch._dynamo.config.suppress_errors = True
        self._pass = torch.compile(self._run, dynamic=True)

    def empty(self, slots: int, positions: int) -> Tensor:
        heads, size = self._shape
        # Zeros, not what lies in memory: a masked key must still be a number.
        empty: Tensor = self._like.new_zeros(slots, heads, positions, size)
        return empty

    def __call__(
        self, x: Tensor, cache: KeyValueCache, first: int, positions: Tensor, length: int, mask: Tensor
    ) -> Tensor:
        """[n, t, width] -> [n, t, width] for the ``n`` slots from ``first`` on.

        ``positions`` [n, t]: where each token stands in its own row; ``length``: how many positions
        of the cache are looked at; ``mask`` [n, 1, t, length]: 0 to see, -inf not to.
        """
        # Long texts and references come once: what is compiled is the pass over a frame.
        run = self._pass if x.shape[1] <= 2 else self._run
        return run(x, cache, first, positions, length, mask)

    def _run(
        self, x: Tensor, cache: KeyValueCache, first: int, positions: Tensor, length: int, mask: Tensor
    ) -> Tensor:
        where = _Where(
            rows=slice(first, first + len(x)),
            slots=torch.arange(first, first + len(x), device=x.device)[:, None],
            positions=positions,
            length=length,
            mask=mask if x.shape[1] == 1 else mask.repeat(1, 1, self._shared, 1),
            turns=self._turns[positions][:, :, None],
        )
        for block, keys, values in zip(self.blocks, cache.keys, cache.values, strict=True):
            x = block(x, keys, values, where)
        return x


@dataclass(frozen=True)
class _Where:
    """Where the tokens of a pass stand, the same for every layer."""

    rows: slice
    slots: Tensor
    positions: Tensor
    length: int
    mask: Tensor
    """For each query head of a key head anew, where there is more than one token."""
    turns: Tensor


class _Block:
    def __init__(self, block: Any, *, int8: bool) -> None:
        attention, feed = block.attention, block.feed_forward
        self._heads, self._key_heads = attention.n_head, attention.n_local_heads
        self._size = attention.head_dim
        self._before, self._after = block.attention_norm, block.ffn_norm
        self._query_norm = _head_norms(attention)
        self._qkv = _of(attention.wqkv, int8)
        self._out = _of(attention.wo, int8)
        # One product in place of two: the activations are read once and there is one call less.
        self._gates = product(torch.cat([feed.w1.weight, feed.w3.weight]), int8=int8)
        self._down = _of(feed.w2, int8)
        self.nbytes = sum(p.nbytes for p in (self._qkv, self._out, self._gates, self._down))
        for layer in (attention.wqkv, attention.wo, feed.w1, feed.w3, feed.w2):
            layer.weight = None  # laid out anew above; the first copy would only fill memory

    def __call__(self, x: Tensor, keys: Tensor, values: Tensor, where: _Where) -> Tensor:
        x = x + self._attend(_rms(x, self._before), keys, values, where)
        gate, value = self._gates(_rms(x, self._after)).chunk(2, -1)
        return x + self._down(F.silu(gate) * value)

    def _attend(self, x: Tensor, keys: Tensor, values: Tensor, where: _Where) -> Tensor:
        n, t, _ = x.shape
        qkv = self._qkv(x).view(n, t, self._heads + 2 * self._key_heads, self._size)
        turned, v = qkv.tensor_split([self._heads + self._key_heads], 2)
        if self._query_norm is not None:
            weight, eps = self._query_norm
            turned = F.rms_norm(turned, (self._size,), None, eps) * weight
        q, k = _rotate(turned, where.turns).tensor_split([self._heads], 2)
        keys[where.slots, :, where.positions] = k
        values[where.slots, :, where.positions] = v
        # Query heads that share a key head stand as if they were further tokens of it: the keys
        # need no copy for each.
        shared = self._heads // self._key_heads
        q = q.view(n, t, self._key_heads, shared, self._size).permute(0, 2, 3, 1, 4)
        y = F.scaled_dot_product_attention(
            q.reshape(n, self._key_heads, shared * t, self._size),
            keys[where.rows, :, : where.length],
            values[where.rows, :, : where.length],
            attn_mask=where.mask,
        )
        y = y.view(n, self._key_heads, shared, t, self._size).permute(0, 3, 1, 2, 4)
        return self._out(y.reshape(n, t, self._heads * self._size))


def _of(linear: Any, int8: bool) -> Product:
    return product(linear.weight, linear.bias, int8=int8)


def _head_norms(attention: Any) -> tuple[Tensor, float] | None:
    """The weights of both head norms, [query and key heads, head size], so that one call serves both."""
    if not attention.attention_qk_norm:
        return None
    query, key = attention.q_norm, attention.k_norm
    rows = [query.weight] * attention.n_head + [key.weight] * attention.n_local_heads
    return torch.stack(rows), query.eps


def _rms(x: Tensor, norm: Any) -> Tensor:
    return F.rms_norm(x, norm.weight.shape, norm.weight, norm.eps)


def _rotate(x: Tensor, turns: Tensor) -> Tensor:
    """Rotary positions: each two neighbouring numbers are turned by the angle of their position, whose
    cosine and sine are ``turns``."""
    even, odd = x.float().view(*x.shape[:-1], -1, 2).unbind(-1)
    cosine, sine = turns.unbind(-1)
    turned = torch.stack([even * cosine - odd * sine, odd * cosine + even * sine], -1)
    return turned.flatten(-2).type_as(x)


def seen(positions: Tensor, length: int, dtype: torch.dtype) -> Tensor:
    """The mask of tokens at ``positions`` [n, t]: each sees itself and what stands before it in its
    own row. [n, 1, t, length]."""
    places = torch.arange(length, device=positions.device)
    hidden = places[None, None, :] > positions[:, :, None]
    return torch.zeros(hidden.shape, dtype=dtype, device=positions.device).masked_fill_(
        hidden, float("-inf")
    )[:, None]
