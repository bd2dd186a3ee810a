"""Checkpoints of the fish engine: their generations and files, the memory they take, and which of several is taken.

Nothing is loaded and nothing of a file is trusted: a folder may come from a stranger. Sizes are in bytes.
"""

from __future__ import annotations

import json
import math
import re
import struct
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from voiceclone_cli.config import RAY, Settings
from voiceclone_cli.errors import PreflightError
from voiceclone_cli.system import machine_memory
from voiceclone_cli.workers.process import ask_tool, worker_command
from voiceclone_worker.engines import ENGINES

S1_MINI, S2_PRO = "openaudio-s1-mini", "s2-pro"

CACHE_POSITIONS = 1536
"""Of the key-value cache for each row of a batch: a reference of 15 s, its words, the line, and its speech."""

EXAMINE_SECONDS = 24.0
"""Importing torch and fish-speech takes three seconds; from a cold disk, several times that."""

BYTES = {"float32": 4, "bf16": 2, "fp16": 2, "int8": 1}
"""Of a number, by precision."""

_INDEX, _SINGLE = "model.safetensors.index.json", "model.safetensors"
_MAX_JSON_BYTES = 16 << 20
"""config.json of a model has a thousand, the index of s2-pro 33 thousand."""


@dataclass(frozen=True, slots=True)
class CheckpointKind:
    """A generation of fish-speech's models."""

    name: str
    model: str
    """Name of its published weights in the model registry."""
    files: tuple[str, ...]
    """Files of its checkpoints besides those with the weights."""
    sampling: Mapping[str, float] = field(hash=False)
    """Options of the engine. They are part of the task, so that a segment's fingerprint covers them."""
    notice: str
    """Sentence on the licence of the published weights, shown at the first run."""
    languages: frozenset[str]
    """ISO 639-1 codes of the languages that its makers state."""


_S2_LANGUAGES = re.findall(
    r"\w+",
    """
    af am ar as az be bg bn bo br bs ca cs cy da de el en es et eu fa fi fo fr gl gu he hi hr ht hu hy
    id is it ja jv ka kk km kn ko la lt lv mi ml mn mr ms my nb ne nl nn no pa pl ps pt ro ru sa sd si
    sk sl sn sq sr sv sw ta te th tl tr uk ur vi yi yo zh
    """,
)
"""As the model's card states them."""

S1 = CheckpointKind(
    "S1",
    S1_MINI,
    ("config.json", "tokenizer.tiktoken", "special_tokens.json", "codec.pth"),
    # fish-speech's own.
    {"temperature": 0.7, "top_p": 0.7, "repetition_penalty": 1.2, "max_new_tokens": 1024},
    ENGINES["fish"].license_notice,
    ENGINES["fish"].languages or frozenset(),
)
S2 = CheckpointKind(
    "S2",
    S2_PRO,
    ("config.json", "tokenizer.json", "codec.pth"),
    # Those of upstream's server; its rule against repetition has no number to set.
    {"temperature": 0.8, "top_p": 0.8, "max_new_tokens": 1024},
    f"The published weights of {S2_PRO} are licensed for research and non-commercial use only "
    "(Fish Audio Research License, https://huggingface.co/fishaudio/s2-pro).",
    frozenset(_S2_LANGUAGES),
)
GENERATIONS = {generation.model: generation for generation in (S2, S1)}
"""By the name of the published weights, the better one first."""

GENERATED_NOTICE = (
    "The weights were generated from random numbers: they speak no words, and are free for any use."
)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A whole checkpoint on this machine."""

    folder: Path
    generation: CheckpointKind
    name: str = ""
    """Of published weights that were found by their name; empty for a folder that the user names."""
    why: str = ""
    """Sentence on why this one; empty where there was no choice."""

    @property
    def is_generated(self) -> bool:
        """Whether the weights are random, made by `python -m benchmarks.random_checkpoint`."""
        return is_generated(self.folder)


def is_generated(folder: Path) -> bool:
    """Return whether the weights are random, made by `python -m benchmarks.random_checkpoint`."""
    return (folder / "generated.json").is_file()


def generated_note(folder: Path) -> str:
    """Return the sentence for the user of a generated checkpoint."""
    return f"the checkpoint {folder} was generated: it speaks no words"


def licence_notice(folder: Path) -> tuple[str, str]:
    """Return the sentence on the licence of a checkpoint's weights, and the name under which it is remembered."""
    if is_generated(folder):
        return "fish-generated", GENERATED_NOTICE
    try:
        generation = generation_of(folder)
    except (PreflightError, OSError):
        return "fish", ""  # what cannot be read is not spoken with, and the worker says why
    return "fish" if generation is S1 else f"fish-{generation.name.lower()}", generation.notice


