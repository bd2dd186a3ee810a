"""Reading the weights of a model: every name and shape is checked, and what comes from a file stays there."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fish_tensors import CPU, SHAPE, TOKENS, tensors
from voiceclone_worker.engines.fish.layout import ModelShape
from voiceclone_worker.engines.fish.weights import Weights, read_weights, rotations


def read(
    found: dict[str, torch.Tensor], shape: ModelShape = SHAPE, *, file_bytes: int = 1 << 24, **to: torch.dtype
) -> Weights:
    return read_weights(found, file_bytes, shape, TOKENS, CPU, to.get("dtype", torch.float32))


def test_every_weight_is_taken() -> None:
    weights = read(tensors())
    assert weights.embeddings.shape == (SHAPE.vocabulary, SHAPE.slow.width)
    assert len(list(weights.slow.take_blocks())) == SHAPE.slow.layers
    assert len(list(weights.fast.take_blocks())) == SHAPE.fast.layers


@pytest.mark.parametrize("name", sorted(tensors()))
def test_a_weight_that_is_missing_is_named(name: str) -> None:
    found = tensors()
    del found[name]
    with pytest.raises(ValueError, match=f"the weight {name} is missing"):
        read(found)


@pytest.mark.parametrize("name", sorted(tensors()))
def test_a_weight_of_another_shape_is_named_with_both(name: str) -> None:
    found = tensors()
    found[name] = torch.zeros(3, 5, 7)
    with pytest.raises(ValueError, match=f"{name} has the shape .3, 5, 7., where config.json asks for"):
        read(found)


def test_a_weight_that_is_left_over_is_refused() -> None:
    with pytest.raises(ValueError, match=r"1 weights that such a model does not have, layers.0.lora for one"):
        read({**tensors(), "layers.0.lora": torch.zeros(1)})


@pytest.mark.parametrize(
    "strange",
    [
        torch.zeros(8, 8).to(torch.int8),
        torch.zeros(8, 8).to(torch.float64),
        torch.zeros(8, 8, dtype=torch.complex64),
        torch.zeros(1, 1).expand(8, 8),
        torch.zeros(8, 8).t(),
        torch.zeros(8, 8).to_sparse(),
        torch.zeros(8, 8, device="meta"),
    ],
    ids=["int8", "float64", "complex", "one number for all", "transposed", "sparse", "without numbers"],
)
def test_what_is_no_plain_table_of_numbers_is_refused(strange: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"layers\.0\.attention\.wo\.weight is no plain table of numbers"):
        read({**tensors(), "layers.0.attention.wo.weight": strange})


def test_many_names_for_the_same_bytes_are_refused() -> None:
    """They would take more memory than the file has bytes, as often as there are names."""
    found = tensors()
    needed = sum(tensor.nbytes for tensor in found.values())
    read(found, file_bytes=needed)
    with pytest.raises(ValueError, match="more than the file can hold"):
        read(found, file_bytes=needed - 1)


@pytest.mark.parametrize(
    "change",
    [{"key_heads": 3}, {"key_heads": 0}, {"layers": -1}, {"head_size": 3}, {"width": 0}, {"norm_eps": -1.0}],
)
def test_sizes_that_make_no_transformer_are_refused(change: dict[str, int | float]) -> None:
    shape = replace(SHAPE, slow=replace(SHAPE.slow, **change))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"not over 0|cannot share|negative"):
        read(tensors(), shape)


def test_a_block_is_converted_when_it_is_asked_for_and_then_forgotten() -> None:
    weights = read(tensors(), dtype=torch.bfloat16)
    blocks = weights.slow.take_blocks()
    assert next(blocks).qkv.weight.dtype == torch.bfloat16
    assert len(list(blocks)) == SHAPE.slow.layers - 1
    assert list(weights.slow.take_blocks()) == []


def test_what_needs_no_conversion_is_not_copied() -> None:
    found = tensors()
    weights = read(found)
    block = next(weights.slow.take_blocks())
    assert block.qkv.weight.data_ptr() == found["layers.0.attention.wqkv.weight"].data_ptr()
    assert weights.embeddings.data_ptr() == found["embeddings.weight"].data_ptr()


def test_a_tied_head_is_the_embeddings() -> None:
    found = tensors()
    del found["output.weight"]
    weights = read(found, replace(SHAPE, tied_head=True))
    tokens = torch.tensor([2, 5])
    assert torch.equal(weights.head(tokens), found["embeddings.weight"][tokens])
    with pytest.raises(ValueError, match=r"output\.weight"):
        read(tensors(), replace(SHAPE, tied_head=True))


def test_rotations_are_rounded_to_bfloat16() -> None:
    turns = rotations(500, 8, 10_000.0)
    assert turns.shape == (500, 4, 2) and turns.dtype == torch.float32
    assert torch.equal(turns, turns.bfloat16().float())
    assert turns[0].tolist() == [[1.0, 0.0]] * 4
