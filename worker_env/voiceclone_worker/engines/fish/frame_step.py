"""The step that decodes a frame of every row of a batch, and the two ways to run it.

A step is a few thousand small operations. On a GPU the host takes longer to start them than the GPU to compute them,
so there the step is recorded once, as a CUDA graph, and repeated. That needs fixed shapes, state that stays in the same
storage (``SlotStates``), and no look at a result in between: random numbers are drawn in advance, whether a line has ended
is looked at after a block of frames, and what was decoded beyond its end is dropped. On other devices the same step
runs plainly, frame by frame.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol

import torch
from torch import Tensor

from voiceclone_worker.engines.fish.checkpoint import is_out_of_memory
from voiceclone_worker.engines.fish.model import Model, Windows
from voiceclone_worker.engines.fish.transformer import KeyValueCache

BLOCK = 8
"""Frames between two looks at which lines have ended, where the step is recorded. A line is decoded for half of them
beyond its end, on average; its successor waits as long."""

MOST_DOUBLED = 64
"""Rows of a recorded step are rounded up to a power of two up to this number, then to its multiples."""

_WARM_UPS = 2


class SlotStates:
    """The slots of a batch, in storage that stays where it is while rows come and go.

    ``states`` [slots, width]: hidden states at the latest token of each row, from which its next frame is chosen.
    ``positions`` [slots]: of that frame, in the row's own sequence.
    """

    def __init__(self, model: Model, slots: int, positions: int) -> None:
        self.cache = model.cache(slots, positions)
        self.states = model.states(slots)
        self.positions = torch.zeros(slots, dtype=torch.long, device=model.device)
        self.windows = Windows(slots, model.codebooks, model.sampling.window, model.device)

    def begin(self, slot: int, voice: KeyValueCache) -> None:
        """Begin a row with the prompt of its voice."""
        self.cache.begin(slot, voice)
        self.windows.begin(slot)

    def set(self, first: int, states: Tensor, positions: Tensor) -> None:
        """Set the states [n, width] and positions [n] of the rows from ``first`` on."""
        self.states[first : first + len(states)] = states
        self.positions[first : first + len(states)] = positions

    def move(self, source: int, target: int, positions: int) -> None:
        """Copy a row whose next frame has this position to another slot."""
        self.cache.move(source, target, positions)
        self.states[target] = self.states[source]
        self.positions[target] = self.positions[source]
        self.windows.move(source, target)

    def leave(self, slot: int) -> None:
        """Leave a slot empty. A recorded step goes on computing it, from here on with harmless numbers."""
        self.states[slot] = 0
        self.positions[slot] = 0

    def take_over(self, other: SlotStates) -> None:
        """Copy a batch that is not larger."""
        slots = other.cache.slots
        self.cache.take_over(other.cache)
        self.states[:slots] = other.states
        self.positions[:slots] = other.positions
        self.windows.take_over(other.windows)


@dataclass(frozen=True)
class Frames:
    """Frames of each row, one or more.

    ``codes``: int64 [frames, rows, codebooks + 1] on the CPU, the token first. ``broken`` [frames, rows]: whether the
    numbers had overflowed.
    """

    codes: Tensor
    broken: Tensor


class FrameRunner(Protocol):
    """Decodes the next frames of a batch's rows."""

    grain: int
    """Positions by which caches grow."""
    block: int
    """Frames that a call decodes."""

    def slots(self, rows: int) -> int:
        """Return the number of slots of a batch of ``rows`` rows."""
        ...

    def forget(self) -> None:
        """Forget the batch, and the random numbers that were drawn in advance."""
        ...

    def __call__(self, batch: SlotStates, generators: Sequence[torch.Generator], position: int) -> Frames:
        """Decode the next frames of the first rows, one for each of ``generators``.

        ``position``: the largest of the rows. Frames of a row behind the first with the end token, or with broken
        numbers, mean nothing.
        """
        ...


