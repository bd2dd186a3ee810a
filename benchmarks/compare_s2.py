"""Our decoding of S2 beside the class of fish-speech 0.1.0, which speaks the same codes a line at a time.

    python -m benchmarks.compare_s2 CHECKPOINT [--frames 24] [--windows 1024,4096] [--json]

CHECKPOINT is of the S2 generation, for one of `python -m benchmarks.random_checkpoint --size s2-small`. CPU seconds of a
frame in float32, one after the other in one run; `VOICECLONE_THREADS=1` where the machine has other work. S2's own loop
attends to 32,768 positions; --windows says what the class attends to here. Exit code 3: codes differ.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.program import run_program
from voiceclone_cli.cli.progress import print_line
from voiceclone_cli.config import resolve
from voiceclone_cli.engines.fish import fish_python
from voiceclone_cli.workers.process import ask_tool, worker_command

PROGRAM = Path(__file__).parent / "upstream" / "s2_class.py"
_SECONDS = 7200.0


def main() -> int:
    options = _arguments()
    settings = resolve({})
    command = replace(worker_command(fish_python(settings), threads=settings.threads), program=PROGRAM)
    arguments = [options.checkpoint, str(options.frames), *options.windows.split(",")]

    def show(event: dict[str, Any]) -> None:
        print_line(str(event.get("note", "")))

    answer = ask_tool(command, "measure", arguments, seconds=_SECONDS, on_event=show)
    print(json.dumps(answer) if options.json else "\n".join(_table(answer)))
    return 0 if answer["equal"] == answer["lines"] else 3


def _table(answer: Mapping[str, Any]) -> Iterator[str]:
    one, several = answer["ours"].values()
    threads = "1 thread" if answer["threads"] == 1 else f"{answer['threads']} threads"
    yield f"CPU seconds of a frame, {threads}, {answer['lines']} lines, {answer['frames']} frames"
    for rows, seconds in answer["ours"].items():
        yield f"ours, {rows:>2} at a time            {seconds:7.4f}"
    for window, seconds in answer["upstream"].items():
        yield (
            f"fish-speech's class, {window:>6}  {seconds:7.4f}   {seconds / several:5.1f} times as long as ours of "
            f"{answer['lines']}, {seconds / one:.1f} times as long as ours of 1"
        )
    yield f"{answer['equal']} of {answer['lines']} lines have the same codes in every way"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.compare_s2",
        description="Compare our decoding of S2 with fish-speech 0.1.0's class, on the CPU in float32.",
    )
    parser.add_argument("checkpoint", help="folder of a checkpoint of the S2 generation")
    parser.add_argument("--frames", type=int, default=24, help="most frames of a line")
    parser.add_argument(
        "--windows", default="1024,4096", help="positions that the class attends to, separated by commas"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document on stdout")
    return parser.parse_args()


if __name__ == "__main__":
    run_program(main)
