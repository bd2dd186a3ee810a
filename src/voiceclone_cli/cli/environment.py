"""`voiceclone env`: the environment that fish-speech runs in; build it, look at it, remove it."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from voiceclone_cli.cli.examples import epilog
from voiceclone_cli.cli.options import AsJson, ProgressOption, Quiet, Verbose
from voiceclone_cli.cli.render import ProgressMode, say, shown_progress
from voiceclone_cli.errors import InputError
from voiceclone_cli.fish import environment as fish_environment
from voiceclone_cli.fish.environment import EnvironmentState, EnvironmentStatus
from voiceclone_cli.models import megabytes
from voiceclone_cli.settings import Settings, resolve

app = typer.Typer(no_args_is_help=True, help="Build, show or remove the environment of fish-speech.")

_Torch = Annotated[
    str | None,
    typer.Option(
        "--torch", help="A version, a requirement or a wheel [default: 2.13.0].", show_default=False
    ),
]
_Python = Annotated[
    str | None,
    typer.Option("--python", help="Python 3.11 or 3.12 to build with [default: found].", show_default=False),
]
_PipOptions = Annotated[
    list[str] | None,
    typer.Argument(metavar="-- PIP OPTION", help="Options for pip, after --.", show_default=False),
]


@app.command(epilog=epilog("env create"))
def create(
    pip_options: _PipOptions = None,
    torch: _Torch = None,
    python: _Python = None,
    progress: ProgressOption = ProgressMode.AUTO,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Build it and print its interpreter.

    This takes a minute or more, and over 1 GB.
    """
    if pip_options and not pip_options[0].startswith("-"):
        raise InputError(
            f"{pip_options[0]!r} is no option of pip: write `voiceclone env create -- --index-url URL`.",
            code="bad_setting",
        )
    settings = resolve({})
    with shown_progress(progress, quiet=quiet, verbose=verbose) as show:
        built = fish_environment.create(
            settings, show, torch=torch, python=python, pip_options=pip_options or ()
        )
    if not quiet:
        if not built:
            say("The fish environment is complete already; `voiceclone env remove` comes before a fresh one.")
        _warn_of_another(settings)
    typer.echo(fish_environment.interpreter(settings))


@app.command(epilog=epilog("env show"))
def show(as_json: AsJson = False) -> None:
    """Show where it is, what it is made of and whether it is complete."""
    settings = resolve({})
    found = fish_environment.status(settings)
    typer.echo(_document(found, settings) if as_json else _text(found))
    if not as_json:
        _warn_of_another(settings)


@app.command(epilog=epilog("env remove"))
def remove(
    every: Annotated[bool, typer.Option("--all", help="Those of older locks too.")] = False,
    progress: ProgressOption = ProgressMode.AUTO,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Remove it and print the folders that are gone."""
    settings = resolve({})
    with shown_progress(progress, quiet=quiet, verbose=verbose) as show:
        removed = fish_environment.remove(settings, show, stale_too=every)
    for one in removed:
        typer.echo(one.folder)
    if quiet:
        return
    if removed:
        say(f"Removed, {megabytes(sum(one.size for one in removed))} in all.")
    else:
        say(f"Nothing to remove: there is no {fish_environment.status(settings).folder}.")
    stale = fish_environment.status(settings).stale
    if stale:
        say(f"Of older locks there are {len(stale)} more; `voiceclone env remove --all` removes them too.")
    if settings.fish_speech_python:
        say(f"FISH_SPEECH_PYTHON names {settings.fish_speech_python}: that is yours and stays.")


def _warn_of_another(settings: Settings) -> None:
    if settings.fish_speech_python:
        say(
            f"FISH_SPEECH_PYTHON ({settings.sources['fish_speech_python']}) names "
            f"{settings.fish_speech_python}: that interpreter is used instead of this environment."
        )


def _text(found: EnvironmentStatus) -> str:
    rows = [("state", found.state.value), ("folder", str(found.folder))]
    if found.mark is not None:
        rows += [
            ("python", str(found.python)),
            ("made with", f"Python {found.mark.python} ({found.mark.base})"),
            ("torch", found.mark.torch),
            ("created", found.mark.created),
        ]
    rows.append(("lock", f"sha256 {found.lock[:12]}"))
    if found.state is not EnvironmentState.ABSENT:
        rows.append(("size", megabytes(found.size)))
    if found.log.is_file():
        rows.append(("log", str(found.log)))
    rows += [("stale", f"{one.folder} ({megabytes(one.size)}, of another lock)") for one in found.stale]
    if found.state is not EnvironmentState.COMPLETE:
        rows.append(("to do", "voiceclone env create"))
    if found.stale:
        rows.append(("to do", "voiceclone env remove --all also removes what is stale"))
    return "\n".join(f"{name:<9}  {value}" for name, value in rows)


def _document(found: EnvironmentStatus, settings: Settings) -> str:
    mark = found.mark
    document: dict[str, Any] = {
        "schema": "voiceclone.environment/1",
        "state": found.state.value,
        "folder": str(found.folder),
        "python": None if found.python is None else str(found.python),
        "python_version": mark and mark.python,
        "base": mark and mark.base,
        "torch": mark and mark.torch,
        "created": mark and mark.created,
        "lock": found.lock,
        "size": found.size,
        "log": str(found.log) if found.log.is_file() else None,
        "stale": [{"folder": str(one.folder), "size": one.size} for one in found.stale],
        "used_instead": settings.fish_speech_python,
    }
    return json.dumps(document, ensure_ascii=False, indent=2)
