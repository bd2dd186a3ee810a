"""How near generation comes to what the memory allows.

    --tool roofline JOB.json

Generating reads every weight for every frame, so no single line can be spoken faster than the memory
delivers them. The job: ``{"checkpoint", "source", "device", "precision", "compile", "batch_sizes": [1, ...]}``. The
answer: ``bandwidth_gb_per_second`` (10^9 bytes, read by summing a large tensor with the same threads),
``bytes_per_frame`` (the slow layers and the rows of the head that are considered once, the fast layers
and their head for each further codebook), ``limit_frames_per_second`` for a single line, and
``measured``: for each batch size the frames a second after the prompt, of all lines together, and for a
single line the ``share`` of the limit that was reached.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from voiceclone_worker.engines.base import Emit, EngineError
from voiceclone_worker.engines.fish.checkpoint import load_model
from voiceclone_worker.engines.fish.device import choose
from voiceclone_worker.engines.fish.generation import prompt
from voiceclone_worker.engines.fish.generation.decoding import Decoder, Line
from voiceclone_worker.engines.fish.generation.sampling import CODES, Sampling, SamplingSettings
from voiceclone_worker.engines.fish.upstream import open_upstream

LARGE = 1_000_000_000
"""Bytes that are summed: far more than any cache holds."""
SUMS = 7
FRAMES = 48
"""Steps that are timed, after ``WARM`` others; the text is long enough for more."""
WARM = 4
REFERENCE_FRAMES = 129
"""Six seconds."""
TEXT = (
    "Every morning the old station fills with people who remember another time, and the river carries "
    "their voices slowly towards the quiet winter garden."
)


def main(arguments: Sequence[str], emit: Emit) -> dict[str, Any]:
    """See the module. Raises EngineError: ``roofline_usage``, and those of the fish engine's loaders."""
    if len(arguments) != 1:
        raise EngineError("roofline_usage", "say: roofline JOB.json")
    try:
        job = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EngineError("roofline_usage", f"the job {arguments[0]} cannot be read: {error}") from error
    return _measure(job)


def _measure(job: dict[str, Any]) -> dict[str, Any]:
    open_upstream(job["source"])
    place = choose(job["device"], job["precision"])
    delivered = bandwidth(place.device)
    model = load_model(Path(job["checkpoint"]), place.device, place.dtype)
    sampling = Sampling(model, SamplingSettings(), int8=place.int8)
    decoder = Decoder(model, sampling, max(job["batch_sizes"]), int8=place.int8, compiled=job["compile"])
    limit = delivered / decoder.model.nbytes_per_frame
    measured: list[dict[str, Any]] = []
    for lines in job["batch_sizes"]:
        speed = lines / step_seconds(decoder, model, lines)
        share = round(speed / limit, 4) if lines == 1 else None
        measured.append({"batch_size": lines, "frames_per_second": round(speed, 3), "share": share})
    return {
        "precision": place.precision,
        "device": str(place.device),
        "threads": torch.get_num_threads(),
        "bandwidth_gb_per_second": round(delivered / 1e9, 3),
        "bytes_per_frame": decoder.model.nbytes_per_frame,
        "limit_frames_per_second": round(limit, 3),
        "measured": measured,
    }


def bandwidth(device: torch.device) -> float:
    """Bytes a second that a sum reads from the device's memory: the best of some."""
    large = torch.ones(LARGE // 4, dtype=torch.float32, device=device)
    best = 0.0
    for _ in range(SUMS):
        started = time.perf_counter()
        large.sum().item()  # .item() waits for a device that works on its own
        best = max(best, large.nbytes / (time.perf_counter() - started))
    return best


def step_seconds(decoder: Decoder, model: Any, lines: int) -> float:
    """The median time of a step that makes a frame for each of ``lines`` lines.

    Raises EngineError ``roofline_unmeasured`` when the checkpoint ends its lines before enough steps.
    """
    codebooks, tokenizer = model.config.num_codebooks, model.tokenizer
    codes = torch.randint(CODES, (codebooks, REFERENCE_FRAMES), generator=torch.Generator().manual_seed(0))
    voice = prompt.voice("roofline", TEXT, codes, tokenizer)
    text = prompt.line(TEXT, tokenizer, codebooks)
    for seed in range(lines):
        decoder.submit(Line(voice, text, seed, WARM + FRAMES))
    seconds = []
    while decoder.busy:
        started = time.perf_counter()
        decoder.step()
        if decoder.active == lines:
            seconds.append(time.perf_counter() - started)
    if len(seconds) <= WARM:
        raise EngineError(
            "roofline_unmeasured", "this checkpoint ends its lines too early to measure its steps"
        )
    return statistics.median(seconds[WARM:])
