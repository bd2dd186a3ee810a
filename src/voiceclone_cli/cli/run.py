"""`voiceclone run`: a recording in, every line spoken again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from voiceclone_cli.cli.options import (
    AsJson,
    AsrModel,
    Background,
    BatchSize,
    Checkpoint,
    Compile,
    ConsentFile,
    Device,
    Diarizer,
    Engine,
    Force,
    Input,
    KeepOriginalAudio,
    Language,
    MaxSpeakers,
    MaxStretch,
    MinSpeakers,
    Mode,
    Out,
    Precision,
    ProgressOption,
    Quiet,
    References,
    Report,
    ScriptFile,
    Seed,
    Speakers,
    TurnsFile,
    UntilOption,
    Verbose,
    Watermark,
    Workers,
)
from voiceclone_cli.cli.render import ProgressMode, say, shown_progress
from voiceclone_cli.errors import InputError, Stopped, VoicecloneError
from voiceclone_cli.settings import resolve


def command(
    input: Input,
    out: Out = None,
    script: ScriptFile = None,
    turns: TurnsFile = None,
    reference: References = None,
    engine: Engine = None,
    checkpoint: Checkpoint = None,
    device: Device = None,
    precision: Precision = None,
    compile: Compile = None,
    mode: Mode = None,
    workers: Workers = None,
    batch_size: BatchSize = None,
    speakers: Speakers = None,
    min_speakers: MinSpeakers = None,
    max_speakers: MaxSpeakers = None,
    diarizer: Diarizer = None,
    asr_model: AsrModel = None,
    language: Language = None,
    max_stretch: MaxStretch = None,
    background: Background = None,
    keep_original_audio: KeepOriginalAudio = False,
    watermark: Watermark = None,
    consent: ConsentFile = None,
    seed: Seed = None,
    until: UntilOption = None,
    report: Report = True,
    keep_tasks: Annotated[bool, typer.Option("--keep-tasks", help="Leave the task files.")] = False,
    force: Force = False,
    as_json: AsJson = False,
    progress: ProgressOption = ProgressMode.AUTO,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Speak a recording again, every line in its own speaker's voice.

    The same command again goes on where it ended, and makes only what is missing or has changed.
    """
    from voiceclone_cli.diarization import SpeakerCount
    from voiceclone_cli.manifest import failure_document
    from voiceclone_cli.request import RunRequest
    from voiceclone_cli.run import run
    from voiceclone_worker.contract import dump_json

    flags = {
        "engine": engine,
        "checkpoint": checkpoint,
        "device": device,
        "precision": precision,
        "compile": compile,
        "mode": mode,
        "workers": workers,
        "batch_size": batch_size,
        "diarizer": diarizer,
        "asr_model": asr_model,
        "language": language,
        "max_stretch": max_stretch,
        "background": background,
        "watermark": watermark,
        "seed": seed,
    }
    try:
        request = RunRequest(
            input=input,
            settings=resolve(flags),
            out=out,
            script=script,
            turns=turns,
            references=_references(reference or []),
            speakers=SpeakerCount(speakers, min_speakers, max_speakers),
            consent=consent,
            until=until,
            keep_original_audio=keep_original_audio,
            report=report,
            keep_tasks=keep_tasks,
            force=force,
        )
        with shown_progress(progress, quiet=quiet, verbose=verbose) as show:
            result = run(request, show)
    except (VoicecloneError, Stopped) as end:
        if as_json:
            typer.echo(dump_json(failure_document(end)))
        raise
    if as_json:
        typer.echo(dump_json(result.document))
    else:
        _print_paths(result.document)
    if not quiet:
        _summarise(result.document)
    raise typer.Exit(result.exit_code)


def _references(pairs: list[str]) -> dict[str, Path]:
    references = {}
    for pair in pairs:
        speaker, sign, path = pair.partition("=")
        if not (speaker and sign and path):
            raise InputError(f"--reference takes SPEAKER=FILE, not {pair!r}", code="bad_reference")
        references[speaker] = Path(path)
    return references


def _print_paths(document: dict[str, Any]) -> None:
    """stdout of a run: one path a line."""
    outputs = document["outputs"]
    for path in (outputs["mix"], *outputs["stems"].values(), outputs["script"], outputs["rttm"]):
        if path:
            typer.echo(path)


def _told_once(errors: list[dict[str, Any]]) -> Iterator[str]:
    """A line for each reason: what failed of it first, and how many more."""
    failed: dict[tuple[str, str], list[str]] = {}
    for error in errors:
        names = failed.setdefault((error["code"], error["message"]), [])
        names.append(error["segment"] or "run")
    for (code, message), names in failed.items():
        # What stopped the run as a whole stands first: the segments that it cost need no counting.
        more = f" and {len(names) - 1} more" if len(names) > 1 and names[0] != "run" else ""
        yield f"{names[0]}{more} failed ({code}): {message}"


def _summarise(document: dict[str, Any]) -> None:
    """For people: the speakers, what went wrong, and one line for the whole."""
    rows = document["segments"]
    done = sum(row["status"] == "done" for row in rows)
    for speaker in document["speakers"]:
        say(
            f"  {speaker['name']}: {speaker['segments']} segments, "
            f"reference {speaker['reference_seconds']:.1f} s"
        )
    for note in document["notes"]:
        say(f"  note: {note}")
    for row in rows:
        if row["overflow_seconds"]:
            say(f"  {row['id']} runs {row['overflow_seconds']:.2f} s past its slot: {row['text']:.50}")
    for line in _told_once(document["errors"]):
        say(f"  {line}")
    reused = f", {document['reused']} of them kept from before" if document["reused"] else ""
    say(
        f"{document['status']}: {done} of {len(rows)} segments{reused}, "
        f"{document['timing']['total']:.1f} s, in {document['run_dir']}"
    )
