"""Options that several verbs share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from voiceclone_cli.cli.progress import ProgressMode
from voiceclone_cli.config import (
    BACKGROUNDS,
    ENGINE_CHOICES,
    LOCAL,
    PARALLEL,
    PRECISIONS,
    RAY,
    SEQUENTIAL,
    SETTINGS,
    Settings,
    resolve,
)
from voiceclone_cli.types import Until

# What a shell offers after an option when Tab is pressed. Nothing heavy: a shell asks at every Tab.


Completer = Callable[[str], Iterator[str]]


def _words(*words: str) -> Completer:
    def complete(incomplete: str) -> Iterator[str]:
        return (word for word in words if word.startswith(incomplete))

    return complete


engines = _words(*ENGINE_CHOICES)
modes = _words(SEQUENTIAL, PARALLEL)
devices = _words("auto", "cpu", "cuda", "mps")
precisions = _words(*PRECISIONS)
diarizers = _words("auto", "embedded", "community-1")
backgrounds = _words(*BACKGROUNDS)
executors = _words(LOCAL, RAY)


def models(incomplete: str) -> Iterator[str]:
    """Every model that the registry knows."""
    from voiceclone_cli.models.download import model_entries

    return (entry.name for entry in model_entries() if entry.name.startswith(incomplete))


def recognisers(incomplete: str) -> Iterator[str]:
    """Those of them that recognise speech."""
    return (name for name in models(incomplete) if name.startswith("whisper"))


# The examples under each verb's help: what it does for you, and the line to type.


EXAMPLES: dict[str, tuple[tuple[str, str], ...]] = {
    "run": (
        ("Every line again, in its own speaker's voice", "voiceclone run talk.mp4"),
        ("A translation", "voiceclone run talk.mp4 --script talk.es.srt --out spanish.voiceclone"),
        ("A folder of episodes", "voiceclone run season --out dubbed"),
        ("For a program: one JSON document", "voiceclone run talk.mp4 --quiet --json"),
    ),
    "plan": (
        ("Who speaks, how long it will take, what it needs", "voiceclone plan talk.mp4"),
        ("With another engine", "voiceclone plan talk.mp4 --engine fish"),
    ),
    "report": (
        ("Write report.html again, and look at it", "voiceclone report talk.voiceclone --open"),
        ("Only write it", "voiceclone report talk.voiceclone"),
    ),
    "check": (
        ("Voices, words and sound of every line", "voiceclone check talk.voiceclone"),
        (
            "A gate: exit code 3 where a line is worse",
            "voiceclone check talk.voiceclone --min-similarity 0.3 --max-wer 0.25 --junit check.xml",
        ),
        ("Against an earlier run", "voiceclone check talk.voiceclone --baseline good.voiceclone"),
    ),
    "redo": (
        ("Two lines, another take", "voiceclone redo talk.voiceclone 0007 0012 --seed 3"),
        ("One line, other words", 'voiceclone redo talk.voiceclone 0007 --text "We meet at noon."'),
        ("Call a speaker by name", "voiceclone redo talk.voiceclone --rename SPEAKER_01=Anna"),
    ),
    "verify": (
        ("Is this speech synthetic?", "voiceclone verify talk.voiceclone/mix.wav"),
        ("For a program", "voiceclone verify episode.mp3 --json"),
    ),
    "diarize": (
        ("Who speaks when, as RTTM", "voiceclone diarize talk.mp4 --speakers 2"),
        ("As JSON", "voiceclone diarize talk.mp4 --min-speakers 2 --max-speakers 4 --json"),
    ),
    "script": (
        ("The words, to edit or to translate", "voiceclone script talk.mp4 --output talk.srt"),
        ("Of a recording in Spanish", "voiceclone script charla.wav --language es --output charla.json"),
    ),
    "synth": (
        ("Speak a task file", "voiceclone synth task.json"),
        (
            "Two workers, one JSON document",
            "voiceclone synth a.json b.json --mode parallel --workers 2 --json",
        ),
    ),
    "doctor": (
        ("Is everything there?", "voiceclone doctor"),
        ("For cloning, with these weights", "voiceclone doctor --engine fish --checkpoint openaudio-s1-mini"),
    ),
    "models list": (
        ("Every model: state, size, licence", "voiceclone models list"),
        ("For a program", "voiceclone models list --json"),
    ),
    "models pull": (
        ("All that a run needs", "voiceclone models pull"),
        ("One model", "voiceclone models pull kokoro"),
    ),
    "models verify": (
        ("Hash every file again", "voiceclone models verify"),
        ("One model", "voiceclone models verify whisper-base"),
    ),
    "config show": (
        ("Every setting, and where it came from", "voiceclone config show"),
        ("For a program", "voiceclone config show --json"),
    ),
    "env create": (
        ("Build it", "voiceclone env create"),
        ("Options for pip stand after --", "voiceclone env create -- --index-url https://example.org/simple"),
    ),
    "env show": (
        ("Where it is, and whether it is complete", "voiceclone env show"),
        ("For a program", "voiceclone env show --json"),
    ),
    "env remove": (
        ("This one", "voiceclone env remove"),
        ("Those of older locks too", "voiceclone env remove --all"),
    ),
}
"""By verb: what it is for, and the command."""


def epilog(verb: str) -> str:
    """The end of a verb's help. The mark in its first line keeps the lines as they are."""
    lines = [f"  # {purpose}\n  {command}" for purpose, command in EXAMPLES[verb]]
    return "\b\nExamples:\n" + "\n".join(lines)


def settings_of(options: Mapping[str, Any]) -> Settings:
    """The settings of a command, from all its options by name. Raises InputError, as ``resolve`` does."""
    return resolve({name: options.get(name) for name in SETTINGS})


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
        autocompletion=diarizers,
        show_default=False,
    ),
]
AsrModel = Annotated[
    str | None,
    typer.Option(
        "--asr-model",
        help="Name or folder of the speech recogniser.",
        autocompletion=recognisers,
        show_default=False,
    ),
]
Language = Annotated[
    str | None,
    typer.Option("--language", help="Language of the recording, or of the script.", show_default=False),
]
Engine = Annotated[
    str | None,
    typer.Option("--engine", help="auto, fish, kokoro or echo.", autocompletion=engines, show_default=False),
]
Mode = Annotated[
    str | None,
    typer.Option("--mode", help="sequential or parallel.", autocompletion=modes, show_default=False),
]
Workers = Annotated[
    int | None, typer.Option("--workers", help="Workers in parallel mode.", show_default=False)
]
Executor = Annotated[
    str | None,
    typer.Option(
        "--executor",
        help="Where workers run: local, or ray (a cluster).",
        autocompletion=executors,
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
        autocompletion=devices,
        show_default=False,
    ),
]
Precision = Annotated[
    str | None,
    typer.Option(
        "--precision",
        help="Of fish: auto, float32, bf16, fp16 or int8.",
        autocompletion=precisions,
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
        autocompletion=backgrounds,
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
