"""Options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from voiceclone_cli.cli.render import ProgressMode

Input = Annotated[Path, typer.Argument(metavar="INPUT", help="Any audio or video file.", show_default=False)]
Speakers = Annotated[
    int | None, typer.Option("--speakers", min=1, help="How many people speak, if known.", show_default=False)
]
MinSpeakers = Annotated[int | None, typer.Option("--min-speakers", min=1, show_default=False)]
MaxSpeakers = Annotated[int | None, typer.Option("--max-speakers", min=1, show_default=False)]
Diarizer = Annotated[
    str | None,
    typer.Option(
        "--diarizer", help="auto, embedded, community-1 or a pipeline's folder.", show_default=False
    ),
]
AsrModel = Annotated[
    str | None,
    typer.Option("--asr-model", help="Name or folder of the speech recogniser.", show_default=False),
]
Language = Annotated[
    str | None,
    typer.Option("--language", help="Language of the recording, or of the script.", show_default=False),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
ProgressOption = Annotated[
    ProgressMode, typer.Option("--progress", help="How progress is shown on stderr.", case_sensitive=False)
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Nothing on stderr but errors.")]
