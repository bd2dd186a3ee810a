"""Memory of workers with the fish engine: what a model takes, what its device has, and what follows from both.

What is taken is computed from config.json and the sizes of the files; nothing is loaded. `python -m benchmarks.memory`
compares it with what a worker takes. Sizes are in bytes.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from voiceclone_cli.config import PARALLEL, RAY, Settings
from voiceclone_cli.engines.checkpoint import S1_MINI, S2_PRO, Checkpoint, generation_of, weight_files
from voiceclone_cli.errors import PreflightError
from voiceclone_cli.system import has_nvidia_gpu, machine_memory
from voiceclone_cli.workers.process import ask_tool, worker_command
from voiceclone_worker.engines.fish.configuration import read_config
from voiceclone_worker.engines.fish.layout import (
    INDEX,
    RESIDUAL_CODES,
    ModelShape,
    TransformerShape,
    block_sizes,
    bytes_of_stored,
)

PROMPT_POSITIONS = 450
"""Of a voice: a reference of 15 s, and its words."""

CACHE_POSITIONS = 1536
"""Of the key-value cache for each row of a batch: the voice's, the line's, and its speech of up to 48 s."""

REFERENCE_SECONDS = 15.0

EXAMINE_SECONDS = 24.0
"""Importing torch and fish-speech takes three seconds; from a cold disk, several times that."""

BYTES = {"float32": 4, "bf16": 2, "fp16": 2, "int8": 1}
"""Of a weight of the products, by precision."""

MOST_ROWS = 64
"""Lines at a time that are chosen for a GPU: more make each line wait, and the speed is that of the arithmetic by then."""

_PROCESS = 240_000_000
"""Python with torch and fish-speech imported, 175 MB, and what their libraries keep from their first use (measured)."""
_CONTEXT = 500_000_000
"""What CUDA takes of a device before anything is computed (not measured)."""
_FILTERS = 0.21
"""Share of codec.pth that are filters, whose weights are computed at load; the others stay mapped from the file."""
_CHANNELS = 64
"""First channels of the published codec; a codec with fewer takes less for its results."""
_ENCODING, _ENCODING_SECOND = 4.7e6, 0.5e6
"""What encoding a reference takes for each of these channels, and more for each second (measured)."""
_DECODING = 6.0e6
"""What decoding a line takes for each of these channels (measured)."""
_RESERVE = 0.9
"""Share of a GPU's free memory that is planned with."""


@dataclass(frozen=True, slots=True)
class FishMemory:
    """Memory of a worker, by what it is for.

    On the CPU it is what cannot be dropped and read again: weights that stay mapped from their files do not count.
    """

    process: int
    """The process itself; on a GPU its context there."""
    weights: int
    """Of both transformers, in their precision."""
    codec: int
    position: int
    """Keys and values of one position of one row."""
    rows: int
    encoding: int
    """Results of the codec for the references that are encoded at a time; then they are free again."""
    speaking: int
    """Results of the transformers for a voice's prompt, and of the codec for lines."""
    positions: int = CACHE_POSITIONS
    mapped: int = 0
    """Of files that stay mapped: all workers share it, and the system may drop it and read it again."""

    @property
    def cache(self) -> int:
        """Keys and values of all rows, and of one voice."""
        return self.position * (self.positions * self.rows + PROMPT_POSITIONS)

    @property
    def total(self) -> int:
        """The most that is taken at any time."""
        return self.process + self.weights + self.codec + max(self.encoding, self.cache + self.speaking)

    def __str__(self) -> str:
        rows = "1 row" if self.rows == 1 else f"{self.rows} rows"
        results = max(self.speaking, self.encoding - self.cache)
        return (
            f"weights {size_text(self.weights)}, codec {size_text(self.codec)}, keys and values {size_text(self.cache)} "
            f"({rows} of {self.positions} positions of {self.position / 1024:.0f} KiB), results {size_text(results)}, "
            f"process {size_text(self.process)}"
        )


