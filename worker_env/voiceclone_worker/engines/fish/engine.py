"""The fish engine: references to codes, lines to codes in one rolling batch, codes to speech."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from voiceclone_worker.engines.base import Emit, EngineError, SegmentError, Speech, SpeechRow
from voiceclone_worker.engines.fish import checkpoint, decoder
from voiceclone_worker.engines.fish.checkpoint import check_checkpoint, load_model, open_upstream
from voiceclone_worker.engines.fish.codec import Codec, read_codes
from voiceclone_worker.engines.fish.decoder import (
    DecodedLine,
    Decoder,
    DecoderLine,
    LengthBounds,
    LineEnding,
    Threads,
    length_bounds,
    reroll_seed,
)
from voiceclone_worker.engines.fish.model import Sampling, SamplingSettings
from voiceclone_worker.protocol import EngineSpec, ReferenceSpec

# A task's engine settings, checked.


@dataclass(frozen=True)
class FishOptions:
    """What ``EngineSpec.options`` says; see the package's docstring."""

    source: str
    compile: bool
    threads: int | None
    most_frames: int
    sampling: SamplingSettings


def read_fish_options(spec: EngineSpec) -> FishOptions:
    """Raises EngineError ``bad_option``, in one sentence."""
    usual = SamplingSettings()
    return FishOptions(
        source=_text(spec, "source"),
        compile=bool(spec.options.get("compile", False)),
        threads=_whole(spec, "threads", None),
        most_frames=_whole(spec, "max_new_tokens", 1024) or 1024,
        sampling=SamplingSettings(
            temperature=_number(spec, "temperature", usual.temperature, 2.0),
            top_p=_number(spec, "top_p", usual.top_p, 1.0),
            repetition_penalty=_number(spec, "repetition_penalty", usual.repetition_penalty, 2.0),
        ),
    )


def _text(spec: EngineSpec, name: str) -> str:
    value = spec.options.get(name) or ""
    if not isinstance(value, str):
        raise EngineError("bad_option", f'"{name}" must be a text, not {value!r:.40}')
    return value


def _whole(spec: EngineSpec, name: str, usual: int | None) -> int | None:
    value = spec.options.get(name, usual)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise EngineError("bad_option", f'"{name}" must be a whole number from 1, not {value!r:.40}')
    return value


def _number(spec: EngineSpec, name: str, usual: float, most: float) -> float:
    value = spec.options.get(name, usual)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= most:
        raise EngineError(
            "bad_option", f'"{name}" must be a number over 0 and up to {most:g}, not {value!r:.40}'
        )
    return float(value)


MOST_ATTEMPTS = 3
"""A line is rolled again at most twice."""

PROGRESS_SECONDS = 2.0

Outcome = tuple[SpeechRow, Speech | SegmentError]


@dataclass(frozen=True)
class _Try:
    """A row on its way through the batch."""

    row: SpeechRow
    attempt: int
    bounds: LengthBounds