# Generations and their files


def generation_of(folder: Path, what: str = "the checkpoint") -> CheckpointKind:
    """Return the generation of the checkpoint in ``folder``, by its content.

    ``what`` names the checkpoint in an error. Raises OSError, and PreflightError ``checkpoint_unusable`` for a
    config.json that holds no configuration.
    """
    if (folder / "config.json").is_file():
        config = _read_object(folder, "config.json", what)
        if not isinstance(config.get("model_type"), str):
            raise _unusable(folder, "config.json", what)
        return S2 if config["model_type"] == "fish_qwen3_omni" else S1
    has_shards = (folder / _INDEX).exists() or any(folder.glob("*.safetensors"))
    return S2 if has_shards and not (folder / "model.pth").exists() else S1


def weight_files(folder: Path, what: str = "the checkpoint") -> tuple[str, ...]:
    """Return the names of the files with a checkpoint's weights; of S2, the shards that its index names.

    Raises OSError, and PreflightError ``checkpoint_unusable`` for an index that names no files.
    """
    if generation_of(folder, what) is S1:
        return ("model.pth",)
    if not (folder / _INDEX).is_file():
        return (_SINGLE,) if (folder / _SINGLE).is_file() else (_INDEX,)
    table = _read_object(folder, _INDEX, what).get("weight_map")
    names = sorted(set(table.values())) if isinstance(table, dict) and _are_shards(table.values()) else []
    if not names:
        raise _unusable(folder, _INDEX, what)
    return (_INDEX, *names)


def _are_shards(names: Any) -> bool:
    """Return whether these are names of files in the folder itself, and not paths to anywhere."""
    return all(
        isinstance(name, str)
        and name.endswith(".safetensors")
        and not name.startswith(".")
        and not set(name) & set("/\\:\0")
        for name in names
    )


def required_files(folder: Path, what: str = "the checkpoint") -> tuple[str, ...]:
    """Return the files that the checkpoint in ``folder`` has to have. Raises as `weight_files` does."""
    config, *rest = generation_of(folder, what).files
    return (config, *weight_files(folder, what), *rest)


def missing_files(folder: Path, what: str = "the checkpoint") -> list[str]:
    """Return the files of a checkpoint that are not in ``folder``; a pointer of git-lfs does not count."""
    return [name for name in required_files(folder, what) if not _exists(folder / name)]


def checked(folder: Path, what: str, name: str = "") -> Checkpoint:
    """Return the checkpoint in ``folder``, which must be whole.

    ``what`` says which one it is in an error, ``name`` of which published weights. Raises PreflightError:
    ``checkpoint_missing``, ``checkpoint_incomplete``, ``checkpoint_unusable``.
    """
    if not folder.is_dir():
        problem = "is a file, not the folder of a checkpoint" if folder.exists() else "does not exist"
        raise PreflightError(
            f"{what}, {folder}, {problem}: name {' or '.join(GENERATIONS)}, or a folder with the files of one",
            code="checkpoint_missing",
        )
    try:
        generation, missing = generation_of(folder, what), missing_files(folder, what)
    except OSError as error:
        raise PreflightError(
            f"{what}, {folder}, cannot be read ({error.strerror}): give yourself the right to, or name another",
            code="checkpoint_unusable",
        ) from error
    if missing:
        raise PreflightError(
            f"{what}, {folder}, lacks {', '.join(missing)}: download it again as a whole, "
            "or name another with --checkpoint",
            code="checkpoint_incomplete",
        )
    return Checkpoint(folder, generation, name)