def choose_tokens(model: Model, batch: SlotStates, rows: int, noise: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Return the next token [rows] of each row, and whether its numbers have overflowed."""
    windows = batch.windows
    logits = model.logits(batch.states[:rows])
    tokens = model.sampling.token(logits, windows.frames[:rows], windows.counts[:rows], noise[0])
    return tokens, ~logits.isfinite().all(1)


def decode_frames(
    model: Model, batch: SlotStates, tokens: Tensor, noise: list[Tensor], length: int
) -> Tensor:
    """Return the frames [rows, codebooks + 1] of these tokens, and read them: the rows are then one frame further.

    ``length`` positions of the cache are attended to.
    """
    rows, windows = len(tokens), batch.windows
    frames = model.frame(batch.states[:rows], tokens, windows.frames[:rows], windows.counts[:rows], noise)
    windows.push(frames)
    # A row whose line has ended goes on until the block ends: then at the last position, in its own slot.
    positions = batch.positions[:rows].clamp(max=batch.cache.positions - 1)[:, None]
    batch.states[:rows] = model.read(frames[:, :, None], batch.cache, 0, positions, length)[:, 0]
    batch.positions[:rows] += 1
    return frames


class PlainRunner:
    """Runs the step as it stands, for exactly the rows that there are."""

    grain = 64
    block = 1

    def __init__(self, model: Model) -> None:
        self._model = model

    def slots(self, rows: int) -> int:
        """Return ``rows``."""
        return rows

    def forget(self) -> None:
        """Do nothing: nothing is kept."""

    def __call__(self, batch: SlotStates, generators: Sequence[torch.Generator], position: int) -> Frames:
        """Decode one frame of each row; none where all have ended."""
        model, rows = self._model, len(generators)
        noise = [part.to(model.device) for part in model.sampling.noise(generators)]
        tokens, broken = choose_tokens(model, batch, rows, noise)
        if bool((broken | (tokens == model.sampling.end)).all()):
            codes = torch.zeros(1, rows, model.codebooks + 1, dtype=torch.long)
            codes[0, :, 0] = tokens
        else:
            length = min(batch.cache.positions, grained(position + 1, self.grain))
            codes = decode_frames(model, batch, tokens, noise, length)[None].cpu()
        return Frames(codes, broken[None].cpu())


Repeat = Callable[[], None]

Record = Callable[[Repeat], Repeat]
"""Records what a function computes, and returns what computes it again: from the same storage, to the same storage.
It may run the function several times."""


@dataclass(frozen=True)
class _RecordedStep:
    """A recorded step, and the storage that it reads its noise from and leaves its results in."""

    repeat: Repeat
    noise: Tensor
    """[rows, numbers of a frame]"""
    codes: Tensor
    broken: Tensor


class RecordedRunner:
    """Repeats recorded steps: one for each number of rows and attended positions, both rounded up."""

    grain = 256

    def __init__(
        self,
        model: Model,
        make_record: Callable[[], Record],
        *,
        block: int = BLOCK,
        note: Callable[[str], None] = lambda sentence: None,
    ) -> None:
        """``make_record`` is called anew for each batch; ``note`` gets sentences for the user."""
        self._model, self._make_record, self._note = model, make_record, note
        self._noted = False
        self.block = block
        self._begin(None)
        self._prefetched: dict[torch.Generator, Tensor] = {}
        self._shapes = [part.shape[1:] for part in model.sampling.noise([torch.Generator()])]
        self._sizes = [shape.numel() for shape in self._shapes]

    def slots(self, rows: int) -> int:
        """Return ``rows`` rounded up."""
        if rows > MOST_DOUBLED:
            return grained(rows, MOST_DOUBLED)
        return 1 << (rows - 1).bit_length()

    def forget(self) -> None:
        """Forget all recorded steps with their batch, and what was drawn in advance."""
        self._begin(None)
        self._prefetched.clear()

    def __call__(self, batch: SlotStates, generators: Sequence[torch.Generator], position: int) -> Frames:
        """Decode ``block`` frames of each row without waiting for the device in between."""
        if batch is not self._batch:
            self._begin(batch)
        rows, device = self.slots(len(generators)), self._model.device
        length = min(batch.cache.positions, grained(position + self.block, self.grain))
        noise = self._noise(generators, rows).to(device, non_blocking=True)
        step = self._steps.get((rows, length))
        if step is None:
            step = self._steps[rows, length] = self._recorded(batch, rows, length)
        codes = step.codes.new_empty(self.block, *step.codes.shape)
        broken = step.broken.new_empty(self.block, rows)
        for number in range(self.block):
            step.noise.copy_(noise[number])
            step.repeat()
            codes[number].copy_(step.codes)
            broken[number].copy_(step.broken)
        # The host draws for the next block while the device computes this one.
        self._prefetched = {generator: self._draw(generator) for generator in generators}
        count = len(generators)
        return Frames(codes[:, :count].cpu(), broken[:, :count].cpu())

    def _begin(self, batch: SlotStates | None) -> None:
        """Forget all recorded steps, which refer to the storage of their batch, for those of another."""
        self._batch = batch
        self._steps: dict[tuple[int, int], _RecordedStep] = {}
        self._record = self._make_record()

    def _recorded(self, batch: SlotStates, rows: int, length: int) -> _RecordedStep:
        model = self._model
        noise = torch.ones(rows, sum(self._sizes), device=model.device)
        codes = torch.zeros(rows, model.codebooks + 1, dtype=torch.long, device=model.device)
        broken = torch.zeros(rows, dtype=torch.bool, device=model.device)

        ends = list(accumulate(self._sizes))[:-1]

        def step() -> None:
            parts = [
                part.view(rows, *shape)
                for part, shape in zip(noise.tensor_split(ends, 1), self._shapes, strict=True)
            ]
            tokens, overflowed = choose_tokens(model, batch, rows, parts)
            broken.copy_(overflowed)
            codes.copy_(decode_frames(model, batch, tokens, parts, length))

        # Recording may run the step. What it then leaves in the caches is overwritten before it is attended to.
        state = (batch.states, batch.positions, batch.windows.frames, batch.windows.counts)
        before = [tensor.clone() for tensor in state]
        repeat = self._recording_of(step)
        for tensor, kept in zip(state, before, strict=True):
            tensor.copy_(kept)
        return _RecordedStep(repeat, noise, codes, broken)

    def _recording_of(self, step: Repeat) -> Repeat:
        """Return what repeats ``step``: its recording, or the step itself where it cannot be recorded."""
        try:
            return self._record(step)
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            reason = str(error).splitlines()[0]
        if not self._noted:
            self._noted = True
            self._note(
                f"the decoding step could not be recorded on this GPU ({reason}): it runs as it is, slower"
            )
        return step

    def _noise(self, generators: Sequence[torch.Generator], rows: int) -> Tensor:
        """Return the random numbers of a block on the host, [block, rows, numbers of a frame]; ones for empty slots."""
        pinned = self._model.device.type == "cuda"
        noise = torch.ones(self.block, rows, sum(self._sizes), pin_memory=pinned)
        for row, generator in enumerate(generators):
            prefetched = self._prefetched.pop(generator, None)
            noise[:, row] = self._draw(generator) if prefetched is None else prefetched
        return noise

    def _draw(self, generator: torch.Generator) -> Tensor:
        sampling = self._model.sampling
        frames = [[part.flatten(1) for part in sampling.noise([generator])] for _ in range(self.block)]
        return torch.cat([torch.cat(parts, 1) for parts in frames])


def runner_for(model: Model, note: Callable[[str], None] = lambda sentence: None) -> FrameRunner:
    """Return the runner for the model's device; ``note`` gets sentences for the user."""
    if model.device.type == "cuda":
        return RecordedRunner(model, CudaGraphs, note=note)
    return PlainRunner(model)


class CudaGraphs:
    """Records functions as CUDA graphs that share their memory: they run one after the other."""

    def __init__(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, function: Repeat) -> Repeat:
        """Record ``function``. Raises torch.OutOfMemoryError."""
        # Kernels are loaded, chosen and given their workspace before the recording, which allows none of it.
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(_WARM_UPS):
                function()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, pool=self._pool):
                function()
        except RuntimeError as error:
            # Ending a recording that ran out of memory fails with another error.
            if isinstance(error.__context__, torch.OutOfMemoryError):
                raise error.__context__ from error
            raise
        replay: Repeat = graph.replay
        return replay


def grained(positions: int, grain: int) -> int:
    """Return ``positions`` rounded up to a multiple of ``grain``."""
    return -(-positions // grain) * grain
