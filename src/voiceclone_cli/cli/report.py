"""`voiceclone report`: a run as a page to look at and to listen to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from voiceclone_cli.cli.options import ProgressOption, Quiet, Verbose
from voiceclone_cli.cli.render import ProgressMode, say, shown_progress


def command(
    run_dir: Annotated[
        Path,
        typer.Argument(metavar="RUN_DIR", help="A directory that `voiceclone run` made.", show_default=False),
    ],
    open_page: Annotated[bool, typer.Option("--open", help="Show it in the browser.")] = False,
    progress: ProgressOption = ProgressMode.AUTO,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Write a page to see, hear and compare every line of a run.

    RUN_DIR/report.html needs no server and no network, and moves with its directory.
    """
    from voiceclone_cli.report import write_report

    with shown_progress(progress, quiet=quiet, verbose=verbose) as show:
        report = write_report(run_dir, show)
    typer.echo(report)
    if open_page and typer.launch(report.as_uri()) != 0:
        say(f"note: no browser could be started; open {report} yourself")
