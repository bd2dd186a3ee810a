"""The weights of fish-speech's two transformers, whatever files they came in.

A checkpoint's tensors are brought to one set of names, those of S1's model.pth, and ``read_weights`` takes each of them
once: a name that is missing, a shape that the configuration does not have, and a tensor that is left over are refused.
What comes from a file stays mapped from it until its block is laid out for the device, one block at a time, so that
host memory never holds the model twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from voiceclone_worker.engines.fish.layout import ModelShape, TransformerShape

_FLOATS = (torch.float32, torch.bfloat16, torch.float16)


@dataclass(frozen=True)
class SpeechTokens:
    """Ids of the tokens that can follow in speech: the codes, from ``begin`` to ``last``, and the end."""

    begin: int
    last: int
    end: int


@dataclass(frozen=True)
class NormWeights:
    """Gains of a root mean square norm, and its epsilon."""

    weight: Tensor
    eps: float

    def moved(self, device: torch.device, dtype: torch.dtype) -> NormWeights:
        """Return them on ``device``."""
        return NormWeights(self.weight.to(device, dtype), self.eps)


@dataclass(frozen=True)
class LinearWeights:
    """A matrix [out, in] and its bias [out]."""

    weight: Tensor
    bias: Tensor | None = None

    def moved(self, device: torch.device, dtype: torch.dtype) -> LinearWeights:
        """Return them on ``device``."""
        bias = None if self.bias is None else self.bias.to(device, dtype)
        return LinearWeights(self.weight.to(device, dtype), bias)


@dataclass(frozen=True)
class BlockWeights:
    """A block: attention, then the gated feed-forward part."""

    before_attention: NormWeights
    qkv: LinearWeights
    """Queries, keys and values of all heads, in this order."""
    query_norm: NormWeights | None
    key_norm: NormWeights | None
    attention_out: LinearWeights
    before_feed: NormWeights
    gate: LinearWeights
    value: LinearWeights
    feed_out: LinearWeights

    def moved(self, device: torch.device, dtype: torch.dtype) -> BlockWeights:
        """Return it on ``device``."""
        query, key = self.query_norm, self.key_norm
        return BlockWeights(
            before_attention=self.before_attention.moved(device, dtype),
            qkv=self.qkv.moved(device, dtype),
            query_norm=None if query is None else query.moved(device, dtype),
            key_norm=None if key is None else key.moved(device, dtype),
            attention_out=self.attention_out.moved(device, dtype),
            before_feed=self.before_feed.moved(device, dtype),
            gate=self.gate.moved(device, dtype),
            value=self.value.moved(device, dtype),
            feed_out=self.feed_out.moved(device, dtype),
        )


@dataclass
class StackWeights:
    """A transformer's blocks and what follows them."""

    shape: TransformerShape
    norm: NormWeights
    """After the last block, on the device."""
    rotations: Tensor
    """Cosines and sines of the rotary positions, float32 [positions, head size / 2, 2], on the device."""
    device: torch.device
    dtype: torch.dtype
    _blocks: list[BlockWeights] = field(repr=False)

    def take_blocks(self) -> Iterator[BlockWeights]:
        """Yield the blocks on the device, each converted when it is asked for and then forgotten here."""
        while self._blocks:
            yield self._blocks.pop(0).moved(self.device, self.dtype)


@dataclass
class Weights:
    """All that ``Model`` reads. Its blocks can be taken once."""

    shape: ModelShape
    tokens: SpeechTokens
    device: torch.device
    dtype: torch.dtype
    embeddings: Tensor
    """[vocabulary, width]"""
    codebook_embeddings: Tensor
    """[codebooks * codebook size, width]"""
    slow: StackWeights
    fast_projection: LinearWeights | None
    """From the slow width to the fast one; None where they are the same."""
    fast_embeddings: Tensor
    """[codebook size, fast width]"""
    fast: StackWeights
    _head: Tensor = field(repr=False)
    _codes_head: Tensor = field(repr=False)

    def head(self, tokens: Tensor) -> Tensor:
        """Return the rows [n, width] of the head for these tokens."""
        return self._head[tokens.to(self._head.device)].to(self.device, self.dtype)

    def codes_head(self, values: int) -> Tensor:
        """Return the head [values, fast width] of the first ``values`` codes of a residual codebook."""
        return self._codes_head[:values].to(self.device, self.dtype)


