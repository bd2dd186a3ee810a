"""`voiceclone doctor`: what is here, what is missing, and what to do about it."""

from __future__ import annotations

import json
import sys
import typing
from collections.abc import Iterator, Sequence

import typer

from voiceclone_cli.cli import options
from voiceclone_cli.cli.render import ProgressMode, say, shown_progress
from voiceclone_cli.errors import PreflightError
from voiceclone_cli.settings import RAY, Settings

if typing.TYPE_CHECKING:
    from voiceclone_cli.doctor import Row

_COLOURS = {"ok": "green", "note": "yellow", "fail": "bold red"}


def command(
    engine: options.Engine = None,
    checkpoint: options.Checkpoint = None,
    device: options.Device = None,
    precision: options.Precision = None,
    mode: options.Mode = None,
    workers: options.Workers = None,
    batch_size: options.BatchSize = None,
    diarizer: options.Diarizer = None,
    asr_model: options.AsrModel = None,
    executor: options.Executor = None,
    ray_address: options.RayAddress = None,
    as_json: options.AsJson = False,
    progress: options.ProgressOption = ProgressMode.AUTO,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Look whether `run` would work here, and say what to do if not."""
    settings = options.settings_of(locals())
    from voiceclone_cli.doctor import State, examine

    if not quiet:
        for note in settings.notes:
            say(note)
    with shown_progress(progress, quiet=quiet, verbose=verbose) as show:
        rows = examine(settings, show)
        if settings.executor == RAY:
            rows += _nodes(settings)
    failed = [row.check for row in rows if row.state is State.FAIL]
    if as_json:
        typer.echo(_document(rows, ok=not failed))
    elif sys.stdout.isatty():
        _print_table(rows)
    else:
        for line in plain_lines(rows):
            typer.echo(line)
    if failed:
        raise PreflightError(
            f"`run` would not work with these settings: {', '.join(failed)}; what to do stands in "
            f"{'the row' if len(failed) == 1 else 'their rows'}",
            code="doctor_failed",
        )
    if not quiet:
        say("`run` works with these settings, as far as can be seen.")


def _nodes(settings: Settings) -> list[Row]:
    """The machines that a run would compute on."""
    from voiceclone_cli.doctor.nodes import node_rows
    from voiceclone_cli.doctor.rows import State, rows_of

    return list(rows_of("cluster", node_rows(settings), State.FAIL))


def _document(rows: Sequence[Row], *, ok: bool) -> str:
    found = [
        {"check": row.check, "state": row.state.value, "found": row.found, "advice": row.advice}
        for row in rows
    ]
    return json.dumps({"schema": "voiceclone.doctor/1", "ok": ok, "rows": found}, ensure_ascii=False)


def plain_lines(rows: Sequence[Row]) -> Iterator[str]:
    """A line for each row, its advice on one more: for pipes and logs, where nobody wraps."""
    width = max(len(row.check) for row in rows)
    for row in rows:
        yield f"{row.state.value:<4}  {row.check:<{width}}  {row.found}"
        if row.advice:
            yield f"{'':<4}  {'':<{width}}  -> {row.advice}"


def _print_table(rows: Sequence[Row]) -> None:
    """The same for a terminal: wrapped in its column, and coloured where colours are wanted."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for row in rows:
        colour = _COLOURS[row.state.value]
        table.add_row(Text(row.state.value, colour), row.check, Text(row.found))
        if row.advice:
            table.add_row("", "", Text.assemble(("-> ", colour), row.advice))
    Console(highlight=False).print(table)
