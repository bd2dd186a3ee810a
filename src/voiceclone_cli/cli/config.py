"""`voiceclone config`: what is set, and where it came from."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from voiceclone_cli.cli.render import say
from voiceclone_cli.settings import TABLE, resolve

app = typer.Typer(no_args_is_help=True, help="Show the settings and where they come from.")


@app.callback()
def _group() -> None:
    """Keeps `show` a command of its own while it is the only one."""


@app.command()
def show(as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False) -> None:
    """Print every setting, its value and its source; secrets are masked."""
    settings = resolve({})
    for note in settings.notes:
        say(note)
    rows = []
    for row in TABLE:
        value = getattr(settings, row.name)
        if row.secret and value is not None:
            value = "(set)"
        rows.append((row.name, value, settings.sources[row.name], row.variable, row.meaning))
    if as_json:
        keys = ("name", "value", "source", "variable", "meaning")
        typer.echo(json.dumps([dict(zip(keys, row, strict=True)) for row in rows], ensure_ascii=False))
        return
    for name, value, source, variable, meaning in rows:
        shown = "-" if value is None else value
        typer.echo(f"{name:<19} {shown!s:<14} {source:<12} {variable:<24} {meaning}")
