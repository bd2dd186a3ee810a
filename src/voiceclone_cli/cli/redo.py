"""`voiceclone redo`: correct a run, and make only what that changes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from voiceclone_cli.cli.options import AsJson, ProgressOption, Quiet, Verbose
from voiceclone_cli.cli.outcome import failure_shown, show_result
from voiceclone_cli.cli.render import ProgressMode, shown_progress


def command(
    run_dir: Annotated[
        Path,
        typer.Argument(metavar="RUN_DIR", help="A directory that `voiceclone run` made.", show_default=False),
    ],
    ids: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ID",
            help="Lines to speak again; without an option below: as another take.",
            show_default=False,
        ),
    ] = None,
    text: Annotated[
        str | None, typer.Option("--text", help="Other words for the line.", show_default=False)
    ] = None,
    speaker: Annotated[
        str | None, typer.Option("--speaker", help="In this speaker's voice.", show_default=False)
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed",
            min=0,
            max=2**32 - 1,
            help="The take that a run with this seed has; the same number is the same take.",
            show_default=False,
        ),
    ] = None,
    rename: Annotated[
        list[str] | None,
        typer.Option(
            "--rename", metavar="OLD=NEW", help="Call a speaker by another name.", show_default=False
        ),
    ] = None,
    merge: Annotated[
        list[str] | None,
        typer.Option(
            "--merge", metavar="OLD=NEW", help="OLD's lines are NEW's, in NEW's voice.", show_default=False
        ),
    ] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Take back what the last redo asked for.")] = False,
    input: Annotated[
        Path | None,
        typer.Option("--input", help="Where the recording is, should it have moved.", show_default=False),
    ] = None,
    as_json: AsJson = False,
    progress: ProgressOption = ProgressMode.AUTO,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Correct a run: other takes, words, speakers, names.

    Only what changes is made again. Corrections are kept in the run directory (corrections.json), and later
    runs in it have them too. Without any, redo goes on with what a run has left undone.
    """
    from voiceclone_cli.correcting.wishes import wishes_for
    from voiceclone_cli.redo import redo
    from voiceclone_cli.steps.failure import failure_document

    with failure_shown(failure_document, as_json=as_json):
        wishes = wishes_for(
            ids or [],
            text=text,
            speaker=speaker,
            seed=seed,
            rename=rename or [],
            merge=merge or [],
            undo=undo,
        )
        with shown_progress(progress, quiet=quiet, verbose=verbose) as show:
            result = redo(run_dir, wishes, input=input, progress=show)
    show_result(result, as_json=as_json, quiet=quiet)
