"""`voiceclone script`: the recording's own words as a script to edit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from voiceclone_cli.cli import options
from voiceclone_cli.cli.render import ProgressMode, say, shown_progress
from voiceclone_cli.settings import resolve


def command(
    input: options.Input,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="A .json or .srt file [default: JSON on stdout].", show_default=False
        ),
    ] = None,
    speakers: options.Speakers = None,
    min_speakers: options.MinSpeakers = None,
    max_speakers: options.MaxSpeakers = None,
    diarizer: options.Diarizer = None,
    asr_model: options.AsrModel = None,
    language: options.Language = None,
    progress: options.ProgressOption = ProgressMode.AUTO,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Write who says what and when, as a script for `run --script`."""
    from voiceclone_cli import media, script
    from voiceclone_cli.atomic import check_writable, explain_write_errors
    from voiceclone_cli.diarization import SpeakerCount
    from voiceclone_cli.listening import hear_turns, hear_words
    from voiceclone_cli.script.segmentation import segments_from_words

    settings = resolve({"diarizer": diarizer, "asr_model": asr_model, "language": language})
    if output is not None:
        script.check_format(output)
        with explain_write_errors(output.absolute().parent):
            check_writable(output)
    count = SpeakerCount(speakers, min_speakers, max_speakers)
    with shown_progress(progress, quiet=quiet, verbose=verbose) as show:
        recording = media.read_recording(input, show)
        diarization = hear_turns(recording, settings, count, show)
        transcript, notes = hear_words(recording, diarization, settings, show)
    lines = segments_from_words(transcript, diarization)
    if output is None:
        typer.echo(script.to_json(lines), nl=False)
    else:
        with explain_write_errors(output.absolute().parent):
            script.write(output, lines)
        typer.echo(output)
    if not quiet:
        for note in (*notes, *lines.notes):
            say(f"note: {note}")
