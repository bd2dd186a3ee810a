"""Batched decoding of lines to codes, with rows that come and go.

A row is one line. It gets a slot of the batch, begins with its speaker's prompt (read once per speaker and copied),
and leaves the slot to the next waiting line as soon as it has ended, so that a long line never delays a batch. Every
row has its own position, mask and random numbers: its codes do not depend on the other rows of the batch.
"""

from __future__ import annotations

import collections
import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from voiceclone_worker.engines.base import SegmentError
from voiceclone_worker.engines.fish.frame_step import (
    FrameRunner,
    PlainRunner,
    SlotStates,
    grained,
    runner_for,
)
from voiceclone_worker.engines.fish.model import Model
from voiceclone_worker.engines.fish.sampling import Sampling
from voiceclone_worker.engines.fish.transformer import PLAIN, KeyValueCache, Products
from voiceclone_worker.engines.fish.weights import Weights
from voiceclone_worker.speech_units import speech_units

FASTEST_UNITS_PER_SECOND = 40.0
SLOWEST_UNITS_PER_SECOND = 5.0
"""Units of speech a second; ordinary speech has about 15. Wide bounds, to catch failures, not a pace."""
USUAL_UNITS_PER_SECOND = 15.0

SPARE_SECONDS = 1.5
"""For breath, and for the shortest lines, whose pace says little."""

SLOT_SPARE = 1.6
"""What is longer than this many slots fits into none: by default a line is stretched by at most 1.3."""

MAX_CACHED_VOICES = 16
"""Voice prompts whose caches are kept; the least recently used one is dropped."""

TRIAL_ROUNDS = 6
"""Steps for which each number of threads is tried, in turn."""


def length_bounds(
    text: str, slot_seconds: float | None, frames_per_second: float, limit: int
) -> tuple[int, int]:
    """Return the least and the most frames of a line.

    A language model of speech fails in ways that the length shows: it ends before it begins, it skips words, or it
    does not find the end. The bounds follow from the text, its slot (None: no limit) and the run's ``limit`` in frames.
    """
    units = speech_units(text)
    least = max(1, round(units / FASTEST_UNITS_PER_SECOND * frames_per_second))
    seconds = units / SLOWEST_UNITS_PER_SECOND + SPARE_SECONDS
    if slot_seconds is not None:
        # A slot that is too short for the words must not cut them off.
        unhurried = 2 * units / USUAL_UNITS_PER_SECOND + SPARE_SECONDS
        seconds = min(seconds, max(slot_seconds * SLOT_SPARE, unhurried))
    most = min(limit, max(least + 1, round(seconds * frames_per_second)))
    return min(least, most), most


def reroll_seed(seed: int, attempt: int) -> int:
    """Return the seed of an attempt, from 1 (the line's own seed); it depends on nothing else."""
    if attempt == 1:
        return seed
    digest = hashlib.sha256(f"{seed}:{attempt}".encode()).digest()
    return int.from_bytes(digest[:4], "big") & 0x7FFFFFFF


class LineEnding(Enum):
    """How the decoding of a line ended."""

    COMPLETE = "complete"
    """The model ended it."""
    CUT_OFF = "cut off"
    """The model was still speaking at ``most_frames``."""
    BROKEN = "broken"
    """Its numbers overflowed."""
    OUT_OF_MEMORY = "out of memory"
    """There was no memory for it, even alone."""


@dataclass(eq=False)
class DecoderLine:
    """A line to decode, and its state.

    ``voice`` and ``text`` are prompts (of the checkpoint's ``Prompts``). ``attempt``, ``least_frames`` and
    ``tag`` are the caller's.
    """

    voice: Tensor = field(repr=False)
    text: Tensor = field(repr=False)
    seed: int
    most_frames: int
    least_frames: int = 1
    attempt: int = 1
    tag: Any = None
    ending: LineEnding | None = None
    """None until it has ended."""
    codes: Tensor = field(default_factory=lambda: torch.zeros(0, 0, dtype=torch.long), repr=False)
    """int64 [codebooks, frames] on the CPU, once it has ended."""
    frames: list[Tensor] = field(default_factory=list, repr=False)
    position: int = 0
    """Of the next token, in the line's own sequence."""
    generator: torch.Generator = field(default_factory=torch.Generator, repr=False)

    @property
    def longest(self) -> int:
        """Positions that the line may need."""
        return self.voice.shape[1] + self.text.shape[1] + self.most_frames

    def start(self) -> None:
        """Begin at the end of the voice's prompt."""
        self.frames, self.position = [], self.voice.shape[1]
        self.generator.manual_seed(self.seed)

    def add(self, frames: Tensor, broken: Sequence[bool], end: int) -> LineEnding | None:
        """Add frames [n, codebooks + 1] up to the line's end; return how it ended, if it did."""
        for frame, token, overflowed in zip(frames, frames[:, 0].tolist(), broken, strict=True):
            if overflowed:
                return LineEnding.BROKEN
            if token == end:
                return LineEnding.COMPLETE
            self.frames.append(frame)
            self.position += 1
            if len(self.frames) >= self.most_frames:
                return LineEnding.CUT_OFF
        return None


