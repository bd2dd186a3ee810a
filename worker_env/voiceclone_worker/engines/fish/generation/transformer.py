"""One pass through fish-speech's transformers, for rows that stand at different places.

The weights and their meaning are upstream's (fish_speech.models.text2semantic.llama); the pass is
ours, because upstream's takes one position for all rows and attends to its whole window each time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from voiceclone_worker.engines.fish.generation.linear import Product, product


class Cache:
    """Keys and values of every layer: [slots, key heads, positions, head size] each."""

    def __init__(self, stack: Stack, slots: int, positions: int) -> None:
        self.keys = [stack.empty(slots, positions) for _ in stack.blocks]
        self.values = [stack.empty(slots, positions) for _ in stack.blocks]

    @property
    def slots(self) -> int:
        return self.keys[0].shape[0]

    @property
    def positions(self) -> int:
        return self.keys[0].shape[2]

    def begin(self, slot: int, prefix: Cache) -> None:
        """Let a slot begin with what ``prefix`` (one slot) holds."""
        for mine, theirs in zip(self.keys + self.values, prefix.keys + prefix.values, strict=True):
            mine[slot, :, : theirs.shape[2]] = theirs[0]

    def move(self, source: int, target: int, positions: int) -> None:
        """Put the first ``positions`` of slot ``source`` into slot ``target``."""
        for tensor in self.keys + self.values:
            tensor[target, :, :positions] = tensor[source, :, :positions]

    def take_over(self, other: Cache, slots: int) -> None:
        """Copy the first ``slots`` of a smaller cache."""
        for mine, theirs in zip(self.keys + self.values, other.keys + other.values, strict=True):
            mine[:slots, :, : theirs.shape[2]] = theirs[:slots]


class Stack:
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
        self, x: Tensor, cache: Cache, first: int, positions: Tensor, length: int, mask: Tensor
    ) -> Tensor:
        """[n, t, width] -> [n, t, width] for the ``n`` slots from ``first`` on.

        ``positions`` [n, t]: where each token stands in its own row; ``length``: how many positions
        of the cache are looked at; ``mask`` [n, 1, t, length]: 0 to see, -inf not to.
        """
        # Long texts and references come once: what is compiled is the pass over a frame.
        run = self._pass if x.shape[1] <= 2 else self._run
        return run(x, cache, first, positions, length, mask)

    def _run(
        self, x: Tensor, cache: Cache, first: int, positions: Tensor, length: int, mask: Tensor
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
