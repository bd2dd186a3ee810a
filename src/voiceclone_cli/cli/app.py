"""All verbs under one name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from voiceclone_cli import __version__
from voiceclone_cli.cli import (
    check,
    config,
    diarize,
    doctor,
    environment,
    models,
    plan,
    redo,
    report,
    run,
    script,
    synth,
    verify,
)
from voiceclone_cli.cli.examples import epilog

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Find who speaks when in a recording, and speak every line again in its own speaker's voice.",
)
_VERBS: dict[str, Callable[..., None]] = {
    "run": run.command,
    "plan": plan.command,
    "report": report.command,
    "check": check.command,
    "redo": redo.command,
    "verify": verify.command,
    "diarize": diarize.command,
    "script": script.command,
    "synth": synth.command,
    "doctor": doctor.command,
}
for _name, _command in _VERBS.items():
    app.command(_name, epilog=epilog(_name))(_command)
app.add_typer(models.app, name="models")
app.add_typer(config.app, name="config")
app.add_typer(environment.app, name="env")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"voiceclone {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and end."),
    ] = False,
) -> None:
    """Only carries the options that stand before a verb."""