def read_weights(
    tensors: Mapping[str, Tensor],
    file_bytes: int,
    shape: ModelShape,
    tokens: SpeechTokens,
    device: torch.device,
    dtype: torch.dtype,
) -> Weights:
    """Return the weights among ``tensors``, which came from files of ``file_bytes`` in all.

    Raises ValueError where they are not those of ``shape``.
    """
    table = _TensorTable(dict(tensors), file_bytes)
    _check_shape(shape)
    slow, fast = shape.slow, shape.fast
    embeddings = table.take("embeddings.weight", shape.vocabulary, slow.width).to(device, dtype)
    values = shape.codebooks * shape.codebook_size
    codebook_embeddings = table.take("codebook_embeddings.weight", values, slow.width)
    head = embeddings
    if not shape.tied_head:
        head = table.take("output.weight", shape.vocabulary, slow.width)
    projection = None
    if fast.width != slow.width:
        projection = table.linear("fast_project_in", fast.width, slow.width, bias=True)
    fast_embeddings = table.take("fast_embeddings.weight", shape.codebook_size, fast.width)
    codes_head = table.take("fast_output.weight", shape.codebook_size, fast.width)
    slow_blocks, slow_norm = table.blocks("layers", slow), table.norm("norm", slow.width, slow.norm_eps)
    fast_blocks = table.blocks("fast_layers", fast)
    fast_norm = table.norm("fast_norm", fast.width, fast.norm_eps)
    table.check_empty()

    def stack(
        side: TransformerShape, blocks: list[BlockWeights], norm: NormWeights, positions: int
    ) -> StackWeights:
        turns = rotations(positions, side.head_size, side.rope_base).to(device)
        return StackWeights(side, norm.moved(device, dtype), turns, device, dtype, blocks)

    return Weights(
        shape=shape,
        tokens=tokens,
        device=device,
        dtype=dtype,
        embeddings=embeddings,
        codebook_embeddings=codebook_embeddings.to(device, dtype),
        slow=stack(slow, slow_blocks, slow_norm, shape.window),
        fast_projection=None if projection is None else projection.moved(device, dtype),
        fast_embeddings=fast_embeddings.to(device, dtype),
        fast=stack(fast, fast_blocks, fast_norm, shape.codebooks),
        _head=head,
        _codes_head=codes_head,
    )


def rotations(positions: int, head_size: int, base: float) -> Tensor:
    """Return cosine and sine of each position's angles, float32 [positions, head size / 2, 2].

    They are rounded to bfloat16, as they were when the models were trained: speech is garbled without it.
    """
    rates = 1.0 / base ** (torch.arange(0, head_size, 2).float() / head_size)
    angles = torch.outer(torch.arange(positions), rates)
    turns = torch.polar(torch.ones_like(angles), angles)
    return torch.view_as_real(turns).to(torch.bfloat16).float()


def _check_shape(shape: ModelShape) -> None:
    if min(shape.vocabulary, shape.codebooks, shape.codebook_size, shape.window) < 1:
        raise ValueError("a size in it is not over 0")
    for side in (shape.slow, shape.fast):
        sizes = (side.width, side.layers, side.heads, side.key_heads, side.head_size, side.inner)
        if min(sizes) < 1:
            raise ValueError("a size of a transformer in it is not over 0")
        if side.heads % side.key_heads or side.head_size % 2:
            raise ValueError(
                f"{side.heads} heads of {side.head_size} numbers cannot share {side.key_heads} key heads"
            )
        if side.norm_eps < 0 or side.rope_base <= 0:
            raise ValueError("norm_eps or rope_base in it is negative")


class _TensorTable:
    """Tensors by name, each of which is taken once."""

    def __init__(self, tensors: dict[str, Tensor], file_bytes: int) -> None:
        self._tensors, self._left = tensors, file_bytes

    def take(self, name: str, *shape: int) -> Tensor:
        tensor = self._tensors.pop(name, None)
        if tensor is None:
            raise ValueError(f"the weight {name} is missing")
        if tuple(tensor.shape) != shape:
            there = f"{list(tensor.shape)}"
            raise ValueError(
                f"{name:.80} has the shape {there:.60}, where config.json asks for {list(shape)}"
            )
        plain = tensor.layout == torch.strided and tensor.device.type == "cpu" and tensor.is_contiguous()
        if not plain or tensor.dtype not in _FLOATS:
            raise ValueError(f"{name:.80} is no plain table of numbers ({tensor.dtype})")
        # Several names for the same bytes of a file would become more memory than the file has.
        self._left -= tensor.nbytes
        if self._left < 0:
            raise ValueError("its weights are more than the file can hold")
        return tensor

    def linear(self, name: str, out: int, inner: int, *, bias: bool = False) -> LinearWeights:
        weight = self.take(f"{name}.weight", out, inner)
        return LinearWeights(weight, self.take(f"{name}.bias", out) if bias else None)

    def norm(self, name: str, width: int, eps: float) -> NormWeights:
        return NormWeights(self.take(f"{name}.weight", width), eps)

    def blocks(self, name: str, side: TransformerShape) -> list[BlockWeights]:
        """Return the blocks ``name``.0, ``name``.1 and so on, of all layers."""
        return [self._block(f"{name}.{number}", side) for number in range(side.layers)]

    def _block(self, name: str, side: TransformerShape) -> BlockWeights:
        attention, feed = f"{name}.attention", f"{name}.feed_forward"
        queries, keys = side.heads * side.head_size, side.key_heads * side.head_size

        def head_norm(which: str) -> NormWeights | None:
            if not side.head_norms:
                return None
            return self.norm(f"{attention}.{which}", side.head_size, side.norm_eps)

        return BlockWeights(
            before_attention=self.norm(f"{name}.attention_norm", side.width, side.norm_eps),
            qkv=self.linear(f"{attention}.wqkv", queries + 2 * keys, side.width, bias=side.qkv_bias),
            query_norm=head_norm("q_norm"),
            key_norm=head_norm("k_norm"),
            attention_out=self.linear(f"{attention}.wo", side.width, queries, bias=side.out_bias),
            before_feed=self.norm(f"{name}.ffn_norm", side.width, side.norm_eps),
            gate=self.linear(f"{feed}.w1", side.inner, side.width),
            value=self.linear(f"{feed}.w3", side.inner, side.width),
            feed_out=self.linear(f"{feed}.w2", side.width, side.inner),
        )

    def check_empty(self) -> None:
        if self._tensors:
            name = min(self._tensors)
            raise ValueError(
                f"it has {len(self._tensors)} weights that such a model does not have, {name:.80} for one"
            )
