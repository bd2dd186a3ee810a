"""How much memory a run takes, estimated from its settings and its checkpoint's files."""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voiceclone_cli.doctor.interpreters import Answer
from voiceclone_cli.doctor.machine import MB, each_of, gigabytes
from voiceclone_cli.doctor.rows import Row, State
from voiceclone_cli.errors import PreflightError
from voiceclone_cli.machine.memory import Memory
from voiceclone_cli.settings import Settings

UI_BYTES = 1400 * MB
"""The coordinator's peak, while it diarizes and transcribes."""

KOKORO_BYTES = 1100 * MB
"""A worker with kokoro."""

FISH_BYTES = 600 * MB
"""A worker with torch and fish-speech imported, and what it computes with, without weights and cache."""

POSITIONS = 1536
"""Of the key-value cache, for each row of a batch: a reference of 15 s, its words, the line, and its speech."""

_BYTES = {"float32": 4, "bf16": 2, "fp16": 2, "int8": 1}


@dataclass(frozen=True, slots=True)
class Appetite:
    """What a worker with fish takes, in bytes, beside what every worker does."""

    weights: int
    codec: int
    cache: int

    @property
    def total(self) -> int:
        return self.weights + self.codec + self.cache


def fish_appetite(checkpoint: Path, precision: str, batch_size: int) -> Appetite:
    """``precision`` is one of float32, bf16, fp16, int8. Raises PreflightError for files that are no
    checkpoint."""
    try:
        config = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
        width = config.get("head_dim") or config["dim"] // config["n_head"]
        values = 2 * config["n_layer"] * (config.get("n_local_heads") or config["n_head"]) * width
        numbers = (checkpoint / "model.pth").stat().st_size // _stored_bytes(checkpoint / "model.pth")
        codec = (checkpoint / "codec.pth").stat().st_size
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise PreflightError(
            f"the checkpoint {checkpoint} cannot be read ({error}): fetch or make it again",
            code="checkpoint_unusable",
        ) from error
    # int8 is for the weights alone: what is cached stays in a format that sums can be made in.
    cached = values * max(2, _BYTES[precision]) * POSITIONS * batch_size
    return Appetite(numbers * _BYTES[precision], codec, cached)


def smaller_precisions(place: Mapping[str, Any]) -> list[str]:
    """Return the precisions of the tool examine's ``place`` whose weights take less memory than its own."""
    return [name for name in place["precisions"] if _BYTES[name] < _BYTES[place["precision"]]]


def kokoro_row(memory: Memory | None, settings: Settings) -> Row:
    """Whether the machine holds the command and its workers with kokoro."""
    return _machine_row(memory, KOKORO_BYTES, 0, settings, None)


def cpu_row(memory: Memory | None, appetite: Appetite, settings: Settings, smaller: Sequence[str]) -> Row:
    """Whether the machine holds the command and its workers with fish, all on the CPU."""
    # The codec's weights stay mapped from their file, which all workers share.
    each = FISH_BYTES + appetite.weights + appetite.cache
    return _machine_row(memory, each, appetite.codec, settings, smaller)


def beside_cuda_row(memory: Memory | None, settings: Settings, smaller: Sequence[str]) -> Row:
    """Whether the machine holds the command and its workers with fish, their weights elsewhere."""
    return _machine_row(memory, FISH_BYTES, 0, settings, smaller)


def cuda_row(answer: Answer, appetite: Appetite, settings: Settings, smaller: Sequence[str]) -> Row:
    """Whether the fullest of the CUDA devices in use holds its share of the workers."""
    _, _, number = settings.device.partition(":")
    cards = [answer["cuda"][int(number)]] if number else answer["cuda"]
    card = min(cards, key=lambda card: card["free_mb"])
    memory = Memory(card["memory_mb"] * MB, card["free_mb"] * MB)
    workers = math.ceil(settings.pool_size / len(cards))
    takes = f"{gigabytes(appetite.total)} for {each_of(workers)}"
    advice = _advice(workers, smaller)
    return _judged("memory: cuda", f"{card['name']}, ", memory, workers * appetite.total, takes, advice)


def _machine_row(
    memory: Memory | None, each: int, shared: int, settings: Settings, smaller: Sequence[str] | None
) -> Row:
    """``smaller`` is fish's, None for another engine."""
    if memory is None:
        return Row(
            "memory", State.NOTE, "this system does not tell how much there is", "make sure of it yourself"
        )
    workers = settings.pool_size
    takes = f"{gigabytes(UI_BYTES + shared)} and {gigabytes(each)} for {each_of(workers)}"
    return _judged("memory", "", memory, UI_BYTES + shared + workers * each, takes, _advice(workers, smaller))


def _judged(check: str, name: str, memory: Memory, need: int, takes: str, advice: str) -> Row:
    """Too little in all cannot work; too little that is free may be free when the run needs it."""
    found = (
        f"{name}{gigabytes(memory.available)} of {gigabytes(memory.total)} free; a run takes about {takes}"
    )
    if need <= memory.available:
        return Row(check, State.OK, found)
    return Row(check, State.FAIL if need > memory.total else State.NOTE, found, advice)


def _advice(workers: int, smaller: Sequence[str] | None) -> str:
    ways = ["end other programs"]
    if workers > 1:
        ways.append("set FISH_NUM_WORKERS lower")
    if smaller is None:
        return ", or ".join(ways)
    ways.append("set FISH_BATCH_SIZE lower")
    if smaller:
        ways.append(f"use --precision {' or '.join(smaller)}")
    return f"{', or '.join(ways)}; where memory runs out all the same, fish halves its batch and goes on"


def _stored_bytes(model: Path) -> int:
    """Bytes for each number of a file of torch.save: its index names the type, and is read alone."""
    with zipfile.ZipFile(model) as archive:
        index = next(name for name in archive.namelist() if name.endswith("data.pkl"))
        types = archive.read(index)
    return 2 if b"BFloat16Storage" in types or b"HalfStorage" in types else 4
