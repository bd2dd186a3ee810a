"""Compare the time and memory of each mode on this machine, fish-speech's own program among them.

    python -m benchmarks.compare --checkpoint CK --speakers 6 --segments 100 [--json]
    python -m benchmarks.compare --engine kokoro --modes sequential,parallel-2 --segments 8 --speakers 2

Generated lines are synthesized in every mode, one after the other; benchmarks/README.md explains modes and figures. The
table goes to stdout, or with ``--json`` one document, ``voiceclone.bench/1``. Exit code 0: every segment of every mode
was synthesized, 3: some were not, 1: none was.
"""

from __future__ import annotations

import argparse
import json
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.program import run_program
from benchmarks.upstream.bench import BenchmarkPlan, run_benchmark
from benchmarks.upstream.figures import read_modes
from voiceclone_cli.cli.progress import Display, ProgressMode
from voiceclone_cli.config import resolve

SETTINGS = ("engine", "checkpoint", "device", "precision", "compile", "batch_size", "seed")
"""Options that are settings of a run, too."""


def main() -> int:
    options = _arguments()
    plan = BenchmarkPlan(
        settings=resolve({name: getattr(options, name) for name in SETTINGS}),
        modes=None if options.modes is None else read_modes(options.modes),
        speakers=options.speakers,
        segments=options.segments,
        original_sample=options.original_sample,
        loop_sample=options.loop_sample,
        skewed=options.skew,
        longest=options.longest,
        roofline=options.roofline,
    )
    with Display(
        ProgressMode(options.progress), quiet=options.quiet, verbose=options.verbose
    ).progress() as show:
        benchmark = run_benchmark(plan, show)
    if options.json:
        print(json.dumps(benchmark.document, ensure_ascii=False))
    else:
        print(plain(benchmark.document), "", *remarks(benchmark.document), sep="\n")
    return benchmark.exit_code


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.compare",
        description="Compare the time and memory of each mode on this machine.",
    )
    add, switch = parser.add_argument, argparse.BooleanOptionalAction
    add("--engine", default="fish", help="fish, kokoro, echo or auto (default: fish)")
    add(
        "--modes",
        help="original, upstream-loop, upstream-loop-same-window, sequential and parallel-N, separated by commas "
        "(default: all but the third, N = 2 and 3)",
    )
    add("--speakers", type=_whole(1, 64), default=6, help="number of speakers (default: 6)")
    add("--segments", type=_whole(1, 9999), default=100, help="number of lines (default: 100)")
    add("--longest", type=_whole(30, 400), default=120, help="characters of the longest lines (default: 120)")
    add("--skew", action="store_true", help="give four fifths of the lines to one speaker")
    add(
        "--original-sample",
        type=_whole(1),
        default=10,
        metavar="N",
        help="lines of the original mode; its figures are scaled to all (default: 10)",
    )
    add("--loop-sample", type=_whole(1), metavar="N", help="lines of the loops (default: all)")
    add("--checkpoint", help="folder of fish's checkpoint")
    add("--device", help="device of fish: auto, cpu, cuda, cuda:N or mps")
    add("--precision", help="precision of fish: auto, float32, bf16, fp16 or int8")
    add("--compile", action=switch, default=None, help="compile fish's decoding step first")
    add("--batch-size", help="segments generated together")
    add("--seed", help="seed of lines and references")
    add("--roofline", action=switch, default=True, help="measure the limit by memory bandwidth")
    add("--json", action="store_true", help="print one JSON document on stdout")
    add("--progress", choices=[str(mode) for mode in ProgressMode], default="auto")
    add("-q", "--quiet", action="store_true", help="print only errors on stderr")
    add("-v", "--verbose", action="store_true", help="print what workers log, too")
    return parser.parse_args()


def _whole(lowest: int, highest: int | None = None) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isdecimal() or int(text) < lowest or (highest is not None and int(text) > highest):
            bounds = f"from {lowest}" if highest is None else f"from {lowest} to {highest}"
            raise argparse.ArgumentTypeError(f"must be a whole number {bounds}, not {text!r}")
        return int(text)

    return parse


# The table

HEAD_WIDTH = 8
"""Names of modes are broken to about this width, so that six of them fit into 80 columns."""

