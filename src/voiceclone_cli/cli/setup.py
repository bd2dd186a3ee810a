"""`voiceclone models`: what model files there are, fetching them, checking them."""

from __future__ import annotations

import json
import sys
import typing
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from voiceclone_cli.cli import options
from voiceclone_cli.cli.options import AsJson, ProgressOption, Quiet, Verbose, epilog
from voiceclone_cli.cli.progress import ProgressMode, say, shown_progress
from voiceclone_cli.config import RAY, SETTINGS, Settings, models_home, resolve
from voiceclone_cli.engines import environment
from voiceclone_cli.engines.environment import EnvironmentState, EnvironmentStatus
from voiceclone_cli.errors import InputError, PreflightError
from voiceclone_cli.models import download, store
from voiceclone_cli.models.store import megabytes

if typing.TYPE_CHECKING:
    from voiceclone_cli.doctor.checks import CheckRow


# `voiceclone config`: what is set, and where it came from.


config_app = typer.Typer(no_args_is_help=True, help="Show the settings and where they come from.")


class ConfigRow(NamedTuple):
    """A setting as it is shown."""

    name: str
    value: object
    source: str
    variable: str
    meaning: str


@config_app.callback()
def _config_group() -> None:
    """Keeps `show` a command of its own while it is the only one."""


@config_app.command("show", epilog=epilog("config show"))
def show_config(as_json: AsJson = False) -> None:
    """Print every setting, its value and its source; secrets are masked."""
    settings = resolve({})
    for note in settings.notes:
        say(f"note: {note}")
    rows = list(_rows(settings))
    if as_json:
        typer.echo(json.dumps([row._asdict() for row in rows], ensure_ascii=False))
    elif sys.stdout.isatty():
        _print_config(rows)
    else:
        for line in config_lines(rows):
            typer.echo(line)
    say(_about_dotenv(rows))


def _rows(settings: Settings) -> Iterator[ConfigRow]:
    for name, setting in SETTINGS.items():
        value = getattr(settings, name)
        shown = "(set)" if setting.secret and value is not None else value
        yield ConfigRow(name, shown, settings.sources[name], setting.variable, setting.help)


