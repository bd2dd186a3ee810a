"""The edge: one file a verb. Each parses, calls one library function and renders its result."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import Annotated

import typer

from voiceclone_cli import __version__
from voiceclone_cli.cli import (
    bench,
    checkpoint,
    config,
    diarize,
    doctor,
    environment,
    models,
    run,
    script,
    synth,
)
from voiceclone_cli.cli.render import say_error
from voiceclone_cli.errors import Stopped, VoicecloneError

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Find who speaks when in a recording, and speak every line again in its own speaker's voice.",
)
app.command("run")(run.command)
app.command("diarize")(diarize.command)
app.command("script")(script.command)
app.command("synth")(synth.command)
app.command("doctor")(doctor.command)
app.command("bench")(bench.command)
app.add_typer(models.app, name="models")
app.add_typer(config.app, name="config")
app.add_typer(environment.app, name="env")
app.add_typer(checkpoint.app, name="checkpoint")


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


def main() -> None:
    """The console script. Errors of ours are one sentence on stderr and their exit code."""
    # Before any library that computes is loaded: spinning threads cost ten times their work.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    signal.signal(signal.SIGINT, _stop)
    signal.signal(signal.SIGTERM, _stop)
    try:
        code = app(standalone_mode=False)
    except VoicecloneError as error:
        say_error(error.message)
        code = error.exit_code
    except typer.Exit as end:
        code = end.exit_code
    except Stopped as stop:
        say_error("stopped")
        code = stop.exit_code
    except BrokenPipeError:
        # Whoever read stdout has had enough; what Python would still flush goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except Exception as error:
        code = _usage_or_raise(error)
    raise SystemExit(code)


def _usage_or_raise(error: Exception) -> int:
    """Typer's own usage errors know how to show themselves; anything else is a defect of ours and
    keeps its traceback."""
    show = getattr(error, "show", None)
    if show is None:
        raise error
    show()
    return int(getattr(error, "exit_code", 2))


def _stop(number: int, frame: FrameType | None) -> None:
    """The first signal ends the work in order; a second one of its kind ends the process at once."""
    signal.signal(number, signal.SIG_DFL)
    raise Stopped(128 + number)