class Decoder:
    """Decodes lines in batches of up to ``slots``. Not safe to use from several threads."""

    def __init__(
        self,
        weights: Weights,
        sampling: Sampling,
        slots: int,
        *,
        products: Products = PLAIN,
        compiled: bool = False,
        make_runner: Callable[[Model], FrameRunner] = runner_for,
        started: Callable[[DecoderLine], None] = lambda line: None,
    ) -> None:
        """Take over the ``weights``.

        ``make_runner``: how its steps are run. ``started`` is called with each line when it gets its slot.
        """
        self.model = Model(weights, sampling, products, compiled=compiled)
        self._runner = make_runner(self.model)
        self._sampling, self._started = sampling, started
        self.slots = slots
        self._device = self.model.device
        self._waiting: collections.deque[DecoderLine] = collections.deque()
        self._ended: list[DecoderLine] = []
        self._voices: collections.OrderedDict[Tensor, KeyValueCache] = collections.OrderedDict()
        self._reset()

    @property
    def busy(self) -> bool:
        """Whether lines wait, are being decoded, or have ended and were not returned yet."""
        return bool(self._waiting or self._rows or self._ended)

    @property
    def active(self) -> int:
        """Number of lines that are being decoded."""
        return len(self._rows)

    def submit(self, line: DecoderLine) -> None:
        """Put a line in the queue. Raises SegmentError when it does not fit the model's window."""
        if line.longest > self.model.longest:
            raise SegmentError(
                "prompt_too_long",
                f"the reference, this line and its speech need {line.longest} positions and the checkpoint has "
                f"{self.model.longest}; give a shorter reference or split the line",
            )
        self._waiting.append(line)

    def progress(self) -> list[tuple[DecoderLine, int]]:
        """Return the lines that are being decoded, with the number of their frames."""
        return [(line, len(line.frames)) for line in self._rows]

    def clear(self) -> None:
        """Drop every line and free the slots."""
        self._waiting.clear()
        self._ended.clear()
        self._voices.clear()
        self._reset()

    def halve(self) -> DecoderLine | None:
        """Free everything after running out of memory, halve the slots, and queue the active lines again.

        With a single slot its line is given up and returned.
        """
        lines = [line for line in self._rows if line.ending is None]
        given_up = lines.pop(0) if self.slots == 1 and lines else None
        if given_up is not None:
            given_up.ending = LineEnding.OUT_OF_MEMORY
        self.slots = max(1, self.slots // 2)
        self._voices.clear()
        self._reset()
        self._waiting.extendleft(reversed(lines))
        return given_up

    @torch.inference_mode()
    def step(self) -> list[DecoderLine]:
        """Decode the next frames of every row, after waiting lines got the free slots; return the lines that ended.

        Where it raises, the active lines are still there (see ``halve``), and those that had ended are returned by the
        next step.
        """
        self._admit()
        if self._rows:
            self._decode_frames()
        ended, self._ended = self._ended, []
        return ended

    def _decode_frames(self) -> None:
        """Decode the next frames of every row: one, or a block."""
        assert self._batch is not None
        generators = [line.generator for line in self._rows]
        frames = self._runner(self._batch, generators, max(line.position for line in self._rows))
        over = {}
        for index, line in enumerate(self._rows):
            ending = line.add(frames.codes[:, index], frames.broken[:, index].tolist(), self._sampling.end)
            if ending is not None:
                over[index] = ending
        if over:
            self._end(over)

    def _reset(self) -> None:
        self._rows: list[DecoderLine] = []
        self._batch: SlotStates | None = None
        self._runner.forget()

    def _admit(self) -> None:
        """Give the free slots to waiting lines, with the prompts of their voices."""
        count = min(self.slots - len(self._rows), len(self._waiting))
        lines = [self._waiting.popleft() for _ in range(count)]
        first = len(self._rows)
        # Added before memory is allocated, so that no line is lost when there is none.
        self._rows += lines
        for line in lines:
            line.start()
        if not lines:
            return
        self._make_room()
        assert self._batch is not None
        for slot, line in enumerate(lines, first):
            self._batch.begin(slot, self._read_voice(line.voice))
            self._started(line)
        self._read_texts(first)

    def _make_room(self) -> None:
        slots = self._runner.slots(min(self.slots, len(self._rows) + len(self._waiting)))
        positions = grained(max(line.longest for line in self._rows), self._runner.grain)
        old = self._batch
        if old is not None:
            slots, positions = max(slots, old.cache.slots), max(positions, old.cache.positions)
            if slots == old.cache.slots and positions == old.cache.positions:
                return
        batch = SlotStates(self.model, slots, positions)
        if old is not None:
            batch.take_over(old)
        self._batch = batch

    def _end(self, over: Mapping[int, LineEnding]) -> None:
        """End rows and free their slots; the last rows move there, so that used slots stay adjacent."""
        assert self._batch is not None
        for index, ending in over.items():
            line = self._rows[index]
            codes = torch.zeros(self.model.codebooks, 0, dtype=torch.long)
            line.codes = torch.stack(line.frames, 1)[1:] if line.frames else codes
            line.ending, line.frames = ending, []
            self._ended.append(line)
            if ending is LineEnding.BROKEN:
                # A hidden position weighs nothing, but nothing times no number is no number.
                self._batch.cache.clear(index)
        for index in sorted(over, reverse=True):
            last = self._rows.pop()
            if index < len(self._rows):
                self._batch.move(len(self._rows), index, last.position)
                self._rows[index] = last
            self._batch.leave(len(self._rows))

    def _read_voice(self, voice: Tensor) -> KeyValueCache:
        """Return the keys and values of a voice's prompt, read once. Prompts are compared by identity."""
        if voice not in self._voices:
            tokens = voice.to(self._device)[None]
            length = tokens.shape[2]
            cache = self.model.cache(1, length)
            positions = torch.arange(length, device=self._device)[None]
            self.model.read(tokens, cache, 0, positions, length)
            self._voices[voice] = cache
            while len(self._voices) > MAX_CACHED_VOICES:
                self._voices.popitem(last=False)
        self._voices.move_to_end(voice)
        return self._voices[voice]

    def _read_texts(self, first: int) -> None:
        """Read the texts of the rows from ``first`` on, which are then ready for their first frame.

        Shorter texts are padded on the right: what is written there is overwritten before it is attended to.
        """
        batch = self._batch
        assert batch is not None
        rows = self._rows[first:]
        lengths = torch.tensor([line.text.shape[1] for line in rows], device=self._device)
        longest = max(line.text.shape[1] for line in rows)
        texts = torch.stack([F.pad(line.text, (0, longest - line.text.shape[1])) for line in rows])
        begins = torch.tensor([line.position for line in rows], device=self._device)
        # Lines differ in their caps: the padding may reach past the last position of a slot.
        positions = (begins[:, None] + torch.arange(longest, device=self._device)).clamp(
            max=batch.cache.positions - 1
        )
        furthest = max(line.position for line in rows) + longest
        length = min(batch.cache.positions, grained(furthest, PlainRunner.grain))
        states = self.model.read(texts.to(self._device), batch.cache, first, positions, length)
        for line in rows:
            line.position += line.text.shape[1]
        last = states[torch.arange(len(rows), device=self._device), lengths - 1]
        batch.set(first, last, begins + lengths)


class Threads:
    """Number of threads of each decoding step, of at most ``most``; the fastest is found by trial.

    A step is hundreds of short products that wait for memory. Threads that share them meet after each one, and on a
    machine whose cores share their memory, or have other work, that can cost more than it brings: one thread was up to
    1.6 times as fast as two on a virtual machine of two cores. The numbers are the same either way.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._fastest = dict.fromkeys(sorted({1, max(1, most // 2), most}), float("inf"))
        self._steps = 0

    @property
    def chosen(self) -> int | None:
        """The fastest number of threads; None during the trial."""
        if self._steps < TRIAL_ROUNDS * len(self._fastest):
            return None
        return min(self._fastest, key=self._fastest.__getitem__)

    @contextmanager
    def step(self) -> Iterator[None]:
        """Set the threads of a step, and ``most`` again afterwards.

        The fastest step of each number counts, since some steps also read the text of a new line.
        """
        tried = None if self.chosen else list(self._fastest)[self._steps % len(self._fastest)]
        torch.set_num_threads(tried or self.chosen or self._most)
        started = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - started
            torch.set_num_threads(self._most)
        if tried is not None:
            self._fastest[tried] = min(self._fastest[tried], seconds)
            self._steps += 1
