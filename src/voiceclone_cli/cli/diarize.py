"""`voiceclone diarize`: who speaks when, as RTTM."""

from __future__ import annotations

import json

import typer

from voiceclone_cli.cli import options
from voiceclone_cli.cli.render import ProgressMode, shown_progress
from voiceclone_cli.settings import resolve


def command(
    input: options.Input,
    speakers: options.Speakers = None,
    min_speakers: options.MinSpeakers = None,
    max_speakers: options.MaxSpeakers = None,
    diarizer: options.Diarizer = None,
    as_json: options.AsJson = False,
    progress: options.ProgressOption = ProgressMode.AUTO,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
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
