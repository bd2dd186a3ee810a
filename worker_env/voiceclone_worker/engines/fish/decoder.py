"""How many threads speak fastest: tried on the first steps, not assumed.

A step is hundreds of short products that wait for memory. Two threads that share them must meet after
each, and on a machine whose cores share their memory, or have other work, that costs more than it brings:
one thread was up to 1.6 times as fast as two on a virtual machine of two cores. Elsewhere all threads
are. Either way the numbers are the same, so that the choice is free.
"""

from __future__ import annotations

import collections
import hashlib
import time
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from voiceclone_worker.engines.base import SegmentError
from voiceclone_worker.engines.fish.model import Model, Sampling, Windows
from voiceclone_worker.engines.fish.transformer import KeyValueCache

# How long a line may and must be.
#
# A language model of speech fails in a few ways that its length shows: it ends before it begins, it
# leaves words out, or it does not find the end. The bounds are wide: they are to catch those, not to
# judge anyone's pace.


USUAL_UNITS_PER_SECOND = 15.0
"""Letters and the like a second in ordinary speech."""

FASTEST_UNITS_PER_SECOND = 40.0
SLOWEST_UNITS_PER_SECOND = 5.0

SPARE_SECONDS = 1.5
"""For breath, and for the shortest lines, whose pace says little."""

SLOT_SPARE = 1.6
"""What is longer than so many slots can be fitted into none: it may be stretched by 1.3 at most by
default."""


@dataclass(frozen=True)
class LengthBounds:
    """Frames that a line's speech must and may have."""

    least: int
    most: int


def length_bounds(
    text: str, slot_seconds: float | None, frames_per_second: float, limit: int
) -> LengthBounds:
    """From the text's length, its slot (None: it may take its time), and the run's ``limit`` in frames."""
    units = _units(text)
    least = max(1, round(units / FASTEST_UNITS_PER_SECOND * frames_per_second))
    seconds = units / SLOWEST_UNITS_PER_SECOND + SPARE_SECONDS
    if slot_seconds is not None:
        # A slot that is too short for the words must not cut them off.
        unhurried = 2 * units / USUAL_UNITS_PER_SECOND + SPARE_SECONDS
        seconds = min(seconds, max(slot_seconds * SLOT_SPARE, unhurried))
    most = min(limit, max(least + 1, round(seconds * frames_per_second)))
    return LengthBounds(min(least, most), most)


def reroll_seed(seed: int, attempt: int) -> int:
    """The seed of a line's ``attempt`` (from 1, which is its own): the same wherever it is spoken."""
    if attempt == 1:
        return seed
    digest = hashlib.sha256(f"{seed}:{attempt}".encode()).digest()
    return int.from_bytes(digest[:4], "big") & 0x7FFFFFFF


def _units(text: str) -> float:
    """Letters and digits; signs that stand for a syllable or a word count as three."""
    return sum(
        3.0 if unicodedata.east_asian_width(char) in "WF" else 1.0
        for char in text
        if char.isalnum() or unicodedata.category(char).startswith("M")
    )


# Text and references as the tokens that fish-speech reads.


@dataclass(frozen=True, eq=False)
class VoicePrompt:
    """A speaker's reference as a prompt: [codebooks + 1, tokens]. Compared by identity."""

    name: str
    tokens: Tensor = field(repr=False)


def voice_prompt(name: str, text: str, codes: Tensor, tokenizer: Any) -> VoicePrompt:
    """``codes`` [codebooks, frames] and the words that are heard in them."""
    from fish_speech.content_sequence import ContentSequence, TextPart, VQPart

    sequence = ContentSequence(modality="interleave")
    words = TextPart(tokens=_words(text, tokenizer))
    sequence.append([words, VQPart(codes=codes)], add_end=True, speaker=0)
    tokens, _, _ = sequence.encode_for_inference(tokenizer, num_codebooks=len(codes))
    return VoicePrompt(name, tokens.long())