def fish_memory(
    folder: Path, precision: str, rows: int, *, on_gpu: bool = False, encoded: int = 1, threads: int = 1
) -> FishMemory:
    """Return the memory of a worker with the checkpoint in ``folder`` that generates ``rows`` lines together.

    ``precision`` is one of float32, bf16, fp16, int8; ``encoded`` references are encoded at a time, and lines are
    decoded on ``threads``. With ``on_gpu`` it is the memory of the GPU, where one reference is the least: several are
    encoded together only where there is room. Raises PreflightError ``checkpoint_unusable``.
    """
    try:
        generation = generation_of(folder)
        shape = generation.layout.shape(read_config(folder, generation.layout.model_type))
        names = [name for name in weight_files(folder) if name != INDEX]
        stored = max(bytes_of_stored(folder / name) for name in names)
        codec = (folder / "codec.pth").stat().st_size
        channels = _codec_channels(folder)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise PreflightError(
            f"the checkpoint {folder} cannot be read ({error}): fetch or make it again",
            code="checkpoint_unusable",
        ) from error
    # int8 is for weights: results stay in a format that sums can be made in.
    each = max(2, BYTES[precision])
    slow = shape.slow
    keys = 2 * slow.layers * slow.key_heads * slow.head_size
    encoding = encoded * channels * (_ENCODING + _ENCODING_SECOND * REFERENCE_SECONDS)
    attended = slow.heads * PROMPT_POSITIONS**2
    wide = 3 * slow.inner + 4 * slow.width + (slow.heads + 2 * slow.key_heads) * slow.head_size
    speaking = (attended + wide * PROMPT_POSITIONS) * each + channels * _DECODING * min(rows, threads)
    return FishMemory(
        process=_CONTEXT if on_gpu else _PROCESS,
        weights=_weights(shape, precision, stored, on_gpu=on_gpu),
        codec=codec if on_gpu else round(_FILTERS * codec),
        position=keys * each,
        rows=rows,
        encoding=round(encoding),
        speaking=round(speaking),
        mapped=0 if on_gpu else round((1 - _FILTERS) * codec),
    )


def _weights(shape: ModelShape, precision: str, stored: int, *, on_gpu: bool) -> int:
    """Return the bytes of both transformers; ``stored`` are those of a number in the files."""
    slow, fast, each = shape.slow, shape.fast, max(2, BYTES[precision])
    # On a GPU int8 is for the slow transformer's blocks alone.
    other = each if on_gpu else BYTES[precision]
    heads = (shape.codebook_size + 1) * slow.width + min(RESIDUAL_CODES, shape.codebook_size) * fast.width
    products = BYTES[precision] * _numbers(slow) + other * (_numbers(fast) + heads)
    tables = (shape.vocabulary + shape.codebooks * shape.codebook_size) * slow.width
    tables += shape.codebook_size * fast.width
    # Tables of which a few rows are read stay mapped from the file, where they need no conversion.
    is_mapped = not on_gpu and stored == each
    rotations = 4 * (shape.window * slow.head_size + shape.codebooks * fast.head_size)
    return products + (0 if is_mapped else tables * each) + rotations


def _numbers(side: TransformerShape) -> int:
    return side.layers * sum(map(math.prod, block_sizes(side).values()))


def _codec_channels(folder: Path) -> int:
    """Return the first channels of a checkpoint's codec. Raises OSError, ValueError."""
    own = folder / "codec.yaml"
    if not own.is_file():
        return _CHANNELS
    # Read as YAML by the worker, which checks it; here one number is enough.
    for line in own.read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name == "encoder_dim" and value.strip().isdecimal():
            return min(int(value), 4096)
    return _CHANNELS


def size_text(size: int) -> str:
    """Return a number of bytes as text: "9.1 GB", "27 MB"."""
    return gigabytes(size) if size >= 1e8 else f"{size / 1e6:.0f} MB"


def gigabytes(size: float) -> str:
    """Return a number of bytes as text: "9.1 GB"."""
    return f"{size / 1e9:.1f} GB"


# What the device has


class DeviceMemory(NamedTuple):
    """Device of the workers as their interpreter sees it."""

    device: str
    """ "cpu", "mps", "cuda" or "cuda:0"."""
    precision: str
    label: str
    """Its name."""
    free: int | None
    """None where it is not known."""
    devices: int = 1
    """Number of devices that workers are distributed over."""


def read_device(examined: Mapping[str, Any], wanted: str) -> DeviceMemory | str:
    """Return the device that the worker's tool ``examine`` found for --device ``wanted``, or why it is not known.

    Of several GPUs it is the one with the least free memory.
    """
    place = examined["place"]
    if "error" in place:
        return str(place["error"])
    device = str(place["device"]).partition(":")[0]
    if device == "mps":  # its memory is that of the machine
        memory = machine_memory()
        return DeviceMemory(device, place["precision"], "mps", memory.available if memory else None)
    if device != "cuda" or not examined["cuda"]:
        return DeviceMemory(device, place["precision"], device, None)
    _, _, number = wanted.partition(":")
    cards = [examined["cuda"][int(number)]] if number else examined["cuda"]
    card = min(cards, key=lambda card: card["free_mb"])
    return DeviceMemory(device, place["precision"], card["name"], card["free_mb"] * 1_000_000, len(cards))


@cache
def device_memory(
    python: str, device: str, precision: str, seconds: float = EXAMINE_SECONDS
) -> DeviceMemory | str:
    """Return the device of workers in the interpreter ``python``, or why it is not known.

    It is looked at once in a process: what is free is counted before this process' own workers take it.
    """
    try:
        answer = ask_tool(
            worker_command(python, threads=1), "examine", ["", device, precision], seconds=seconds
        )
    except PreflightError as error:
        return error.message
    return read_device(answer, device)


