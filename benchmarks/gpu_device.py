"""Measurements of the fish engine's decoding on a device, with random weights that are made there.

    python gpu_device.py --tool measure DEVICE SIZE SECONDS

`python -m benchmarks.gpu` runs this in the fish environment's interpreter. Every layer of a model has the same random
weights: for the time of a step their values make no difference, and they are made in seconds.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    # In place of this folder, whose modules belong to the other environment.
    sys.path[0] = str(Path(__file__).resolve().parents[1] / "worker_env")

import torch
from torch import Tensor

from voiceclone_worker.engines.base import Emit, EngineError
from voiceclone_worker.engines.fish.decoder import Decoder, DecoderLine
from voiceclone_worker.engines.fish.frame_step import (
    CudaGraphs,
    FrameRunner,
    PlainRunner,
    Record,
    RecordedRunner,
)
from voiceclone_worker.engines.fish.layout import S1, S2, ModelShape, TransformerShape, tensor_sizes
from voiceclone_worker.engines.fish.model import Model
from voiceclone_worker.engines.fish.sampling import PenaltySampling, SamplingSettings
from voiceclone_worker.engines.fish.weights import SpeechTokens, Weights, read_weights
from voiceclone_worker.runtime import Channel, exit_with_parent
from voiceclone_worker.telemetry import refuse_telemetry
from voiceclone_worker.tools import run_tool

FRAMES_PER_SECOND = 44100 / 2048
"""Of speech."""

_DRAWN_ROWS = 512
"""Rows of a matrix that are drawn; the others repeat them."""


_TINY = TransformerShape(64, 2, 4, 2, 16, 192, 1e-6, 1e6, head_norms=True)

SHAPES: Mapping[str, ModelShape] = {
    "tiny": replace(
        S1.published,
        slow=_TINY,
        fast=replace(_TINY, head_norms=False),
        vocabulary=2048,
        codebook_size=1024,
        window=2048,
    ),
    "s1-mini": S1.published,
    "s2-pro": S2.published,
}
"""``tiny`` for trials of this program; the others are the published shapes."""

SIZES: Mapping[str, tuple[str, ...]] = {"tiny": ("tiny",), "published": ("s1-mini", "s2-pro")}

BATCHES: Mapping[str, tuple[int, ...]] = {"tiny": (1, 4), "published": (1, 4, 16, 32, 64)}

COMPILED_BATCHES = (1, 32)
"""Compiling takes a minute or more, so it is tried with few of them."""


def drawn_weights(shape: ModelShape, device: torch.device, dtype: torch.dtype) -> Weights:
    """Return random weights of this shape."""
    random = torch.Generator().manual_seed(0)
    drawn: dict[tuple[int, ...], Tensor] = {}

    def draw(*size: int) -> Tensor:
        if size not in drawn:
            base = torch.randn(min(size[0], _DRAWN_ROWS), *size[1:], generator=random)
            base = 1 + 0.1 * base if len(size) == 1 else base / size[-1] ** 0.5
            repeats = -(-size[0] // len(base))
            drawn[size] = base.to(dtype).repeat(repeats, *[1] * (len(size) - 1))[: size[0]].contiguous()
        return drawn[size]

    tensors = {name: draw(*size) for name, size in tensor_sizes(shape).items()}
    size = sum(tensor.nbytes for tensor in tensors.values())
    last = shape.vocabulary - 1
    tokens = SpeechTokens(last - shape.codebook_size, last - 1, last)
    return read_weights(tensors, size, shape, tokens, device, dtype)


def recorded(device: torch.device) -> Callable[[Model], FrameRunner]:
    """Return the runner of recorded steps; on the CPU, which records nothing, the same step runs as it is."""
    make: Callable[[], Record] = CudaGraphs if device.type == "cuda" else lambda: lambda function: function
    return lambda model: RecordedRunner(model, make)


def decoder_of(
    shape: ModelShape,
    device: torch.device,
    dtype: torch.dtype,
    make_runner: Callable[[Model], FrameRunner],
    *,
    compiled: bool = False,
) -> Decoder:
    """Return a decoder with random weights."""
    weights = drawn_weights(shape, device, dtype)
    sampling = PenaltySampling(weights, SamplingSettings())
    return Decoder(weights, sampling, 1, compiled=compiled, make_runner=make_runner)


def submit(decoder: Decoder, shape: ModelShape, count: int, prompt: int, frames: int) -> None:
    """Submit lines of ``frames`` frames whose voice has a prompt of so many positions."""
    random = torch.Generator().manual_seed(1)
    voice = torch.zeros(shape.codebooks + 1, prompt, dtype=torch.long)
    voice[0] = torch.randint(0, shape.vocabulary - shape.codebook_size - 1, (prompt,), generator=random)
    decoder.slots = count
    for number in range(count):
        decoder.submit(DecoderLine(voice, voice[:, : 8 + number % 8], number, frames, tag=number))


def decode(decoder: Decoder) -> dict[int, Tensor]:
    """Return the codes of every line."""
    codes = {}
    while decoder.busy:
        codes |= {line.tag: line.codes for line in decoder.step()}
    return codes


class Measurement:
    """The measurements of one device, until ``seconds`` have passed; what no time is left for is named."""

    def __init__(self, device: torch.device, size: str, seconds: float, emit: Emit) -> None:
        self._device, self._size, self._emit = device, size, emit
        self._until = time.monotonic() + seconds
        self.omitted: list[str] = []
        self._dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
        self._prompt, self._frames = (40, 16) if size == "tiny" else (300, 64)

    def all(self) -> dict[str, Any]:
        """Measure everything."""
        shapes: dict[str, Any] = {}
        answer = {
            "device": self._name(),
            "torch": torch.__version__,
            "precision": str(self._dtype).removeprefix("torch."),
            "bandwidth_gb_s": self._bandwidth() / 1e9,
            "equal_to_cpu": self._equality(),
            "out_of_memory": self._recovery(),
            "shapes": shapes,
            "omitted": self.omitted,
        }
        for name in SIZES[self._size]:
            shapes[name] = self._shape(name, answer["bandwidth_gb_s"] * 1e9)
        return answer

    def _name(self) -> str:
        return torch.cuda.get_device_name(self._device) if self._device.type == "cuda" else "cpu"

    def _wait(self) -> float:
        """Wait for the device, and return the time."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()

    def _bandwidth(self) -> float:
        """Bytes a second that a sum reads."""
        numbers = torch.ones(2**30 if self._device.type == "cuda" else 2**24, device=self._device)
        numbers.sum()
        started = self._wait()
        for _ in range(5):
            numbers.sum()
        return 5 * numbers.nbytes / (self._wait() - started)

    def _equality(self) -> dict[str, int]:
        """Decode lines in float32 on the CPU and on the device, and count those with the same codes."""
        shape, cpu, count = SHAPES["tiny"], torch.device("cpu"), 8
        self._tell("comparing codes in float32")

        def codes(device: torch.device, make_runner: Callable[[Model], FrameRunner]) -> dict[int, Tensor]:
            decoder = decoder_of(shape, device, torch.float32, make_runner)
            submit(decoder, shape, count, 40, 24)
            decoder.slots = 3
            return decode(decoder)

        expected = codes(cpu, PlainRunner)
        found = {
            "plain": codes(self._device, PlainRunner),
            "captured": codes(self._device, recorded(self._device)),
        }
        equal = {
            name: sum(torch.equal(rows[number], expected[number]) for number in range(count))
            for name, rows in found.items()
        }
        return {"lines": count, **equal}

    def _recovery(self) -> dict[str, Any]:
        """Decode lines for whose caches there is too little memory at first, as the engine does."""
        shape, count = SHAPES["tiny"], 8
        self._tell("running out of memory")
        decoder = decoder_of(shape, self._device, torch.float32, recorded(self._device))
        real, simulated = decoder.model.cache, self._device.type != "cuda"

        def cache(slots: int, positions: int) -> Any:
            if slots > 2:
                if not simulated:
                    # More than the device has: its own error.
                    free, _ = torch.cuda.mem_get_info(self._device)
                    torch.empty(4 * free, dtype=torch.uint8, device=self._device)
                raise torch.OutOfMemoryError("out of memory")
            return real(slots, positions)

        decoder.model.cache = cache  # type: ignore[method-assign]
        submit(decoder, shape, count, 40, 12)
        ended, tried = 0, []
        while decoder.busy:
            try:
                ended += len(decoder.step())
            except torch.OutOfMemoryError:
                tried.append(decoder.slots)
            else:
                continue
            decoder.halve()
        return {"lines": count, "decoded": ended, "tried": tried, "simulated": simulated}

    def _shape(self, name: str, bandwidth: float) -> dict[str, Any]:
        shape, dtype = SHAPES[name], self._dtype
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
        started = self._wait()
        decoder = decoder_of(shape, self._device, dtype, PlainRunner)
        rows: list[dict[str, Any]] = []
        answer: dict[str, Any] = {
            "weights_bytes_a_frame": decoder.model.nbytes_per_frame,
            "load_seconds": self._wait() - started,
            "prefill_seconds": self._prefill(decoder, shape),
            "frames": rows,
        }
        for mode in ("plain", "captured", "compiled"):
            if mode != "plain":
                if mode == "compiled" and self._device.type != "cuda":
                    self.omitted.append(f"{name}, compiled: only on a GPU")
                    break
                del decoder  # there may be no memory for two
                runner = recorded(self._device)
                decoder = decoder_of(shape, self._device, dtype, runner, compiled=mode == "compiled")
            for batch in BATCHES[self._size]:
                if mode == "compiled" and batch not in COMPILED_BATCHES:
                    continue
                if time.monotonic() > self._until:
                    self.omitted.append(f"{name}, {mode}, {batch} rows: no time was left")
                    continue
                self._tell(f"{name}, {mode}, {batch} rows")
                rows.append({"mode": mode, "batch": batch, **self._speed(decoder, shape, batch, bandwidth)})
        if self._device.type == "cuda":
            answer["peak_bytes"] = torch.cuda.max_memory_allocated(self._device)
        return answer

    def _prefill(self, decoder: Decoder, shape: ModelShape) -> float:
        """Seconds in which the prompt of a voice, a text and a first frame are computed, after a first time."""
        seconds = 0.0
        for _ in range(2):
            started = self._wait()
            submit(decoder, shape, 1, self._prompt, 1)
            decode(decoder)
            seconds = self._wait() - started
            decoder.clear()
        return seconds

    def _speed(self, decoder: Decoder, shape: ModelShape, batch: int, bandwidth: float) -> dict[str, float]:
        submit(decoder, shape, batch, self._prompt, self._frames)
        # The first step reads the prompts, and records.
        early = sum(line.codes.shape[1] for line in decoder.step())
        early += sum(frames for _, frames in decoder.progress())
        started = self._wait()
        codes = decode(decoder)
        seconds = self._wait() - started
        decoder.clear()
        speed = (sum(row.shape[1] for row in codes.values()) - early) / seconds
        steps = speed / batch
        return {
            "frames_a_second": speed,
            "times_real_time": speed / FRAMES_PER_SECOND,
            "of_roofline": steps * decoder.model.nbytes_per_frame / bandwidth,
        }

    def _tell(self, note: str) -> None:
        self._emit("measuring", note=note)


def measure(arguments: Sequence[str], emit: Emit) -> dict[str, Any]:
    """Measure ``DEVICE SIZE SECONDS``: a device of torch, a name of ``SIZES``, and when to begin nothing more.

    Raises EngineError ``bad_device`` where there is no such device, ``gpu_usage``.
    """
    match list(arguments):
        case [name, size, seconds] if size in SIZES and name in ("cuda", "cpu") and seconds.isdecimal():
            if name == "cuda" and not torch.cuda.is_available():
                raise EngineError(
                    "bad_device",
                    f"there is no GPU that this torch ({torch.__version__}) can use, so there is nothing to measure; "
                    "--device cpu --size tiny tries the program itself",
                )
            return Measurement(torch.device(name), size, float(seconds), emit).all()
    raise EngineError("gpu_usage", f"say: cuda|cpu {'|'.join(SIZES)} SECONDS")


if __name__ == "__main__":
    refuse_telemetry()
    exit_with_parent(serving=False)
    raise SystemExit(run_tool(sys.argv[2:], Channel(), {"measure": measure}))
