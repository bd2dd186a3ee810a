"""All verbs under one name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from voiceclone_cli import __version__
from voiceclone_cli.cli import inspect, run, setup
from voiceclone_cli.cli.options import epilog

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Find who speaks when in a recording, and speak every line again in its own speaker's voice.",
)
_VERBS: dict[str, Callable[..., None]] = {
    "run": run.run_command,
    "plan": run.plan_command,
    "report": inspect.report_command,
    "check": inspect.check_command,
    "redo": run.redo_command,
    "verify": inspect.verify_command,
    "diarize": inspect.diarize_command,
    "script": inspect.script_command,
    "synth": inspect.synth_command,
    "doctor": setup.doctor_command,
}
for _name, _command in _VERBS.items():
    app.command(_name, epilog=epilog(_name))(_command)
app.add_typer(setup.models_app, name="models")
app.add_typer(setup.config_app, name="config")
app.add_typer(setup.env_app, name="env")


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
