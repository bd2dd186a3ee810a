"""`voiceclone config`: what is set, and where it came from."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import typer

from voiceclone_cli.cli.examples import epilog
from voiceclone_cli.cli.options import AsJson
from voiceclone_cli.cli.render import say
from voiceclone_cli.settings import TABLE, Settings, resolve

app = typer.Typer(no_args_is_help=True, help="Show the settings and where they come from.")


class Row(NamedTuple):
    """A setting as it is shown."""

    name: str
    value: object
    source: str
    variable: str
    meaning: str


@app.callback()
def _group() -> None:
    """Keeps `show` a command of its own while it is the only one."""


@app.command(epilog=epilog("config show"))
def show(as_json: AsJson = False) -> None:
    """Print every setting, its value and its source; secrets are masked."""
    settings = resolve({})
    for note in settings.notes:
        say(f"note: {note}")
    rows = list(_rows(settings))
    if as_json:
        typer.echo(json.dumps([row._asdict() for row in rows], ensure_ascii=False))
    elif sys.stdout.isatty():
        _print_table(rows)
    else:
        for line in plain_lines(rows):
            typer.echo(line)
    say(_about_dotenv(rows))


def _rows(settings: Settings) -> Iterator[Row]:
    for row in TABLE:
        value = getattr(settings, row.name)
        shown = "(set)" if row.secret and value is not None else value
        yield Row(row.name, shown, settings.sources[row.name], row.variable, row.meaning)


def plain_lines(rows: Sequence[Row]) -> Iterator[str]:
    """Columns for pipes and logs, a line for each setting."""
    cells = [("VARIABLE", "VALUE", "FROM", "MEANING"), *map(_cells, rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        yield "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()


def _print_table(rows: Sequence[Row]) -> None:
    """The same for a terminal: wrapped in its columns, and what is not a default stands out."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2, 0, 0))
    for _ in range(4):
        table.add_column(overflow="fold")
    for row in rows:
        style = "dim" if row.source == "default" else "bold"
        table.add_row(*(Text(cell, style) for cell in _cells(row)))
    Console(highlight=False).print(table)


def _cells(row: Row) -> tuple[str, ...]:
    value = "-" if row.value is None else str(row.value)
    # As it would be written in .env.
    return (row.variable, value.lower() if isinstance(row.value, bool) else value, row.source, row.meaning)


def _about_dotenv(rows: Sequence[Row]) -> str:
    """Where the .env is that was read, or would be."""
    path = Path(".env").absolute()
    if not path.is_file():
        return f"There is no {path}: lines there (NAME=VALUE) would count."
    count = sum(row.source == ".env" for row in rows)
    return f"From {path}: {count} {'setting' if count == 1 else 'settings'}."