def line_prompt(text: str, tokenizer: Any, codebooks: int) -> Tensor:
    """What follows the voice's prompt: [codebooks + 1, tokens]."""
    from fish_speech.content_sequence import ContentSequence, TextPart

    sequence = ContentSequence()
    sequence.append([TextPart(tokens=_words(text, tokenizer))], add_end=False, speaker=0)
    tokens: Tensor = sequence.encode_for_inference(tokenizer, num_codebooks=codebooks)[0]
    return tokens.long()


def _words(text: str, tokenizer: Any) -> list[int]:
    """A text is read as a text: what looks like a control token in it (``<|im_end|>``) is none."""
    tokens: list[int] = tokenizer.encode(text, allowed_special=False)
    return tokens


# Batched generation with rows that come and go.
#
# A row is one line to speak. It gets a slot of the batch, begins with its speaker's prompt (read once
# a speaker and copied), and leaves the slot to the next waiting line as soon as it has ended, so that
# a long line never holds up a batch. Every row has its own place, mask and random numbers: what is
# spoken does not depend on who is in the batch.


GRAIN = 64
"""Caches and what is looked at of them grow in steps of so many positions."""

MOST_VOICES = 16
"""Prompts that are kept read; the one that was used longest ago makes room."""


class LineEnding(Enum):
    SPOKEN = "spoken"
    """The model ended the line itself."""
    CUT_OFF = "cut off"
    """It was still speaking at its cap."""
    BROKEN = "broken"
    """Its numbers were none any more."""


@dataclass(eq=False)
class DecoderLine:
    """A line to speak. ``text``: [codebooks + 1, tokens] as of ``prompt.line``; ``most_frames``: its cap;
    ``tag``: whatever the caller wants to find again."""

    voice: VoicePrompt
    text: Tensor
    seed: int
    most_frames: int
    tag: Any = None


@dataclass(frozen=True)
class DecodedLine:
    """A finished line. ``codes``: int64 [codebooks, frames] on the CPU."""

    line: DecoderLine
    codes: Tensor
    ending: LineEnding


@dataclass(eq=False)
class _BatchRow:
    line: DecoderLine
    generator: torch.Generator
    place: int
    """Position of the next token in its own sequence."""
    frames: list[Tensor] = field(default_factory=list)


