"""Options that several verbs share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from voiceclone_cli.cli import completion
from voiceclone_cli.cli.render import ProgressMode
from voiceclone_cli.settings import TABLE, Settings, resolve
from voiceclone_cli.types import Until


def settings_of(options: Mapping[str, Any]) -> Settings:
    """The settings of a command, from all its options by name. Raises InputError, as ``resolve`` does."""
    return resolve({row.name: options.get(row.name) for row in TABLE})


Input = Annotated[Path, typer.Argument(metavar="INPUT", help="Any audio or video file.", show_default=False)]
Inputs = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="INPUT",
        help="Any audio or video file. Several, a folder or a pattern ('talks/*.m4a') are a batch.",
        show_default=False,
    ),
]
ListFile = Annotated[
    Path | None,
    typer.Option(
        "--list",
        help="CSV or JSON Lines: a recording a row, with a script, language, ... of its own.",
        show_default=False,
    ),
]
Speakers = Annotated[
    int | None, typer.Option("--speakers", min=1, help="How many people speak, if known.", show_default=False)
]
MinSpeakers = Annotated[
    int | None,
    typer.Option("--min-speakers", min=1, help="At least so many people speak.", show_default=False),
]
MaxSpeakers = Annotated[
    int | None,
    typer.Option("--max-speakers", min=1, help="At most so many people speak.", show_default=False),
]
Diarizer = Annotated[
    str | None,
    typer.Option(
        "--diarizer",
        help="auto, embedded, community-1 or a pipeline's folder.",
        autocompletion=completion.diarizers,
        show_default=False,
    ),
]
AsrModel = Annotated[
    str | None,
    typer.Option(
        "--asr-model",
        help="Name or folder of the speech recogniser.",
        autocompletion=completion.recognisers,
        show_default=False,
    ),
]
Language = Annotated[
    str | None,
    typer.Option("--language", help="Language of the recording, or of the script.", show_default=False),
]
Engine = Annotated[
    str | None,
    typer.Option(
        "--engine", help="auto, fish, kokoro or echo.", autocompletion=completion.engines, show_default=False
    ),
]
Mode = Annotated[
    str | None,
    typer.Option(
        "--mode", help="sequential or parallel.", autocompletion=completion.modes, show_default=False
    ),
]
Workers = Annotated[
    int | None, typer.Option("--workers", help="Workers in parallel mode.", show_default=False)
]
Executor = Annotated[
    str | None,
    typer.Option(
        "--executor",
        help="Where workers run: local, or ray (a cluster).",
        autocompletion=completion.executors,
        show_default=False,
    ),
]
RayAddress = Annotated[
    str | None,
    typer.Option("--ray-address", help="Of Ray's head: HOST:PORT, or auto.", show_default=False),
]
Checkpoint = Annotated[
    str | None, typer.Option("--checkpoint", help="Folder of fish's checkpoint.", show_default=False)
]
Device = Annotated[
    str | None,
    typer.Option(
        "--device",
        help="Of fish: auto, cpu, cuda, cuda:N or mps.",
        autocompletion=completion.devices,
        show_default=False,
    ),
]
Precision = Annotated[
    str | None,
    typer.Option(
        "--precision",
        help="Of fish: auto, float32, bf16, fp16 or int8.",
        autocompletion=completion.precisions,
        show_default=False,
    ),
]
Compile = Annotated[
    bool | None,
    typer.Option("--compile/--no-compile", help="Compile fish's decoding step first.", show_default=False),
]
BatchSize = Annotated[
    int | None, typer.Option("--batch-size", help="Segments generated together.", show_default=False)
]
MaxStretch = Annotated[
    float | None,
    typer.Option("--max-stretch", help="How much faster a line may be made.", show_default=False),
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        help="Run directory [default: NAME.voiceclone]; of a batch the folder of all [default: voiceclone-batch].",
        show_default=False,
    ),
]
ScriptFile = Annotated[
    Path | None,
    typer.Option("--script", help="What to say instead: SRT, VTT, ASS, JSON or CSV.", show_default=False),
]
TurnsFile = Annotated[
    Path | None,
    typer.Option("--turns", help="Who speaks when, as RTTM: not looked for then.", show_default=False),
]
Background = Annotated[
    str | None,
    typer.Option(
        "--background",
        help="What stays of the original under the new voices: none, duck (all of it, lowered while somebody "
        "speaks) or keep (music and ambience, without the voices).",
        autocompletion=completion.backgrounds,
        show_default=False,
    ),
]
Watermark = Annotated[
    bool | None,
    typer.Option("--watermark/--no-watermark", help="Mark cloned speech inaudibly.", show_default=False),
]
ConsentFile = Annotated[
    Path | None,
    typer.Option("--consent", help="Who agreed to what, per speaker: JSON or CSV.", show_default=False),
]
KeepOriginalAudio = Annotated[
    bool, typer.Option("--keep-original-audio", help="Of a video: keep its own sound as a further track.")
]
Report = Annotated[bool, typer.Option("--report/--no-report", help="Write report.html.")]
UntilOption = Annotated[
    Until | None,
    typer.Option("--until", help="Stop after this stage; a later run goes on.", show_default=False),
]
Force = Annotated[bool, typer.Option("--force", help="Keep nothing that an earlier run has made.")]
References = Annotated[
    list[str] | None,
    typer.Option("--reference", metavar="SPEAKER=FILE", help="A voice for a speaker.", show_default=False),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
ProgressOption = Annotated[
    ProgressMode, typer.Option("--progress", help="How progress is shown on stderr.", case_sensitive=False)
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Nothing on stderr but errors.")]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Also why things are made, and what workers log.")
]
Seed = Annotated[
    int | None, typer.Option("--seed", help="Another seed, other takes of the lines.", show_default=False)
]
