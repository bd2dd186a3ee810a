"""The memory that a worker with the fish engine takes on the CPU, beside what `plan` and `doctor` compute.

    python -m benchmarks.memory CHECKPOINT ... [--precision float32,bf16,int8] [--rows 1,8] [--json]

CHECKPOINT is a folder that `python -m benchmarks.random_checkpoint` made. Each row of the table is a worker process of
its own: it encodes a reference of 15 s, alone, and speaks a short line in each row. Exit code 3: computed and measured
differ by more than a tenth. Linux only.
"""

from __future__ import annotations

import argparse
import json
import math
import wave
from array import array
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.program import run_program
from benchmarks.upstream.bench import TOOLS
from voiceclone_cli.cli.progress import print_line
from voiceclone_cli.config import Settings, resolve
from voiceclone_cli.engines import memory
from voiceclone_cli.engines.fish import fish_python
from voiceclone_cli.workers.process import ask_tool, worker_command

RATE = 44_100
CLOSE = 0.1
_SECONDS = 3600.0


def main() -> int:
    options = _arguments()
    settings = resolve({})
    rows = [
        measured(settings, Path(folder), precision, count)
        for folder in options.checkpoint
        for precision in options.precision.split(",")
        for count in map(int, options.rows.split(","))
    ]
    if options.json:
        print(json.dumps(rows))
    return 0 if all(abs(row["computed"] / row["measured"] - 1) <= CLOSE for row in rows) else 3


def measured(settings: Settings, checkpoint: Path, precision: str, rows: int) -> dict[str, Any]:
    """Return the bytes that were computed and measured, and print them."""
    computed = memory.fish_memory(checkpoint, precision, rows, threads=settings.threads)
    with TemporaryDirectory(prefix="voiceclone-memory-") as name:
        folder = Path(name)
        _write_reference(folder / "reference.wav")
        job = {
            "checkpoint": str(checkpoint),
            "precision": precision,
            "rows": rows,
            "threads": settings.threads,
            "prompt": memory.PROMPT_POSITIONS,
            "positions": memory.CACHE_POSITIONS,
            "reference": str(folder / "reference.wav"),
            "reference_seconds": round(memory.REFERENCE_SECONDS),
            "codes": str(folder / "codes.npy"),
        }
        (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
        command = replace(worker_command(fish_python(settings), threads=settings.threads), program=TOOLS)
        answer = ask_tool(command, "memory", [str(folder / "job.json")], seconds=_SECONDS)
    assert answer["spoken"] == rows, "a line failed, so its memory was not measured"
    peak = answer["peak_bytes"]
    print_line(
        f"{checkpoint.name}, {precision}, {rows} rows: computed {computed.total / 1e6:.0f} MB, measured {peak / 1e6:.0f} MB, "
        f"{computed.total / peak - 1:+.0%} ({computed})"
    )
    return {
        "checkpoint": checkpoint.name,
        "precision": precision,
        "rows": rows,
        "computed": computed.total,
        "measured": peak,
    }


def _write_reference(path: Path) -> None:
    """Write a tone whose pitch changes; what a codec takes does not depend on what it hears."""
    count = round(memory.REFERENCE_SECONDS * RATE)
    tone = array("h", (round(8000 * math.sin(n / 20 + math.sin(n / 3000))) for n in range(count)))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(tone.tobytes())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.memory",
        description="Compare the memory of a worker with the fish engine on the CPU with what is computed.",
    )
    parser.add_argument("checkpoint", nargs="+", help="folder of a generated checkpoint")
    parser.add_argument(
        "--precision", default="float32,bf16", help="float32, bf16, int8, separated by commas"
    )
    parser.add_argument("--rows", default="1,8", help="lines at a time, separated by commas")
    parser.add_argument("--json", action="store_true", help="print one JSON document on stdout")
    return parser.parse_args()


if __name__ == "__main__":
    run_program(main)
