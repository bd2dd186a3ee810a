"""The recorded step against the plain one, with a recorder in the place of CUDA graphs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from fish_model import CODEBOOKS, prompt, random_weights
from voiceclone_worker.engines.fish.decoder import Decoder, DecoderLine, LineEnding
from voiceclone_worker.engines.fish.frame_step import FrameRunner, PlainRunner, RecordedRunner, Repeat
from voiceclone_worker.engines.fish.model import Model
from voiceclone_worker.engines.fish.sampling import (
    PenaltySampling,
    RasSampling,
    Sampling,
    SamplingSettings,
)
from voiceclone_worker.engines.fish.transformer import INT8_WEIGHTS, PLAIN, Products
from voiceclone_worker.engines.fish.weights import Weights

Ended = dict[int, tuple[LineEnding | None, Tensor]]
"""How each line ended, and its codes, by tag."""

MakeRunner = Callable[[Model], FrameRunner]

HOST_LOOKS = ("aten._local_scalar_dense", "aten.nonzero", "aten.lift_fresh", "aten.item")
"""Operations that wait for the device, or copy from the host: a CUDA graph cannot record them."""


class Tape(TorchDispatchMode):
    """What a function computes, operation by operation, with the tensors that each one read and wrote.

    Like a CUDA graph it keeps addresses and plain values: repeated, it reads what is then in the same storage, and
    writes into the storage of the first time.
    """

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert not str(func).startswith(HOST_LOOKS), f"{func} waits for the device"
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        self.operations.append((func, args, kwargs, result))
        return result

    def repeat(self) -> None:
        for func, args, kwargs, results in self.operations:
            for old, new in zip(tree_leaves(results), tree_leaves(func(*args, **kwargs)), strict=True):
                if isinstance(old, Tensor) and old.data_ptr() != new.data_ptr():
                    old.copy_(new)


class Recorder:
    """Records as ``CudaGraphs`` does: runs the function first, then records it without counting what it computed."""

    def __init__(self) -> None:
        self.recordings = 0

    def __call__(self, function: Repeat) -> Repeat:
        function()
        with Tape() as tape:
            function()
        self.recordings += 1
        return tape.repeat


def recorded(block: int) -> MakeRunner:
    return lambda model: RecordedRunner(model, Recorder, block=block)


def lines(count: int, *, most_frames: int = 34) -> list[DecoderLine]:
    """Lines of two voices, with texts and caps of several lengths."""
    voices = [prompt(30, seed=1, frames=True), prompt(47, seed=2, frames=True)]
    return [
        DecoderLine(
            voices[number % 2],
            prompt(3 + number % 5, seed=10 + number),
            seed=number,
            most_frames=most_frames - 7 * (number % 3),
            tag=number,
        )
        for number in range(count)
    ]


def decoder_of(
    make_runner: MakeRunner,
    slots: int,
    dtype: torch.dtype = torch.float32,
    rule: Callable[[Weights, SamplingSettings], Sampling] = PenaltySampling,
    products: Products = PLAIN,
) -> Decoder:
    weights = random_weights(dtype)
    sampling = rule(weights, SamplingSettings(top_p=0.9))
    return Decoder(weights, sampling, slots, products=products, make_runner=make_runner)


def decode(decoder: Decoder, submitted: Sequence[DecoderLine]) -> Ended:
    for line in submitted:
        decoder.submit(line)
    ended = {}
    while decoder.busy:
        ended |= {line.tag: (line.ending, line.codes) for line in decoder.step()}
    return ended


def same(one: Ended, other: Ended) -> bool:
    return one.keys() == other.keys() and all(
        one[key][0] == other[key][0] and torch.equal(one[key][1], other[key][1]) for key in one
    )


@pytest.fixture(scope="module")
def plain() -> Ended:
    return decode(decoder_of(PlainRunner, 3), lines(6))


def test_lines_of_the_example_end_in_both_ways_and_at_different_lengths(
    plain: Ended,
) -> None:
    assert {ending for ending, _ in plain.values()} == {LineEnding.COMPLETE, LineEnding.CUT_OFF}
    assert len({codes.shape[1] for _, codes in plain.values()}) > 3
    assert all(codes.shape[0] == CODEBOOKS for _, codes in plain.values())


@pytest.mark.parametrize(("slots", "block"), [(1, 4), (2, 1), (3, 4), (8, 3)])
def test_recorded_frames_are_the_plain_ones_while_rows_come_and_go(
    plain: Ended, slots: int, block: int
) -> None:
    assert same(decode(decoder_of(recorded(block), slots), lines(6)), plain)


@pytest.mark.parametrize("rows", [16, 32, 64])
def test_recorded_frames_are_the_plain_ones_in_large_batches(rows: int) -> None:
    few = lines(rows - 3, most_frames=9)
    plain = decode(decoder_of(PlainRunner, 4), lines(rows - 3, most_frames=9))
    assert same(decode(decoder_of(recorded(3), rows), few), plain)


def test_bf16_is_recorded_as_it_is_computed() -> None:
    plain = decode(decoder_of(PlainRunner, 3, torch.bfloat16), lines(5, most_frames=20))
    assert same(decode(decoder_of(recorded(4), 3, torch.bfloat16), lines(5, most_frames=20)), plain)


@pytest.mark.parametrize("slots", [1, 3, 8])
def test_weights_in_int8_give_the_same_codes_in_every_batch_and_recorded(slots: int) -> None:
    def codes(make_runner: MakeRunner, slots: int) -> Ended:
        decoder = decoder_of(make_runner, slots, torch.bfloat16, products=INT8_WEIGHTS)
        return decode(decoder, lines(6, most_frames=20))

    alone = codes(PlainRunner, 1)
    assert same(codes(PlainRunner, slots), alone) and same(codes(recorded(4), slots), alone)


def test_the_sampling_of_s2_is_recorded_as_it_is_computed() -> None:
    plain = decode(decoder_of(PlainRunner, 1, rule=RasSampling), lines(4, most_frames=20))
    assert same(decode(decoder_of(recorded(4), 3, rule=RasSampling), lines(4, most_frames=20)), plain)


def test_a_step_is_recorded_once_for_each_number_of_rows_and_each_stretch_of_positions() -> None:
    recorder = Recorder()
    decoder = decoder_of(lambda model: RecordedRunner(model, lambda: recorder, block=4), 2)
    voice = prompt(30, seed=1, frames=True)
    decode(decoder, [DecoderLine(voice, prompt(4, seed=n), n, most_frames=40, tag=n) for n in range(5)])
    assert recorder.recordings == 2, "for two rows and for one"
    long = prompt(220, seed=3, frames=True)
    decode(decoder, [DecoderLine(long, prompt(4, seed=9), 9, most_frames=40, tag=9)])
    assert recorder.recordings == 4, "in a larger cache, before and behind its 256th position"


def test_rows_are_rounded_up_to_few_sizes() -> None:
    runner = decoder_of(recorded(1), 1)._runner
    assert [runner.slots(rows) for rows in (1, 2, 3, 5, 8, 9, 33, 64, 65, 128, 129)] == [
        *(1, 2, 4, 8, 8, 16, 64, 64, 128, 128, 192)
    ]


@pytest.mark.parametrize("make_runner", [PlainRunner, recorded(4)], ids=["plain", "recorded"])
def test_a_line_whose_numbers_overflow_spoils_no_other(make_runner: MakeRunner) -> None:
    submitted = lines(4, most_frames=20)
    expected = decode(decoder_of(PlainRunner, 1), lines(4, most_frames=20))
    decoder = decoder_of(make_runner, 1)
    decoder.submit(submitted[0])
    while not decoder._batch:
        decoder.step()
    with torch.inference_mode():
        for keys in decoder._batch.cache.layers:
            keys[0, :, : submitted[0].position] = float("nan")
    ended = decode(decoder, submitted[1:])
    assert ended.pop(0)[0] is LineEnding.BROKEN
    del expected[0]
    assert same(ended, expected)


def test_lines_that_are_begun_again_after_running_out_of_memory_are_the_same() -> None:
    expected = decode(decoder_of(PlainRunner, 1), lines(4, most_frames=20))
    decoder = decoder_of(recorded(4), 4)
    for line in lines(4, most_frames=20):
        decoder.submit(line)
    early = {line.tag: (line.ending, line.codes) for line in decoder.step()}
    assert decoder.halve() is None
    assert (decoder.slots, decoder.active) == (2, 0)
    assert same(early | decode(decoder, []), expected)


def test_a_step_that_cannot_be_recorded_runs_as_it_is_and_says_so_once() -> None:
    def refuse(function: Repeat) -> Repeat:
        function()
        raise RuntimeError("operation not permitted when stream is capturing\nSearch for it")

    notes: list[str] = []
    expected = decode(decoder_of(PlainRunner, 1), lines(3, most_frames=20))
    decoder = decoder_of(lambda model: RecordedRunner(model, lambda: refuse, note=notes.append), 2)
    assert same(decode(decoder, lines(3, most_frames=20)), expected)
    (note,) = notes
    assert "could not be recorded on this GPU (operation not permitted when stream is capturing)" in note


def test_running_out_of_memory_while_recording_is_no_reason_to_go_on_without() -> None:
    def refuse(function: Repeat) -> Repeat:
        raise torch.OutOfMemoryError("CUDA out of memory")

    decoder = decoder_of(lambda model: RecordedRunner(model, lambda: refuse), 2)
    decoder.submit(lines(1)[0])
    with pytest.raises(torch.OutOfMemoryError):
        decoder.step()