class FishEngine:
    """See the package's docstring for the options. Raises EngineError where it cannot be loaded."""

    def __init__(self, spec: EngineSpec, emit: Emit) -> None:
        options = read_fish_options(spec)
        if options.threads is not None:
            torch.set_num_threads(options.threads)
        folder = Path(spec.checkpoint)
        check_checkpoint(folder)
        open_upstream(options.source)
        place = checkpoint.choose_device(spec.device, spec.precision)
        self._emit = emit
        self._device = place.device
        self._most_frames = options.most_frames
        self._codec = Codec(folder, place.device, self._note)
        model = load_model(folder, place.device, place.dtype)
        self._tokenizer = model.tokenizer
        self._codebook_size = model.config.codebook_size
        self._decoder = Decoder(
            model,
            Sampling(model, options.sampling, int8=place.int8),
            spec.batch_size,
            int8=place.int8,
            compiled=options.compile and place.device.type != "cpu",
            started=self._started,
        )
        if options.compile and place.device.type == "cpu":
            self._note("--compile is for GPUs: on the CPU the weights are laid out anew instead, as always")
        # On the CPU the codec gives each thread a line of its own.
        threads = torch.get_num_threads()
        self._spoken_together = threads if place.device.type == "cpu" else spec.batch_size
        self._threads = Threads(threads)
        self._told = 0.0

    def encode(
        self, references: Sequence[ReferenceSpec]
    ) -> Iterator[tuple[ReferenceSpec, SegmentError | None]]:
        """Write the codes of each reference; codes of the same audio and checkpoint are kept."""
        return self._codec.encode(references)

    def generate(self, rows: Sequence[SpeechRow]) -> Iterator[Outcome]:
        """Speak the rows in one rolling batch, the longest first, so that none is left alone at the end."""
        voices = _PromptCache(self._codec.codebooks, self._codebook_size, self._tokenizer)
        finished: list[DecodedLine] = []
        try:
            for row in sorted(rows, key=lambda row: -len(row.segment.text)):
                try:
                    self._submit(row, voices.of(row.reference), 1)
                except SegmentError as error:
                    yield row, error
            while self._decoder.busy:
                for spoken in self._step():
                    if isinstance(spoken, DecoderLine):
                        yield spoken.tag.row, _no_memory()
                        continue
                    reason = _fault(spoken)
                    if reason is None:
                        finished.append(spoken)
                    elif spoken.line.tag.attempt < MOST_ATTEMPTS:
                        self._submit(spoken.line.tag.row, spoken.line.voice, spoken.line.tag.attempt + 1)
                    else:
                        yield spoken.line.tag.row, _given_up(spoken, reason)
                if len(finished) >= self._spoken_together or not self._decoder.busy:
                    yield from self._speak(finished)
                    finished = []
                self._tell_progress()
        finally:
            self._decoder.clear()

    def _submit(self, row: SpeechRow, voice: decoder.VoicePrompt, attempt: int) -> None:
        segment = row.segment
        text = decoder.line_prompt(segment.text, self._tokenizer, self._codec.codebooks)
        per_second = self._codec.rate / self._codec.frame_length
        limits = length_bounds(segment.text, segment.max_seconds, per_second, self._most_frames)
        seed = reroll_seed(segment.seed, attempt)
        self._decoder.submit(DecoderLine(voice, text, seed, limits.most, _Try(row, attempt, limits)))

    def _step(self) -> Sequence[DecodedLine | DecoderLine]:
        """What ended with the next frame; a Line is one that even alone found no memory."""
        lines = self._decoder.active
        try:
            with self._threads.step():
                return self._decoder.step()
        except (RuntimeError, MemoryError) as error:
            if not checkpoint.is_out_of_memory(error):
                raise
            lines = max(lines, self._decoder.active)
        # Here, not above: while the error is at hand it holds on to the batch's tensors.
        given_up = self._decoder.halve()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        if given_up is not None:
            return [given_up]
        self._note(
            f"out of memory with {lines} lines at a time: went on with {self._decoder.slots} "
            "(a smaller FISH_BATCH_SIZE or fewer workers avoid this)"
        )
        return []

    def _speak(self, finished: Sequence[DecodedLine]) -> Iterator[Outcome]:
        if not finished:
            return
        started = time.perf_counter()
        sounds = self._sounds([spoken.codes for spoken in finished])
        self._emit("spent", stage="decode", seconds=time.perf_counter() - started)
        for spoken, sound in zip(finished, sounds, strict=True):
            line = spoken.line
            if isinstance(sound, SegmentError):
                yield line.tag.row, sound
            else:
                yield line.tag.row, Speech(sound, self._codec.rate, line.seed, line.tag.attempt)

    def _sounds(self, rows: Sequence[torch.Tensor]) -> list[bytes | SegmentError]:
        """The codec's part; where memory runs out, a row at a time, and then it is that row's failure."""
        try:
            return self._codec.decode(rows)
        except (RuntimeError, MemoryError) as error:
            if not checkpoint.is_out_of_memory(error):
                raise
        if len(rows) == 1:
            return [_no_memory()]
        self._note("out of memory while lines were made sound together: went on one by one")
        return [sound for row in rows for sound in self._sounds([row])]

    def _started(self, line: DecoderLine) -> None:
        segment = line.tag.row.segment
        self._emit("segment_started", task=line.tag.row.task, id=segment.id)

    def _tell_progress(self) -> None:
        """So that whoever waits sees that a long line is being spoken, and does not take it for hung."""
        now = time.monotonic()
        if now - self._told < PROGRESS_SECONDS:
            return
        self._told = now
        for line, frames in self._decoder.progress():
            row = line.tag.row
            self._emit("segment_progress", task=row.task, id=row.segment.id, frames=frames)

    def _note(self, sentence: str) -> None:
        self._emit("note", message=sentence)


class _PromptCache:
    """The prompts of one call, each built once."""

    def __init__(self, codebooks: int, codebook_size: int, tokenizer: object) -> None:
        self._codebooks = codebooks
        self._codebook_size = codebook_size
        self._tokenizer = tokenizer
        self._made: dict[str, decoder.VoicePrompt] = {}

    def of(self, reference: ReferenceSpec) -> decoder.VoicePrompt:
        """Raises SegmentError ``codes_unusable``."""
        if reference.codes not in self._made:
            codes = read_codes(reference.codes, self._codebooks, self._codebook_size)
            voice = decoder.voice_prompt(reference.speaker, reference.text, codes, self._tokenizer)
            self._made[reference.codes] = voice
        return self._made[reference.codes]


def _fault(spoken: DecodedLine) -> tuple[str, str] | None:
    """Code and reason why what was spoken cannot be the line; None where it may."""
    frames, limits = spoken.codes.shape[1], spoken.line.tag.bounds
    if spoken.ending is LineEnding.BROKEN:
        return "speech_broken", "the model's numbers overflowed; another --precision may help"
    if frames == 0:
        return "speech_empty", "the model ended before it said anything"
    if spoken.ending is LineEnding.CUT_OFF:
        return "speech_cut_off", f"the model was still speaking after {limits.most} frames"
    if frames < limits.least:
        return "speech_too_short", f"{frames} frames are too few for the text, which needs {limits.least}"
    return None


def _given_up(spoken: DecodedLine, reason: tuple[str, str]) -> SegmentError:
    code, sentence = reason
    own = spoken.line.tag.row.segment.seed
    seeds = ", ".join(str(reroll_seed(own, attempt)) for attempt in range(1, MOST_ATTEMPTS + 1))
    return SegmentError(code, f"{sentence} (seeds {seeds})")


def _no_memory() -> SegmentError:
    return SegmentError(
        "out_of_memory",
        "there was no memory to speak it even alone; use fewer workers, a shorter reference or another "
        "--precision",
    )
