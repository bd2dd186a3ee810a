"""`voiceclone diarize`: who speaks when, as RTTM."""

from __future__ import annotations

import json

import typer

from voiceclone_cli.cli.options import (
    AsJson,
    Diarizer,
    Input,
    MaxSpeakers,
    MinSpeakers,
    ProgressOption,
    Quiet,
    Speakers,
    Verbose,
)
from voiceclone_cli.cli.render import ProgressMode, shown_progress
from voiceclone_cli.settings import resolve


def command(
    input: Input,
    speakers: Speakers = None,
    min_speakers: MinSpeakers = None,
    max_speakers: MaxSpeakers = None,
    diarizer: Diarizer = None,
    as_json: AsJson = False,
    progress: ProgressOption = ProgressMode.AUTO,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Print who speaks when: RTTM, or turns as JSON."""
    from dataclasses import asdict

    from voiceclone_cli import media
    from voiceclone_cli.diarization import SpeakerCount, write_rttm
    from voiceclone_cli.listening import hear_turns

    settings = resolve({"diarizer": diarizer})
    count = SpeakerCount(speakers, min_speakers, max_speakers)
    with shown_progress(progress, quiet=quiet, verbose=verbose) as show:
        found = hear_turns(media.read_recording(input, show), settings, count, show)
    if as_json:
        document = {
            "schema": "voiceclone.turns/1",
            "diarizer": found.diarizer,
            "speakers": list(found.speakers),
            "turns": [asdict(turn) for turn in found.turns],
        }
        typer.echo(json.dumps(document, ensure_ascii=False))
    else:
        typer.echo(write_rttm(found.turns, input.stem), nl=False)
