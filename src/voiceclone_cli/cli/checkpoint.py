"""`voiceclone checkpoint`: a stand-in for the weights of the fish engine."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from voiceclone_cli.cli.examples import epilog
from voiceclone_cli.cli.options import AsJson, ProgressOption, Quiet, Verbose
from voiceclone_cli.cli.render import ProgressMode, say, shown_progress
from voiceclone_cli.fish.making import Size, make_checkpoint
from voiceclone_cli.models import megabytes
from voiceclone_cli.settings import resolve

app = typer.Typer(no_args_is_help=True, help="Make a checkpoint of random weights for the fish engine.")


@app.callback()
def _group() -> None:
    """Keeps `make` a verb of its own, although it is the only one."""


@app.command(epilog=epilog("checkpoint make"))
def make(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new folder.", show_default=False)],
    size: Annotated[
        Size,
        typer.Option(
            "--size",
            help="tiny (27 MB), small (220 MB) or s1-mini (3.6 GB, the shape of the published weights).",
        ),
    ] = Size.TINY,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Other weights for another seed.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Replace the generated checkpoint in DIR.")] = False,
    as_json: AsJson = False,
    progress: ProgressOption = ProgressMode.AUTO,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Make random weights in the layout of the published ones.

    To try and to measure the fish engine with; they speak no words.
    """
    settings = resolve({})
    with shown_progress(progress, quiet=quiet, verbose=verbose) as show:
        made = make_checkpoint(folder, size, settings, show, seed=seed, replace=force)
    if as_json:
        document = {"schema": "voiceclone.checkpoint/1", **asdict(made), "folder": str(made.folder)}
        typer.echo(json.dumps(document, ensure_ascii=False))
    else:
        typer.echo(made.folder)
    if not quiet:
        say(
            f"{made.size}, {megabytes(made.size_bytes)}: {made.model_parameters / 1e6:.1f} M parameters that speak, "
            f"{made.codec_parameters / 1e6:.1f} M in the codec."
        )
        say("IT SPEAKS NO WORDS: the weights are random, and every line comes out as a murmur of its length.")