class Decoder:
    """Speaks lines in batches of up to ``slots``. Not safe to use from several threads."""

    def __init__(
        self,
        model: Any,
        sampling: Sampling,
        slots: int,
        *,
        int8: bool = False,
        compiled: bool = False,
        started: Callable[[DecoderLine], None] = lambda line: None,
    ) -> None:
        """``model``: upstream's DualARTransformer; its weights move into this decoder. ``started`` hears of
        each line as it gets its slot."""
        self.model = Model(model, sampling, int8=int8, compiled=compiled)
        self._sampling, self._started = sampling, started
        self.slots = slots
        self._device = self.model.device
        self._waiting: collections.deque[DecoderLine] = collections.deque()
        self._ended: list[DecodedLine] = []
        self._voices: collections.OrderedDict[VoicePrompt, KeyValueCache] = collections.OrderedDict()
        self._forget()

    @property
    def busy(self) -> bool:
        return bool(self._waiting or self._rows or self._ended)

    @property
    def active(self) -> int:
        return len(self._rows)

    def submit(self, line: DecoderLine) -> None:
        """Put a line in the queue. Raises SegmentError when it cannot fit the model's window."""
        needed = line.voice.tokens.shape[1] + line.text.shape[1] + line.most_frames
        if needed > self.model.longest:
            raise SegmentError(
                "prompt_too_long",
                f"the reference, this line and its speech need {needed} positions and the checkpoint has "
                f"{self.model.longest}; give a shorter reference or split the line",
            )
        self._waiting.append(line)

    def progress(self) -> list[tuple[DecoderLine, int]]:
        """The lines that are being spoken, and how many frames of each there are."""
        return [(row.line, len(row.frames)) for row in self._rows]

    def clear(self) -> None:
        """Forget every line and free the slots."""
        self._waiting.clear()
        self._ended.clear()
        self._voices.clear()
        self._forget()

    def halve(self) -> DecoderLine | None:
        """After running out of memory: free everything, take half as many slots, and begin the rows
        that were being spoken anew. Where there was one slot only, its line is given up: returned."""
        ended = {spoken.line for spoken in self._ended}
        lines = [row.line for row in self._rows if row.line not in ended]
        given_up = lines.pop(0) if self.slots == 1 and lines else None
        self.slots = max(1, self.slots // 2)
        self._voices.clear()
        self._forget()
        self._waiting.extendleft(reversed(lines))
        return given_up

    @torch.inference_mode()
    def step(self) -> list[DecodedLine]:
        """One frame for every row; lines that wait get the free slots first. The lines that ended.

        Where it raises, the lines that were being spoken are still there (see ``halve``), and those that
        had ended come with the next step.
        """
        old = len(self._rows)
        self._admit()
        if self._rows:
            self._speak(old)
        ended, self._ended = self._ended, []
        return ended

    def _speak(self, old: int) -> None:
        """One frame for every row, of which ``old`` were there before."""
        logits, hidden = self._advance(old)
        noise = self._sampling.noise([row.generator for row in self._rows])
        tokens = self._sampling.token(logits, self._windows.frames, self._windows.spoken, noise[0])
        broken = (~logits.isfinite().all(1)).tolist()
        said = [token == self._sampling.end for token in tokens.tolist()]
        over = {index: LineEnding.SPOKEN for index, end in enumerate(said) if end}
        over |= {index: LineEnding.BROKEN for index, bad in enumerate(broken) if bad}
        if over:
            left = self._end(over)
            tokens, hidden, noise = tokens[left], hidden[left], [part[left] for part in noise]
        if not self._rows:
            return
        frames = self.model.frame(hidden, tokens, self._windows, noise)
        self._windows.push(frames)
        for row, frame in zip(self._rows, frames, strict=True):
            row.frames.append(frame)
        full = [i for i, row in enumerate(self._rows) if len(row.frames) >= row.line.most_frames]
        if full:
            self._end(dict.fromkeys(full, LineEnding.CUT_OFF))

    # ------------------------------------------------------------------------- slots

    def _forget(self) -> None:
        self._rows: list[_BatchRow] = []
        self._cache: KeyValueCache | None = None
        remembers = self._sampling.remembers_first
        self._windows = Windows(self.model.codebooks, self._device, remembers_first=remembers)

    def _admit(self) -> None:
        """Give the free slots to waiting lines, with their voices' prompts."""
        count = min(self.slots - len(self._rows), len(self._waiting))
        lines = [self._waiting.popleft() for _ in range(count)]
        first = len(self._rows)
        for line in lines:
            generator = torch.Generator().manual_seed(line.seed)
            # Held before memory is asked for, so that nothing is lost when there is none.
            self._rows.append(_BatchRow(line, generator, line.voice.tokens.shape[1]))
        if not lines:
            return
        self._make_room()
        self._windows.add_rows(count)
        assert self._cache is not None
        for slot, line in enumerate(lines, first):
            self._cache.begin(slot, self._read(line.voice))
            self._started(line)

    def _make_room(self) -> None:
        slots = min(self.slots, len(self._rows) + len(self._waiting))
        needed = max(
            row.line.voice.tokens.shape[1] + row.line.text.shape[1] + row.line.most_frames
            for row in self._rows
        )
        positions = _grained(needed)
        old = self._cache
        if old is not None:
            slots, positions = max(slots, old.slots), max(positions, old.positions)
            if slots == old.slots and positions == old.positions:
                return
        cache = self.model.cache(slots, positions)
        if old is not None:
            cache.take_over(old, old.slots)
        self._cache = cache

    def _end(self, over: Mapping[int, LineEnding]) -> Tensor:
        """Free the slots of the rows that are over; the last rows move into them, so that those in use
        stay side by side. Returns where each row that is left stood before."""
        assert self._cache is not None
        for index, ending in over.items():
            row = self._rows[index]
            codes = torch.zeros(self.model.codebooks, 0, dtype=torch.long)
            if row.frames:
                codes = torch.stack(row.frames, 1)[1:].cpu()
            self._ended.append(DecodedLine(row.line, codes, ending))
        stood = list(range(len(self._rows)))
        for index in sorted(over, reverse=True):
            last = len(self._rows) - 1
            if index != last:
                self._cache.move(last, index, self._rows[last].place)
                self._rows[index], stood[index] = self._rows[last], stood[last]
            self._rows.pop()
            stood.pop()
        left = torch.tensor(stood, dtype=torch.long, device=self._device)
        self._windows.keep(left)
        return left

    def _read(self, voice: VoicePrompt) -> KeyValueCache:
        """What the model makes of a voice's prompt; read once."""
        if voice not in self._voices:
            tokens = voice.tokens.to(self._device)[None]
            length = tokens.shape[2]
            cache = self.model.cache(1, length)
            places = torch.arange(length, device=self._device)[None]
            self.model.read(tokens, cache, 0, places, length)
            self._voices[voice] = cache
            while len(self._voices) > MOST_VOICES:
                self._voices.popitem(last=False)
        self._voices.move_to_end(voice)
        return self._voices[voice]

    # ------------------------------------------------------------------------- the model

    def _advance(self, old: int) -> tuple[Tensor, Tensor]:
        """Logits and hidden states [n, ...] after each row's latest tokens: the frame before for the
        ``old`` rows, the text for those that have just come."""
        assert self._cache is not None
        hidden = []
        if old:
            frames = torch.stack([row.frames[-1] for row in self._rows[:old]])[:, :, None]
            places = torch.tensor([[row.place] for row in self._rows[:old]], device=self._device)
            length = _grained(max(row.place for row in self._rows[:old]) + 1)
            hidden.append(self.model.read(frames, self._cache, 0, places, length)[:, 0])
            for row in self._rows[:old]:
                row.place += 1
        if old < len(self._rows):
            hidden.append(self._read_texts(old))
        states = torch.cat(hidden)
        return self.model.logits(states), states

    def _read_texts(self, first: int) -> Tensor:
        """Hidden states [n, width] at the end of the texts of the rows from ``first`` on. Shorter
        texts are filled up on the right: what is written there is overwritten before it is seen."""
        assert self._cache is not None
        rows = self._rows[first:]
        lengths = torch.tensor([row.line.text.shape[1] for row in rows], device=self._device)
        longest = int(lengths.max())
        texts = torch.stack([F.pad(row.line.text, (0, longest - row.line.text.shape[1])) for row in rows])
        begins = torch.tensor([row.place for row in rows], device=self._device)
        # A cap is at least a frame and rows differ: the filling may reach past a slot's last position.
        places = (begins[:, None] + torch.arange(longest, device=self._device)).clamp(
            max=self._cache.positions - 1
        )
        length = min(self._cache.positions, _grained(int(places.max()) + 1))
        states = self.model.read(texts.to(self._device), self._cache, first, places, length)
        for row, count in zip(rows, lengths.tolist(), strict=True):
            row.place += count
        return states[torch.arange(len(rows), device=self._device), lengths - 1]


def _grained(positions: int) -> int:
    return -(-positions // GRAIN) * GRAIN


ROUNDS = 6
"""Steps that each number of threads is tried for, in turn."""


class Threads:
    """Gives each step its threads, of at most ``most``."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._fastest = dict.fromkeys(sorted({1, max(1, most // 2), most}), float("inf"))
        self._steps = 0

    @property
    def chosen(self) -> int | None:
        """What the trial came to; None while it lasts."""
        if self._steps < ROUNDS * len(self._fastest):
            return None
        return min(self._fastest, key=self._fastest.__getitem__)

    @contextmanager
    def step(self) -> Iterator[None]:
        """Around a step: its threads, and ``most`` again when it is over. The fastest step of each
        number counts, since some also read the text of a new line."""
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
