"""The fish engine: references to codes, lines to codes in one rolling batch, codes to speech."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import torch

from voiceclone_worker.engines.base import Emit, EngineError, SegmentError, Speech, SpeechRow
from voiceclone_worker.engines.fish import checkpoint, decoder
from voiceclone_worker.engines.fish.codec import Codec, read_codes
from voiceclone_worker.engines.fish.decoder import Decoder, DecoderLine, LineEnding, Threads, reroll_seed
from voiceclone_worker.engines.fish.frame_step import runner_for
from voiceclone_worker.engines.fish.generations import check_files, generation_of
from voiceclone_worker.engines.fish.sampling import SamplingSettings
from voiceclone_worker.engines.fish.transformer import products_of
from voiceclone_worker.protocol import EngineSpec, ReferenceSpec
from voiceclone_worker.runtime import release_free_memory
from voiceclone_worker.speech_units import speech_units
from voiceclone_worker.tags import without_tags

MAX_ATTEMPTS = 3
"""Attempts at a line, each with another seed."""

PROGRESS_SECONDS = 2.0

Outcome = tuple[SpeechRow, Speech | SegmentError]


class FishEngine:
    """The engine; see the package for its options. Raises EngineError where it cannot be loaded."""

    def __init__(self, spec: EngineSpec, emit: Emit) -> None:
        source = spec.options.get("source") or ""
        if not isinstance(source, str):
            raise EngineError("bad_option", f'"source" must be a text, not {source!r:.40}')
        compiled = bool(spec.options.get("compile", False))
        if "threads" in spec.options:
            torch.set_num_threads(_whole_option(spec, "threads", 1))
        keeps_tags = _tags_option(spec)
        folder = Path(spec.checkpoint)
        generation = generation_of(folder)
        most = int(generation.layout.sampling["max_new_tokens"])
        self._most_frames = _whole_option(spec, "max_new_tokens", most)
        self._reads_tags = generation.reads_tags
        self._drops_tags = generation.reads_tags and not keeps_tags
        settings = SamplingSettings(
            temperature=_number_option(spec, "temperature", generation.defaults.temperature, 2.0),
            top_p=_number_option(spec, "top_p", generation.defaults.top_p, 1.0),
            repetition_penalty=_number_option(
                spec, "repetition_penalty", generation.defaults.repetition_penalty, 2.0
            ),
        )
        check_files(folder, generation)
        checkpoint.open_upstream(source)
        self._device, precision = checkpoint.choose_device(spec.device, spec.precision)
        is_cpu, products = self._device.type == "cpu", products_of(precision, self._device)
        self._emit = emit
        self._codec = Codec(folder, self._device, self._note)
        weights, self._prompts = generation.load(folder, self._device, checkpoint.PRECISIONS[precision])
        self._codebook_size = weights.shape.codebook_size
        if weights.shape.codebooks != self._codec.codebooks:
            raise EngineError(
                "checkpoint_unusable",
                f"the model of {folder} has {weights.shape.codebooks} codebooks and its codec {self._codec.codebooks}; "
                "fetch or make it again",
            )
        self._decoder = Decoder(
            weights,
            generation.sampling(weights, settings, products),
            spec.batch_size,
            products=products,
            compiled=compiled and not is_cpu,
            make_runner=partial(runner_for, note=self._note),
            started=self._emit_started,
        )
        if compiled and is_cpu:
            self._note("--compile is for GPUs: on the CPU the weights are laid out anew instead, as always")
        # On the CPU the codec uses one thread for each line.
        threads = torch.get_num_threads()
        self._codec_batch = threads if is_cpu else spec.batch_size
        self._threads = Threads(threads)
        self._last_progress = 0.0
        # Laying out a gigabyte of weights anew leaves a tenth of it free, but not returned.
        release_free_memory()

    def encode(
        self, references: Sequence[ReferenceSpec]
    ) -> Iterator[tuple[ReferenceSpec, SegmentError | None]]:
        """Write the codes of each reference; codes of the same audio and checkpoint are kept."""
        yield from self._codec.encode(references)
        release_free_memory()

    def generate(self, rows: Sequence[SpeechRow]) -> Iterator[Outcome]:
        """Synthesize the rows in one rolling batch, the longest first, so that none is alone at the end."""
        voices: dict[str, torch.Tensor] = {}
        decoded: list[DecoderLine] = []
        try:
            for row in sorted(rows, key=lambda row: -speech_units(row.segment.text)):
                codes = row.reference.codes
                try:
                    if codes not in voices:
                        voices[codes] = self._voice_prompt(row.reference)
                    self._submit(row, voices[codes], 1)
                except SegmentError as error:
                    yield row, error
            while self._decoder.busy:
                for line in self._step():
                    error_or_none = _check_line(line)
                    if error_or_none is None:
                        decoded.append(line)
                    elif line.ending is not LineEnding.OUT_OF_MEMORY and line.attempt < MAX_ATTEMPTS:
                        self._submit(line.tag, line.voice, line.attempt + 1)
                    else:
                        yield line.tag, error_or_none
                if len(decoded) >= self._codec_batch or not self._decoder.busy:
                    yield from self._decode_speech(decoded)
                    decoded = []
                self._emit_progress()
        finally:
            self._decoder.clear()

    def _voice_prompt(self, reference: ReferenceSpec) -> torch.Tensor:
        codes = read_codes(reference.codes, self._codec.codebooks, self._codebook_size)
        return self._prompts.voice(self._prompt_text(reference.text), codes)

    def _prompt_text(self, text: str) -> str:
        return without_tags(text) if self._drops_tags else text

    def _submit(self, row: SpeechRow, voice: torch.Tensor, attempt: int) -> None:
        segment = row.segment
        words = without_tags(segment.text) if self._reads_tags else segment.text
        if words != segment.text and not words.strip():
            raise SegmentError("nothing_to_speak", "the line has nothing but tags in square brackets")
        text = self._prompts.line(self._prompt_text(segment.text))
        per_second = self._codec.rate / self._codec.frame_length
        least, most = decoder.length_bounds(words, segment.max_seconds, per_second, self._most_frames)
        seed = reroll_seed(segment.seed, attempt)
        self._decoder.submit(DecoderLine(voice, text, seed, most, least, attempt, row))

    def _step(self) -> Sequence[DecoderLine]:
        """Return the lines that end with the next frame."""
        lines = self._decoder.active
        try:
            with self._threads.step():
                return self._decoder.step()
        except (RuntimeError, MemoryError) as error:
            if not checkpoint.is_out_of_memory(error):
                raise
            lines = max(lines, self._decoder.active)
        # Outside the handler, since the error refers to the batch's tensors.
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

    def _decode_speech(self, lines: Sequence[DecoderLine]) -> Iterator[Outcome]:
        if not lines:
            return
        started = time.perf_counter()
        sounds = self._sounds([line.codes for line in lines])
        self._emit("spent", stage="decode", seconds=time.perf_counter() - started)
        for line, sound in zip(lines, sounds, strict=True):
            if isinstance(sound, SegmentError):
                yield line.tag, sound
            else:
                yield line.tag, Speech(sound, self._codec.rate, line.seed, line.attempt)

    def _sounds(self, codes: Sequence[torch.Tensor]) -> list[bytes | SegmentError]:
        """Return the PCM of each row; where memory runs out, one row at a time."""
        try:
            return self._codec.decode(codes)
        except (RuntimeError, MemoryError) as error:
            if not checkpoint.is_out_of_memory(error):
                raise
        if len(codes) == 1:
            return [_no_memory()]
        self._note("out of memory while lines were made sound together: went on one by one")
        return [sound for row in codes for sound in self._sounds([row])]

    def _emit_started(self, line: DecoderLine) -> None:
        self._emit("segment_started", task=line.tag.task, id=line.tag.segment.id)

    def _emit_progress(self) -> None:
        """Report the lines that are being decoded, so that a long one is not taken for a hung worker."""
        now = time.monotonic()
        if now - self._last_progress < PROGRESS_SECONDS:
            return
        self._last_progress = now
        for line, frames in self._decoder.progress():
            self._emit("segment_progress", task=line.tag.task, id=line.tag.segment.id, frames=frames)

    def _note(self, sentence: str) -> None:
        self._emit("note", message=sentence)


def _tags_option(spec: EngineSpec) -> bool:
    """Return whether tags are kept."""
    value = spec.options.get("tags", "drop")
    if value not in ("keep", "drop"):
        raise EngineError("bad_option", f'"tags" must be "keep" or "drop", not {value!r:.40}')
    return bool(value == "keep")


def _whole_option(spec: EngineSpec, name: str, default: int) -> int:
    value = spec.options.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise EngineError("bad_option", f'"{name}" must be a whole number from 1, not {value!r:.40}')
    return value


def _number_option(spec: EngineSpec, name: str, default: float, most: float) -> float:
    value = spec.options.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= most:
        raise EngineError(
            "bad_option", f'"{name}" must be a number over 0 and up to {most:g}, not {value!r:.40}'
        )
    return float(value)


def _check_line(line: DecoderLine) -> SegmentError | None:
    """Return why a decoded line cannot be used; None where it can."""
    frames = line.codes.shape[1]
    if line.ending is LineEnding.OUT_OF_MEMORY:
        return _no_memory()
    if line.ending is LineEnding.BROKEN:
        code, reason = "speech_broken", "the model's numbers overflowed; another --precision may help"
    elif frames == 0:
        code, reason = "speech_empty", "the model ended before it said anything"
    elif line.ending is LineEnding.CUT_OFF:
        code, reason = "speech_cut_off", f"the model was still speaking after {line.most_frames} frames"
    elif frames < line.least_frames:
        needed = line.least_frames
        code, reason = "speech_too_short", f"{frames} frames are too few for the text, which needs {needed}"
    else:
        return None
    own = line.tag.segment.seed
    seeds = ", ".join(str(reroll_seed(own, attempt)) for attempt in range(1, MAX_ATTEMPTS + 1))
    return SegmentError(code, f"{reason} (seeds {seeds})")


def _no_memory() -> SegmentError:
    return SegmentError(
        "out_of_memory",
        "there was no memory to speak it even alone; use fewer workers, a shorter reference or another "
        "--precision",
    )
