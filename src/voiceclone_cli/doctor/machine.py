"""Devices, disk space, and programs beside ours."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from voiceclone_cli.doctor.interpreters import Answer
from voiceclone_cli.doctor.rows import Row, State
from voiceclone_cli.settings import Settings

MB = 1_000_000

ENVIRONMENT_BYTES = 1300 * MB
"""The fish environment with the CPU build of torch."""

OUTPUT_BYTES = 200 * MB
"""Stems, mix and segments of half an hour of two people."""


def device_row(answer: Answer, settings: Settings) -> Row:
    """What can be computed on."""
    found = "; ".join(
        [*map(_card, answer["cuda"]), *(["mps"] if answer["mps"] else []), _cpu(answer, settings)]
    )
    if answer["device_error"]:
        advice = "give the worker's environment another torch (`voiceclone env create --torch ...`)"
        return Row("devices", State.NOTE, f"{found}; torch fails on others: {answer['device_error']}", advice)
    return Row("devices", State.OK, found)


def place_row(answer: Answer, settings: Settings, trouble: State) -> Row:
    """What fish makes of --device and --precision. kokoro computes on the CPU."""
    place = answer["place"]
    if "error" in place:
        asked = f"--device {settings.device} with --precision {settings.precision} cannot be used"
        return Row("precision", trouble, asked, place["error"])
    found = f"fish computes in {place['precision']} on {place['device']}"
    if (place["device"], place["precision"], answer["bf16_native"]) == ("cpu", "bf16", False):
        advice = "use --precision auto: this processor only imitates bfloat16, slowly"
        return Row("precision", State.NOTE, found, advice)
    return Row("precision", State.OK, found)


def espeak_row() -> Row:
    """Languages that kokoro does not read itself are read by the program espeak-ng."""
    program = shutil.which("espeak-ng")
    if program:
        return Row("espeak-ng", State.OK, program)
    return Row(
        "espeak-ng",
        State.NOTE,
        "not installed",
        "install it (apt, brew or winget install espeak-ng) for kokoro to speak more than English and Spanish",
    )


def models_disk_row(home: Path, needed: int) -> Row:
    """Room for the models that a run would fetch, ``needed`` bytes."""
    found = f"{gigabytes(_free(home))} free at {home}"
    if _free(home) >= needed:
        return Row("disk: models", State.OK, found)
    advice = "make room there, or set VOICECLONE_HOME to another disk"
    return Row("disk: models", State.FAIL, f"{found}; what is missing takes {gigabytes(needed)}", advice)


def environment_disk_row(folder: Path) -> Row:
    """Room for a fish environment that is not there yet."""
    found = f"{gigabytes(_free(folder))} free at {folder}; it takes {gigabytes(ENVIRONMENT_BYTES)}"
    if _free(folder) >= ENVIRONMENT_BYTES:
        return Row("disk: fish", State.OK, found)
    return Row("disk: fish", State.NOTE, found, "make room there before `voiceclone env create`")


def working_directory_row() -> Row:
    """Room for what a run leaves, unless --out leads elsewhere."""
    folder = Path.cwd()
    free = _free(folder)
    advice = "name a run directory elsewhere with --out"
    if not os.access(folder, os.W_OK):
        return Row("disk: here", State.NOTE, f"{folder} cannot be written to", advice)
    found = f"{gigabytes(free)} free at {folder}"
    if free < OUTPUT_BYTES:
        return Row("disk: here", State.NOTE, f"{found}; half an hour takes {gigabytes(OUTPUT_BYTES)}", advice)
    return Row("disk: here", State.OK, found)


def gigabytes(size: float) -> str:
    """A number of bytes for people."""
    return f"{size / 1e9:.1f} GB"


def each_of(workers: int) -> str:
    return "the worker" if workers == 1 else f"each of {workers} workers"


def _free(folder: Path) -> int:
    """Bytes free where ``folder`` is, or would be; 0 on a drive that is not there."""
    there = [path for path in (folder.absolute(), *folder.absolute().parents) if path.exists()]
    return shutil.disk_usage(there[0]).free if there else 0


def _card(card: Mapping[str, Any]) -> str:
    return f"cuda: {card['name']}, {card['free_mb'] / 1e3:.1f} of {card['memory_mb'] / 1e3:.1f} GB free"


def _cpu(answer: Answer, settings: Settings) -> str:
    native = {True: " with bfloat16", False: " without bfloat16", None: ""}[answer["bf16_native"]]
    threads = f"threads for {each_of(settings.pool_size)}: {settings.threads_each}"
    return f"cpu{native}, cores: {answer['cores']}, {threads}"
