"""`voiceclone synth`: speak task files, for scripts and CI."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from voiceclone_cli.cli.options import AsJson, Mode, ProgressOption, Quiet, Verbose, Watermark, Workers
from voiceclone_cli.cli.render import ProgressMode, say, shown_progress
from voiceclone_cli.errors import PreflightError
from voiceclone_cli.settings import resolve


def command(
    tasks: Annotated[
        list[Path], typer.Argument(metavar="TASK.json...", help="Task files.", show_default=False)
    ],
    mode: Mode = None,
    workers: Workers = None,
    watermark: Watermark = None,
    as_json: AsJson = False,
    progress: ProgressOption = ProgressMode.AUTO,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Speak task files through the same workers as a run.

    Prints the files, or the result as JSON. Exit code: 0 all spoken, 3 some, 1 none.
    """
    from voiceclone_cli.synthesis import synthesize
    from voiceclone_worker.contract import ReferenceRow, SegmentRow, result_to_json

    settings = resolve({"mode": mode, "workers": workers, "watermark": watermark})
    with shown_progress(progress, quiet=quiet, verbose=verbose) as show:
        result = synthesize(tasks, settings, show)
    if as_json:
        typer.echo(result_to_json(result))
    done = 0
    rows: list[tuple[str, ReferenceRow | SegmentRow]] = [(row.speaker, row) for row in result.references]
    rows += [(row.id, row) for row in result.segments]
    for name, row in rows:
        done += row.status == "done"
        if row.error is not None and row.error != result.error:
            say(f"{name} failed ({row.error.code}): {row.error.message}")
        elif row.error is None and not as_json:
            typer.echo(row.file)
    for note in result.notes:
        say(f"note: {note}")
    if result.error is not None and not done:
        raise PreflightError(result.error.message, code=result.error.code)
    if result.error is not None:
        say(f"{len(rows) - done} of {len(rows)} failed ({result.error.code}): {result.error.message}")
    raise typer.Exit(0 if done == len(rows) else 3 if done else 1)