def _exists(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        # A clone without git-lfs has such a pointer instead of a large file.
        return not file.read(40).startswith(b"version https://git-lfs")


def _read_object(folder: Path, name: str, what: str) -> dict[str, Any]:
    try:
        with (folder / name).open(encoding="utf-8") as file:
            content = json.loads(file.read(_MAX_JSON_BYTES))
    except (ValueError, RecursionError) as error:
        raise _unusable(folder, name, what) from error
    if not isinstance(content, dict):
        raise _unusable(folder, name, what)
    return content


def _unusable(folder: Path, name: str, what: str) -> PreflightError:
    return PreflightError(
        f"{name} of {what}, {folder}, is not that of a fish-speech model: download it again",
        code="checkpoint_unusable",
    )


# Memory: computed from the files


@dataclass(frozen=True, slots=True)
class FishMemory:
    """Memory that a worker's model takes on its device, computed from the files of the checkpoint."""

    weights: int
    codec: int
    position: int
    """Keys and values of one position of one row."""
    rows: int
    positions: int = CACHE_POSITIONS

    @property
    def cache(self) -> int:
        """Keys and values of all rows."""
        return self.position * self.positions * self.rows

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.codec + self.cache

    def __str__(self) -> str:
        rows = "1 row" if self.rows == 1 else f"{self.rows} rows"
        return (
            f"weights {size_text(self.weights)}, codec {size_text(self.codec)}, keys and values {size_text(self.cache)} "
            f"({rows} of {self.positions} positions of {self.position / 1024:.0f} KiB)"
        )


def fish_memory(folder: Path, precision: str, rows: int) -> FishMemory:
    """Return the memory of a worker with the checkpoint in ``folder`` that generates ``rows`` lines together.

    ``precision`` is one of float32, bf16, fp16, int8. Raises PreflightError ``checkpoint_unusable``.
    """
    try:
        generation = generation_of(folder)
        config = _read_object(folder, "config.json", "the checkpoint")
        sizes = config["text_config"] if generation is S2 else config
        width = sizes.get("head_dim") or sizes["dim"] // sizes["n_head"]
        values = 2 * sizes["n_layer"] * (sizes.get("n_local_heads") or sizes["n_head"]) * width
        names = [name for name in weight_files(folder) if name != _INDEX]
        count = _saved_numbers if generation is S1 else _shard_numbers
        parameters = sum(count(folder / name) for name in names)
        codec = (folder / "codec.pth").stat().st_size
        # int8 is for the weights alone: the cache stays in a format that sums can be made in.
        position = values * max(2, BYTES[precision])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise PreflightError(
            f"the checkpoint {folder} cannot be read ({error}): fetch or make it again",
            code="checkpoint_unusable",
        ) from error
    return FishMemory(parameters * BYTES[precision], codec, position, rows)


def _saved_numbers(path: Path) -> int:
    """Return about how many numbers a file of torch.save has. Raises OSError, ValueError, BadZipFile."""
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith("data.pkl")]
        if not names:
            raise ValueError("it is no file of weights")
        # Its index names the type of its numbers.
        index = archive.read(names[0])
    return path.stat().st_size // (2 if b"BFloat16Storage" in index or b"HalfStorage" in index else 4)


def _shard_numbers(path: Path) -> int:
    """Return how many numbers a file of safetensors has, by its header. Raises OSError, ValueError."""
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else _MAX_JSON_BYTES
        header = json.loads(file.read(length)) if length < _MAX_JSON_BYTES else None
    if not isinstance(header, dict):
        raise ValueError(f"{path.name} is no file of weights")
    shapes = [tensor["shape"] for name, tensor in header.items() if name != "__metadata__"]
    return sum(math.prod(map(int, shape)) for shape in shapes)


def size_text(size: int) -> str:
    """Return a number of bytes as text: "9.1 GB", "27 MB"."""
    return gigabytes(size) if size >= 1e8 else f"{size / 1e6:.0f} MB"


def gigabytes(size: float) -> str:
    """Return a number of bytes as text: "9.1 GB"."""
    return f"{size / 1e9:.1f} GB"


# The choice between two


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
    memory = fish_memory(found[S2_PRO].folder, device.precision, settings.batch_size)
    workers = math.ceil(settings.pool_size / device.devices)
    needed = workers * memory.total
    each = "" if workers == 1 else f" for {workers} workers"
    takes = f"{S2_PRO} takes {gigabytes(needed)}{each}, computed, and {gigabytes(device.free)} are free on {device.label}"
    if needed <= device.free:
        return S2_PRO, takes
    return S1_MINI, f"{takes}; a smaller FISH_BATCH_SIZE or fewer workers take less"
