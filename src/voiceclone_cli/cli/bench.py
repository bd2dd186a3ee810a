"""`voiceclone bench`: how fast it is here, against fish-speech's own program."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any, Literal

import typer

from voiceclone_cli.cli import options
from voiceclone_cli.cli.render import ProgressMode, shown_progress


def command(
    engine: Annotated[str, typer.Option("--engine", help="fish, kokoro, echo or auto.")] = "fish",
    modes: Annotated[
        str | None,
        typer.Option(
            "--modes",
            help="Of original, upstream-loop, upstream-loop-same-window, sequential, parallel-N; "
            "with commas [default: all but the third, N = 2 and 3].",
            show_default=False,
        ),
    ] = None,
    speakers: Annotated[int, typer.Option("--speakers", min=1, max=64, help="Voices in the cast.")] = 6,
    segments: Annotated[int, typer.Option("--segments", min=1, max=9999, help="Lines to speak.")] = 100,
    longest: Annotated[
        int, typer.Option("--longest", min=30, max=400, help="Characters of the longest lines.")
    ] = 120,
    skew: Annotated[
        bool, typer.Option("--skew", help="Give four fifths of the lines to one speaker.")
    ] = False,
    original_sample: Annotated[
        int, typer.Option("--original-sample", min=1, help="Lines that the original speaks; then scaled.")
    ] = 10,
    loop_sample: Annotated[
        int | None,
        typer.Option(
            "--loop-sample",
            min=1,
            help="Lines that the upstream loops speak [default: all].",
            show_default=False,
        ),
    ] = None,
    checkpoint: options.Checkpoint = None,
    device: options.Device = None,
    precision: options.Precision = None,
    compile: options.Compile = None,
    batch_size: options.BatchSize = None,
    seed: Annotated[
        int | None, typer.Option("--seed", help="Of lines and voices.", show_default=False)
    ] = None,
    roofline: Annotated[
        bool, typer.Option("--roofline/--no-roofline", help="Compare with what the memory allows.")
    ] = True,
    as_json: options.AsJson = False,
    progress: options.ProgressOption = ProgressMode.AUTO,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Compare the time and memory of each mode on this machine.

    Generated lines are spoken in every mode, and by fish-speech's own program.
    """
    settings = options.settings_of(locals())
    from voiceclone_cli.bench import Plan, read_modes, run_benchmark

    plan = Plan(
        settings=settings,
        modes=None if modes is None else read_modes(modes),
        speakers=speakers,
        segments=segments,
        original_sample=original_sample,
        loop_sample=loop_sample,
        skewed=skew,
        longest=longest,
        roofline=roofline,
    )
    with shown_progress(progress, quiet=quiet, verbose=verbose) as show:
        benchmark = run_benchmark(plan, show)
    if as_json:
        typer.echo(json.dumps(benchmark.document, ensure_ascii=False))
    else:
        _print(benchmark.document)
    raise typer.Exit(benchmark.exit_code)


def _print(document: dict[str, Any]) -> None:
    from voiceclone_cli.bench.table import plain, remarks

    if sys.stdout.isatty():
        _print_on_terminal(document)
        return
    typer.echo(plain(document))
    typer.echo()
    for remark in remarks(document):
        typer.echo(remark)


def _print_on_terminal(document: dict[str, Any]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    from voiceclone_cli.bench.table import heads, remarks, rows

    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for number, head in enumerate(heads(document)):
        justify: Literal["right", "left"] = "right" if number else "left"
        table.add_column("\n".join(head), justify=justify, vertical="bottom", no_wrap=True)
    for row in rows(document):
        table.add_row(*row, style="bold" if row[0].startswith(("wall", "×")) else "")
    console = Console(highlight=False, markup=False)
    console.print(table)
    for remark in remarks(document):
        console.print(remark)
