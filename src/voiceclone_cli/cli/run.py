"""`voiceclone run`: a recording in, every line spoken again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

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
from voiceclone_cli.cli.outcome import show_result
from voiceclone_cli.cli.plan_view import show_plan
from voiceclone_cli.cli.render import ProgressMode, shown_progress
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
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell what would be done, as `voiceclone plan`.")
    ] = False,
    keep_tasks: Annotated[bool, typer.Option("--keep-tasks", help="Leave the task files.")] = False,
    force: Force = False,
    as_json: AsJson = False,
    progress: ProgressOption = ProgressMode.AUTO,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Speak a recording again, every line in its own voice.

    The same command again goes on where it ended, and makes only what is missing or has changed.
    """
    from voiceclone_cli.diarization import SpeakerCount
    from voiceclone_cli.manifest import failure_document
    from voiceclone_cli.planning import PLAN_SCHEMA, plan
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
            if dry_run:
                found = plan(request, show)
            else:
                result = run(request, show)
    except (VoicecloneError, Stopped) as end:
        if as_json:
            failure = failure_document(end)
            typer.echo(dump_json({**failure, "schema": PLAN_SCHEMA} if dry_run else failure))
        raise
    if dry_run:
        show_plan(found, as_json=as_json, quiet=quiet)
    else:
        show_result(result, until=until, as_json=as_json, quiet=quiet)


def _references(pairs: list[str]) -> dict[str, Path]:
    references = {}
    for pair in pairs:
        speaker, sign, path = pair.partition("=")
        if not (speaker and sign and path):
            raise InputError(f"--reference takes SPEAKER=FILE, not {pair!r}", code="bad_reference")
        references[speaker] = Path(path)
    return references
