"""`voiceclone models`: what model files there are, fetching them, checking them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from voiceclone_cli import models
from voiceclone_cli.cli import completion
from voiceclone_cli.cli.examples import epilog
from voiceclone_cli.cli.options import AsJson, ProgressOption, Quiet, Verbose
from voiceclone_cli.cli.render import ProgressMode, say, shown_progress
from voiceclone_cli.errors import PreflightError
from voiceclone_cli.settings import models_home, resolve

app = typer.Typer(no_args_is_help=True, help="List, fetch and verify the model files.")

_Names = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="NAME",
        help="Models, as `models list` names them.",
        show_default=False,
        autocompletion=completion.models,
    ),
]


@app.command("list", epilog=epilog("models list"))
def list_models(as_json: AsJson = False) -> None:
    """Show every model: its state, size, licence and source."""
    home = models_home(resolve({}))
    found = models.status(home=home)
    if as_json:
        typer.echo(_document(found))
    else:
        typer.echo(_table(found))
        typer.echo(f"\nUnder {(home or models.home()) / 'models'}")


@app.command(epilog=epilog("models pull"))
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
        folders = models.ensure(names or models.embedded(), show, models_home(settings), settings.token)
    for name, folder in folders.items():
        typer.echo(f"{name}\t{folder}")


@app.command(epilog=epilog("models verify"))
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
        found = models.verify(names or _worth_verifying(home), show, home)
    typer.echo(_document(found) if as_json else _table(found))
    unproven = [status.entry.name for status in found if status.state is models.ModelState.UNVERIFIED]
    if unproven and not quiet:
        say(f"{', '.join(unproven)}: put there by hand, and no hash is published to compare with")
    good = (models.ModelState.READY, models.ModelState.UNVERIFIED)
    bad = [status.entry.name for status in found if status.state not in good]
    if bad:
        raise PreflightError(
            f"Files are missing or corrupt in {', '.join(bad)}: run `voiceclone models pull {' '.join(bad)}`.",
            code="models_incomplete",
        )


def _worth_verifying(home: Path | None) -> list[str]:
    embedded = models.embedded()
    return [
        status.entry.name
        for status in models.status(home=home)
        if status.entry.name in embedded or status.state is not models.ModelState.MISSING
    ]


def _table(found: Sequence[models.ModelStatus]) -> str:
    rows = [("NAME", "STATE", "SIZE", "LICENCE", "FROM", "ROLE")]
    for status in found:
        entry = status.entry
        source = "package index" if entry.embedded else "hub, with a token"
        size = models.megabytes(entry.size)
        rows.append((entry.name, status.state.value, size, entry.licence, source, entry.role))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _document(found: Sequence[models.ModelStatus]) -> str:
    return json.dumps(
        {"schema": "voiceclone.models/1", "models": [_row(status) for status in found]},
        ensure_ascii=False,
        indent=2,
    )


def _row(status: models.ModelStatus) -> dict[str, object]:
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
            {f"{m.wheel.project}=={m.wheel.version}" for file in entry.files for m in file.members}
        ),
        "hub": None if hub is None else {"repo": hub.repo, "revision": hub.revision, "gated": hub.gated},
    }