def config_lines(rows: Sequence[ConfigRow]) -> Iterator[str]:
    """Columns for pipes and logs, a line for each setting."""
    cells = [("VARIABLE", "VALUE", "FROM", "MEANING"), *map(_cells, rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        yield "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()


def _print_config(rows: Sequence[ConfigRow]) -> None:
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


def _cells(row: ConfigRow) -> tuple[str, ...]:
    value = "-" if row.value is None else str(row.value)
    # As it would be written in .env.
    return (row.variable, value.lower() if isinstance(row.value, bool) else value, row.source, row.meaning)


def _about_dotenv(rows: Sequence[ConfigRow]) -> str:
    """Where the .env is that was read, or would be."""
    path = Path(".env").absolute()
    if not path.is_file():
        return f"There is no {path}: lines there (NAME=VALUE) would count."
    count = sum(row.source == ".env" for row in rows)
    return f"From {path}: {count} {'setting' if count == 1 else 'settings'}."


# `voiceclone doctor`: what is here, what is missing, and what to do about it.


_COLOURS = {"ok": "green", "note": "yellow", "fail": "bold red"}


def doctor_command(
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
    from voiceclone_cli.doctor.checks import CheckState
    from voiceclone_cli.doctor.run import run_checks

    if not quiet:
        for note in settings.notes:
            say(note)
    with shown_progress(progress, quiet=quiet, verbose=verbose) as show:
        rows = run_checks(settings, show)
        if settings.executor == RAY:
            rows += _nodes(settings)
    failed = [row.check for row in rows if row.state is CheckState.FAIL]
    if as_json:
        typer.echo(_doctor_document(rows, ok=not failed))
    elif sys.stdout.isatty():
        _print_doctor(rows)
    else:
        for line in doctor_lines(rows):
            typer.echo(line)
    if failed:
        raise PreflightError(
            f"`run` would not work with these settings: {', '.join(failed)}; what to do stands in "
            f"{'the row' if len(failed) == 1 else 'their rows'}",
            code="doctor_failed",
        )
    if not quiet:
        say("`run` works with these settings, as far as can be seen.")


def _nodes(settings: Settings) -> list[CheckRow]:
    """The machines that a run would compute on."""
    from voiceclone_cli.doctor.checks import CheckState, rows_or_error
    from voiceclone_cli.doctor.run import node_rows

    return list(rows_or_error("cluster", node_rows(settings), CheckState.FAIL))


def _doctor_document(rows: Sequence[CheckRow], *, ok: bool) -> str:
    found = [
        {"check": row.check, "state": row.state.value, "found": row.found, "advice": row.advice}
        for row in rows
    ]
    return json.dumps({"schema": "voiceclone.doctor/1", "ok": ok, "rows": found}, ensure_ascii=False)


def doctor_lines(rows: Sequence[CheckRow]) -> Iterator[str]:
    """A line for each row, its advice on one more: for pipes and logs, where nobody wraps."""
    width = max(len(row.check) for row in rows)
    for row in rows:
        yield f"{row.state.value:<4}  {row.check:<{width}}  {row.found}"
        if row.advice:
            yield f"{'':<4}  {'':<{width}}  -> {row.advice}"


def _print_doctor(rows: Sequence[CheckRow]) -> None:
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


# `voiceclone env`: the environment that fish-speech runs in; build it, look at it, remove it.


env_app = typer.Typer(no_args_is_help=True, help="Build, show or remove the environment of fish-speech.")

_Torch = Annotated[
    str | None,
    typer.Option(
        "--torch", help="A version, a requirement or a wheel [default: 2.13.0].", show_default=False
    ),
]
_Python = Annotated[
    str | None,
    typer.Option(
        "--python",
        help=f"Python {environment.version_list(environment.FISH_PYTHONS)} to build with [default: found].",
        show_default=False,
    ),
]
_PipOptions = Annotated[
    list[str] | None,
    typer.Argument(metavar="-- PIP OPTION", help="Options for pip, after --.", show_default=False),
]


@env_app.command("create", epilog=epilog("env create"))
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
        built = environment.create_environment(
            settings, show, torch=torch, python=python, pip_options=pip_options or ()
        )
    if not quiet:
        if not built:
            say("The fish environment is complete already; `voiceclone env remove` comes before a fresh one.")
        _warn_of_another(settings)
    typer.echo(environment.environment_python(settings))


@env_app.command("show", epilog=epilog("env show"))
def show_environment(as_json: AsJson = False) -> None:
    """Show where it is, what it is made of and whether it is complete."""
    settings = resolve({})
    found = environment.environment_status(settings)
    typer.echo(_environment_document(found, settings) if as_json else _text(found))
    if not as_json:
        _warn_of_another(settings)


@env_app.command("remove", epilog=epilog("env remove"))
def remove(
    every: Annotated[bool, typer.Option("--all", help="Those of older locks too.")] = False,
    progress: ProgressOption = ProgressMode.AUTO,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Remove it and print the folders that are gone."""
    settings = resolve({})
    with shown_progress(progress, quiet=quiet, verbose=verbose) as show:
        removed = environment.remove_environment(settings, show, stale_too=every)
    for folder in removed:
        typer.echo(folder)
    if quiet:
        return
    if removed:
        say(f"Removed, {megabytes(sum(removed.values()))} in all.")
    else:
        say(f"Nothing to remove: there is no {environment.environment_status(settings).folder}.")
    stale = environment.environment_status(settings).stale
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
    record = found.record
    if record:
        rows += [
            ("python", str(found.python)),
            ("made with", f"Python {record['python']} ({record['base']})"),
            ("torch", record["torch"]),
            ("created", record["created"]),
        ]
    rows.append(("lock", f"sha256 {found.lock[:12]}"))
    if found.state is not EnvironmentState.ABSENT:
        rows.append(("size", megabytes(found.size)))
    if found.log.is_file():
        rows.append(("log", str(found.log)))
    rows += [
        ("stale", f"{folder} ({megabytes(size)}, of another lock)") for folder, size in found.stale.items()
    ]
    if found.state is not EnvironmentState.COMPLETE:
        rows.append(("to do", "voiceclone env create"))
    if found.stale:
        rows.append(("to do", "voiceclone env remove --all also removes what is stale"))
    return "\n".join(f"{name:<9}  {value}" for name, value in rows)


def _environment_document(found: EnvironmentStatus, settings: Settings) -> str:
    document: dict[str, Any] = {
        "schema": "voiceclone.environment/1",
        "state": found.state.value,
        "folder": str(found.folder),
        "python": None if found.python is None else str(found.python),
        "python_version": found.record.get("python"),
        "base": found.record.get("base"),
        "torch": found.record.get("torch"),
        "created": found.record.get("created"),
        "lock": found.lock,
        "size": found.size,
        "log": str(found.log) if found.log.is_file() else None,
        "stale": [{"folder": str(folder), "size": size} for folder, size in found.stale.items()],
        "used_instead": settings.fish_speech_python,
    }
    return json.dumps(document, ensure_ascii=False, indent=2)


models_app = typer.Typer(no_args_is_help=True, help="List, fetch and verify the model files.")

_Names = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="NAME",
        help="Models, as `models list` names them.",
        show_default=False,
        autocompletion=options.models,
    ),
]


@models_app.command("list", epilog=epilog("models list"))
def list_models(as_json: AsJson = False) -> None:
    """Show every model: its state, size, licence and source."""
    home = models_home(resolve({}))
    found = download.models_status(home=home)
    if as_json:
        typer.echo(_models_document(found))
    else:
        typer.echo(_table(found))
        typer.echo(f"\nUnder {(home or store.default_home()) / 'models'}")


@models_app.command("pull", epilog=epilog("models pull"))
def pull(
    names: _Names = None,
    progress: ProgressOption = ProgressMode.AUTO,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Fetch what is missing or corrupt.

    Of the named models; without names, of all that need no account.
    """
    settings = resolve({})
    for note in () if quiet else settings.notes:
        say(f"note: {note}")
    with shown_progress(progress, quiet=quiet, verbose=verbose) as show:
        folders = download.ensure_models(
            names or download.embedded_models(), show, models_home(settings), settings.token
        )
    for name, folder in folders.items():
        typer.echo(f"{name}\t{folder}")


@models_app.command("verify", epilog=epilog("models verify"))
def verify(
    names: _Names = None,
    as_json: AsJson = False,
    progress: ProgressOption = ProgressMode.AUTO,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Hash every file again.

    Of the named models; without names, of the embedded ones and of others that are there.
    """
    home = models_home(resolve({}))
    with shown_progress(progress, quiet=quiet, verbose=verbose) as show:
        found = download.verify_models(names or _worth_verifying(home), show, home)
    typer.echo(_models_document(found) if as_json else _table(found))
    unproven = [status.entry.name for status in found if status.state is store.ModelState.UNVERIFIED]
    if unproven and not quiet:
        say(f"{', '.join(unproven)}: put there by hand, and no hash is published to compare with")
    good = (store.ModelState.READY, store.ModelState.UNVERIFIED)
    bad = [status.entry.name for status in found if status.state not in good]
    if bad:
        raise PreflightError(
            f"Files are missing or corrupt in {', '.join(bad)}: run `voiceclone models pull {' '.join(bad)}`.",
            code="models_incomplete",
        )


def _worth_verifying(home: Path | None) -> list[str]:
    embedded = download.embedded_models()
    return [
        status.entry.name
        for status in download.models_status(home=home)
        if status.entry.name in embedded or status.state is not store.ModelState.MISSING
    ]


def _table(found: Sequence[store.ModelStatus]) -> str:
    rows = [("NAME", "STATE", "SIZE", "LICENCE", "FROM", "ROLE")]
    for status in found:
        entry = status.entry
        source = "package index" if entry.embedded else "hub, with a token"
        size = store.megabytes(entry.size)
        rows.append((entry.name, status.state.value, size, entry.licence, source, entry.role))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _models_document(found: Sequence[store.ModelStatus]) -> str:
    return json.dumps(
        {"schema": "voiceclone.models/1", "models": [_row(status) for status in found]},
        ensure_ascii=False,
        indent=2,
    )


def _row(status: store.ModelStatus) -> dict[str, object]:
    entry = status.entry
    hub = entry.hub
    return {
        "name": entry.name,
        "state": status.state.value,
        "role": entry.role,
        "licence": entry.licence,
        "attribution": entry.attribution,
        "embedded": entry.embedded,
        "folder": str(status.folder),
        "size": entry.size,
        "files": [
            {"path": file.path, "state": state.value, "size": file.size, "sha256": file.sha256}
            for file, state in zip(entry.files, status.files, strict=True)
        ],
        "wheels": sorted(
            {f"{wheel.project}=={wheel.version}" for file in entry.files for wheel, _ in file.members}
        ),
        "hub": None if hub is None else {"repo": hub.repo, "revision": hub.revision, "gated": hub.gated},
    }
