"""`voiceclone verify`: is a file cloned speech?"""

from __future__ import annotations

import typing
from pathlib import Path
from typing import Annotated

import typer

from voiceclone_cli.cli.options import AsJson, ProgressOption, Quiet, Verbose
from voiceclone_cli.cli.render import ProgressMode, shown_progress
from voiceclone_cli.settings import resolve

if typing.TYPE_CHECKING:
    from voiceclone_cli.provenance.detection import Detection

_MOST_STRETCHES = 20
"""Told to a person; a program gets them all."""


def command(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Any audio or video file.", show_default=False)
    ],
    run_dir: Annotated[
        Path | None,
        typer.Option(
            "--run",
            metavar="RUN_DIR",
            help="Whose manifest to ask for the file [default: the run directory that it lies in].",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
    progress: ProgressOption = ProgressMode.AUTO,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Look for the watermark of cloned speech in a file.

    Says which stretches carry it, which tags speak of synthetic voices, and whether a run wrote the file.
    Exit code: 0 it carries the watermark, 3 none was found or nobody can tell, 2 the file cannot be read.
    """
    from voiceclone_cli.provenance.detection import Verdict
    from voiceclone_cli.provenance.verifying import document, verify
    from voiceclone_worker.contract import dump_json

    with shown_progress(progress, quiet=quiet, verbose=verbose) as show:
        found = verify(file, resolve({}), run_dir=run_dir, progress=show)
    if as_json:
        typer.echo(dump_json(document(found)))
    else:
        typer.echo(f"{found.detection.verdict.value}: {found.why}")
        for line in _stretches(found.detection):
            typer.echo(f"  {line}")
        typer.echo(f"origin: {found.origin_in_words}")
        for name, text in found.tags.items():
            typer.echo(f"tag {name}: {text}")
    raise typer.Exit(0 if found.detection.verdict is Verdict.WATERMARKED else 3)


def _stretches(detection: Detection) -> list[str]:
    """A line for each stretch, and one for the whole."""
    lines = [
        f"{_clock(stretch.start)} to {_clock(stretch.end)} (presence {stretch.presence:.2f})"
        for stretch in detection.stretches[:_MOST_STRETCHES]
    ]
    if len(detection.stretches) > _MOST_STRETCHES:
        lines.append(f"and {len(detection.stretches) - _MOST_STRETCHES} more stretches")
    if detection.stretches:
        share = detection.marked / detection.speech
        lines.append(f"{share:.0%} of the speech in {_clock(detection.seconds)}")
    return lines


def _clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{rest:04.1f}"