def choose(
    found: Mapping[str, Checkpoint], settings: Settings, look: Callable[[], DeviceMemory | str]
) -> Checkpoint:
    """Return the checkpoint to take of those here, by the name of their weights, with the reason.

    It is s2-pro where the device has the memory for it, else openaudio-s1-mini. ``look`` finds out the device.
    Raises PreflightError ``checkpoint_unusable``.
    """
    if len(found) == 1:
        return next(iter(found.values()))
    name, reason = _choice(found, settings, look)
    other = S1_MINI if name == S2_PRO else S2_PRO
    return replace(
        found[name], why=f"the checkpoint {name} is taken and not {other}, which is here too: {reason}"
    )


def _choice(
    found: Mapping[str, Checkpoint], settings: Settings, look: Callable[[], DeviceMemory | str]
) -> tuple[str, str]:
    named = f"--checkpoint {S2_PRO} takes it all the same"
    if settings.executor == RAY:
        return S1_MINI, f"the memory of the nodes is not known here; {named}"
    device = "cpu" if settings.device == "cpu" else look()
    if isinstance(device, DeviceMemory) and device.device == "cpu":
        device = "cpu"
    if device == "cpu":
        return (
            S1_MINI,
            f"{S2_PRO} is meant for a GPU: a frame of speech takes 8 times the work; {named}",
        )
    if isinstance(device, str):
        return S1_MINI, f"the memory of the device is not known ({device}); {named}"
    if device.free is None:
        return S1_MINI, f"the memory of the device {device.label} is not known; {named}"
    memory = fish_memory(found[S2_PRO].folder, device.precision, settings.batch_size, on_gpu=True)
    workers = _workers_each(settings, device)
    needed = workers * memory.total
    each = "" if workers == 1 else f" for {workers} workers"
    takes = f"{S2_PRO} takes {gigabytes(needed)}{each}, computed, and {gigabytes(device.free)} are free on {device.label}"
    if needed <= device.free:
        return S2_PRO, takes
    return S1_MINI, f"{takes}; a smaller FISH_BATCH_SIZE or fewer workers take less"


def _workers_each(settings: Settings, device: DeviceMemory) -> int:
    """Return how many workers share a device; where their number is left to be chosen, one has it for itself."""
    return 1 if settings.is_default("workers") else math.ceil(settings.pool_size / device.devices)


# What is left to be chosen


def fit_to_device(
    settings: Settings, checkpoint: Path, look: Callable[[], DeviceMemory | str]
) -> tuple[Settings, tuple[str, ...]]:
    """Return the settings with a number of workers and of lines at a time for the GPUs, and a sentence on each.

    What the user has set stays, and so does everything without a GPU, or where its memory is not known: on the CPU more
    lines at a time take memory, and hardly less time. ``look`` finds out the device. Raises PreflightError
    ``checkpoint_unusable``.
    """
    chosen = [name for name in ("workers", "batch_size") if settings.is_default(name)]
    may_be_gpu = settings.device.startswith("cuda") or (settings.device == "auto" and has_nvidia_gpu())
    if not chosen or not may_be_gpu or settings.executor == RAY:
        return settings, ()
    device = look()
    if isinstance(device, str) or not device.device.startswith("cuda") or device.free is None:
        return settings, ()
    notes = []
    if "workers" in chosen and settings.mode == PARALLEL:
        settings = replace(settings, workers=device.devices)
        gpus = "the GPU" if device.devices == 1 else f"each of {device.devices} GPUs"
        notes.append(
            f"1 worker for {gpus}, since workers on one share nothing (FISH_NUM_WORKERS sets another number)"
        )
    if "batch_size" in chosen:
        workers = _workers_each(settings, device) if "workers" not in chosen else 1
        rows, needed = _most_rows(checkpoint, device, workers)
        settings = replace(settings, batch_size=rows)
        notes.append(
            f"{rows} lines at a time, for which {gigabytes(workers * needed)} of the {gigabytes(device.free)} that are "
            f"free on {device.label} are taken, computed (FISH_BATCH_SIZE sets another number)"
        )
    return settings, tuple(notes)


def _most_rows(checkpoint: Path, device: DeviceMemory, workers: int) -> tuple[int, int]:
    """Return the rows of each of these workers that the device has the memory for, and what a worker takes."""
    assert device.free is not None
    rows = MOST_ROWS
    while True:
        needed = fish_memory(checkpoint, device.precision, rows, on_gpu=True).total
        if rows == 1 or workers * needed <= _RESERVE * device.free:
            return rows, needed
        rows //= 2  # a recorded step has a power of two of rows, whatever is asked for