_ROWS = (
    ("wall, s", "wall"),
    ("  load", "load"),
    ("  encode", "encode"),
    ("  generate", "generate"),
    ("  decode", "decode"),
    ("  write", "write"),
    ("frames", "frames"),
    ("frames/s", "frames_per_second"),
    ("  generating", "generated_per_second"),
    ("real-time factor", "real_time_factor"),
    ("peak memory, MB", "peak_mb"),
    ("× original", "ratio_over_original"),
    ("× upstream loop", "ratio_over_upstream_loop"),
)
"""Label and key in the document of each row."""


def heads(document: Mapping[str, Any]) -> list[list[str]]:
    """The lines of each column's head, the column of names first. A mode with a ``*`` was measured on
    a sample, one with a ``!`` has failed segments."""
    return [
        [""],
        *(textwrap.wrap(_head(mode), HEAD_WIDTH, break_long_words=False) for mode in document["modes"]),
    ]


def rows(document: Mapping[str, Any]) -> list[list[str]]:
    """Each row's name and its cells; "-" where nothing was measured. Rows without values are skipped."""
    made = []
    for name, key in _ROWS:
        figures = [mode[key] for mode in document["modes"]]
        if any(figure is not None for figure in figures):
            made.append([name, *map(_cell, figures)])
    return made


def remarks(document: Mapping[str, Any]) -> list[str]:
    """Return remarks on the figures, a sentence each."""
    modes = document["modes"]
    sentences = []
    for mode in modes:
        if mode["sampled"]:
            part = "{measured} of {of}".format(**mode["sampled"])
            sentences.append(
                f"* {mode['mode']}: {part} segments were synthesized and the figures scaled to all"
            )
    for mode in modes:
        sentences += _failures(mode)
    sentences += [f"{mode['mode']}: {note}" for mode in modes for note in mode["notes"]]
    sentences += document["notes"]
    if any(mode["workers"] > 1 for mode in modes):
        sentences.append("the stages of parallel modes are summed over their workers")
    if document["roofline"] is not None:
        sentences.append(roofline_line(document["roofline"]))
    load = document["machine"]["load_average"]
    if load["before"] is not None:
        sentences.append(
            f"load average of the {document['machine']['cores']} cores: {load['before']:.1f} before, "
            f"{load['after']:.1f} after"
        )
    return sentences


def roofline_line(roofline: Mapping[str, Any]) -> str:
    """Return the limit by memory bandwidth and the share that was reached."""
    if "error" in roofline:
        return f"roofline: not measured ({roofline['error']['message']})"
    alone, *together = roofline["measured"]
    sentences = (
        f"roofline ({roofline['precision']}): {roofline['bytes_per_frame'] / 1e6:.0f} MB of weights a frame, "
        f"read at {roofline['bandwidth_gb_per_second']:.1f} GB/s, allow "
        f"{_digits(roofline['limit_frames_per_second'])} frames/s for a single line; "
        f"{_digits(alone['frames_per_second'])} were reached, {alone['share']:.0%}"
    )
    more = [
        f"; {row['batch_size']} lines together make {_digits(row['frames_per_second'])}" for row in together
    ]
    return sentences + "".join(more)


def plain(document: Mapping[str, Any]) -> str:
    """The table as aligned text, for files and pipes."""
    head = heads(document)
    height = max(map(len, head))
    # The last line of each head stands right above its column.
    lines = [[([""] * (height - len(cell)) + cell)[level] for cell in head] for level in range(height)]
    lines += rows(document)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]).rstrip()
        for line in lines
    )


def _head(mode: Mapping[str, Any]) -> str:
    return f"{mode['mode']}{' *' if mode['sampled'] else ''}{' !' if mode['failed'] else ''}"


def _cell(figure: float | None) -> str:
    return "-" if figure is None else _digits(figure)


def _digits(value: float) -> str:
    """Format with three significant digits, and all before the point."""
    if isinstance(value, int):
        return str(value)
    return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3}f}"


def _failures(mode: Mapping[str, Any]) -> Sequence[str]:
    """Return one sentence for each reason, with the number of segments."""
    by_reason: dict[str, list[str]] = {}
    for row in mode["failed"]:
        by_reason.setdefault(f"{row['code']}: {row['message']}", []).append(row["id"])
    sentences = []
    for reason, ids in by_reason.items():
        tried = mode["sampled"]["measured"] if mode["sampled"] else mode["segments"]
        affected = f"{len(ids)} of {tried} segments failed, {ids[0]} for one"
        sentences.append(
            f"! {mode['mode']}: {'could not be measured' if ids == [''] else affected} ({reason})"
        )
    return sentences


if __name__ == "__main__":
    run_program(main)
