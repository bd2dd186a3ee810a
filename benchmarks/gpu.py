"""Whether the fish engine works on this machine's GPU, and how fast: one command, without a network.

    python -m benchmarks.gpu [--json]
    python -m benchmarks.gpu --device cpu --size tiny        a trial of this program

With random weights in both published shapes: codes compared with the CPU's, prefill, frames a second, memory,
recovery from too little memory; then 64 lines by the engine itself. It ends within eight minutes. Exit code 0: the
codes were equal, and no line was lost.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.program import run_program
from benchmarks.random_checkpoint import Size, make_checkpoint
from voiceclone_cli.cli.progress import print_line
from voiceclone_cli.config import Settings, resolve
from voiceclone_cli.engines.fish import fish_checkout, fish_python, require_fish_speech
from voiceclone_cli.errors import InputError
from voiceclone_cli.workers.process import ask_tool, worker_command

PROGRAM = Path(__file__).with_name("gpu_device.py")

_SECONDS = 480.0
_MEASURING_SECONDS = 210
"""After this no further measurement of the decoding begins; the rest is for the one under way, and for the lines."""

_LINES = {"tiny": 8, "published": 64}
_CHECKPOINTS = {"tiny": Size.TINY, "published": Size.S1_MINI}


def main() -> int:
    options = _arguments()
    if options.device == "cpu" and options.size != "tiny":
        raise InputError(
            "The published shapes take hours on a CPU: add --size tiny to try the program.", code="gpu_usage"
        )
    settings = resolve({})
    started = time.monotonic()
    document: dict[str, Any] = {"schema": "voiceclone.gpu/1", "size": options.size}
    document |= _measured(settings, options.device, options.size)
    document["lines"] = _spoken(settings, options.device, options.size, started + _SECONDS)
    document["seconds"] = time.monotonic() - started
    print(json.dumps(document) if options.json else "\n".join(_table(document)))
    return 0 if _is_well(document) else 3


def _measured(settings: Settings, device: str, size: str) -> dict[str, Any]:
    python, checkout = fish_python(settings), fish_checkout(settings)
    require_fish_speech(python, checkout)
    command = replace(worker_command(python, threads=settings.threads), program=PROGRAM)

    def show(event: dict[str, Any]) -> None:
        print_line(str(event.get("note", "")))

    arguments = (device, size, str(_MEASURING_SECONDS))
    return ask_tool(command, "measure", arguments, seconds=_SECONDS, on_event=show)


def _spoken(settings: Settings, device: str, size: str, until: float) -> dict[str, Any]:
    """Return the figures of lines that are spoken by the engine, codec and all; where it fails, the ``error``."""
    with tempfile.TemporaryDirectory(prefix="voiceclone-gpu-") as folder:
        print_line("making a checkpoint")
        checkpoint = make_checkpoint(Path(folder) / "checkpoint", _CHECKPOINTS[size], settings).folder
        count = _LINES[size]
        print_line(f"speaking {count} lines")
        command = [sys.executable, "-m", "benchmarks.compare", "--json", "--quiet", "--no-roofline"]
        command += ["--modes", "sequential", "--speakers", "4", "--segments", str(count)]
        command += ["--checkpoint", str(checkpoint), "--device", device, "--batch-size", "32"]
        try:
            done = subprocess.run(
                command,
                cwd=Path(__file__).parents[1],
                capture_output=True,
                encoding="utf-8",
                timeout=max(1.0, until - time.monotonic()),
            )
        except subprocess.TimeoutExpired:
            return {"asked": count, "error": "they were not spoken in the time that was left"}
    if not done.stdout.strip():
        return {"asked": count, "error": " ".join(done.stderr.split())[-300:]}
    (mode,) = json.loads(done.stdout)["modes"]
    return {"asked": count, **mode}


def _is_well(document: Mapping[str, Any]) -> bool:
    equal, memory, lines = document["equal_to_cpu"], document["out_of_memory"], document["lines"]
    return (
        equal["plain"] == equal["captured"] == equal["lines"]
        and memory["decoded"] == memory["lines"]
        and "error" not in lines
        and not lines["failed"]
    )


def _table(document: Mapping[str, Any]) -> Iterator[str]:
    equal, memory = document["equal_to_cpu"], document["out_of_memory"]
    yield f"{document['device']}, torch {document['torch']}, {document['precision']}"
    yield f"a sum reads {document['bandwidth_gb_s']:.0f} GB/s"
    yield f"lines with the CPU's codes in float32: plain {equal['plain']}, captured {equal['captured']} of {equal['lines']}"
    cause = "simulated lack of memory" if memory["simulated"] else "lack of memory"
    yield f"after a {cause} at {memory['tried']} rows: {memory['decoded']} of {memory['lines']} lines decoded"
    for name, shape in document["shapes"].items():
        peak = f", peak {shape['peak_bytes'] / 1e9:.1f} GB" if "peak_bytes" in shape else ""
        yield f"{name}: loaded in {shape['load_seconds']:.1f} s, prefill {1000 * shape['prefill_seconds']:.0f} ms{peak}"
        for row in shape["frames"]:
            yield (
                f"  {row['mode']:9} {row['batch']:3} rows {row['frames_a_second']:9.1f} frames/s "
                f"{row['times_real_time']:7.1f} x real time, {row['of_roofline']:.2f} of the roofline"
            )
    yield from (f"left out: {what}" for what in document["omitted"])
    lines = document["lines"]
    if "error" in lines:
        yield f"{lines['asked']} lines: {lines['error']}"
    else:
        stages = ", ".join(
            f"{stage} {lines[stage]:.1f} s" for stage in ("load", "encode", "generate", "decode")
        )
        yield (
            f"{lines['asked']} lines, {len(lines['failed'])} failed: {lines['wall']:.0f} s for "
            f"{lines['speech_seconds']:.0f} s of speech ({stages})"
        )
        yield from lines["notes"]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu",
        description="Check the fish engine on this machine's GPU, and measure it; random weights, no network.",
    )
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument(
        "--size", choices=tuple(_LINES), default="published", help="tiny tries the program itself"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document on stdout")
    return parser.parse_args()


if __name__ == "__main__":
    run_program(main)
