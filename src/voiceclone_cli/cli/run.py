"""`voiceclone run`: a recording in, every line spoken again."""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
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
    Executor,
    Force,
    Inputs,
    KeepOriginalAudio,
    Language,
    ListFile,
    MaxSpeakers,
    MaxStretch,
    MinSpeakers,
    Mode,
    Out,
    Precision,
    ProgressOption,
    Quiet,
    RayAddress,
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
    settings_of,
)
from voiceclone_cli.cli.outcome import show_result
from voiceclone_cli.cli.plan_view import show_plan
from voiceclone_cli.cli.render import ProgressMode, View, shown_progress
from voiceclone_cli.errors import InputError, Stopped, VoicecloneError
from voiceclone_cli.types import Progress

if typing.TYPE_CHECKING:
    from voiceclone_cli.steps.request import RunRequest


def command(
    input: Inputs = None,
    list_file: ListFile = None,
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
    executor: Executor = None,
    ray_address: RayAddress = None,
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
    """Speak recordings again, every line in its own voice.

    The same command again goes on where it ended, and makes only what is missing or has changed. Several
    recordings are a batch: each has its own run directory in the folder that --out names.
    """
    options = dict(locals())
    from voiceclone_cli.batch import is_single

    if is_single(input or [], list_file):
        _run_one(options)
    else:
        _run_many(options)


def _run_one(options: Mapping[str, Any]) -> None:
    from voiceclone_cli.planning import PLAN_SCHEMA, plan
    from voiceclone_cli.run import run
    from voiceclone_cli.steps.manifest import failure_document

    dry_run, shown = options["dry_run"], _how(options)
    with _told_as_json(options, failure_document, PLAN_SCHEMA):
        request = _request(options, options["input"][0])
        with _progress(options) as show:
            if dry_run:
                found = plan(request, show)
            else:
                result = run(request, show)
    if dry_run:
        show_plan(found, **shown)
    else:
        show_result(result, until=options["until"], **shown)


def _run_many(options: Mapping[str, Any]) -> None:
    from voiceclone_cli.batch import gather
    from voiceclone_cli.batch.document import batch_failure
    from voiceclone_cli.batch.planned import BATCH_PLAN_SCHEMA, plan_batch
    from voiceclone_cli.batch.running import run_batch
    from voiceclone_cli.cli.batch_progress import BATCH_VIEW
    from voiceclone_cli.cli.batch_view import show_batch, show_batch_plan

    dry_run, shown = options["dry_run"], _how(options)
    with _told_as_json(options, batch_failure, BATCH_PLAN_SCHEMA):
        common = _request(options, Path())
        batch = gather(options["input"] or [], options["list_file"], common)
        with _progress(options, BATCH_VIEW) as show:
            if dry_run:
                found = plan_batch(batch, show)
            else:
                result = run_batch(batch, show)
    if dry_run:
        show_batch_plan(found, **shown)
    else:
        show_batch(result, until=options["until"], **shown)


def _request(options: Mapping[str, Any], input: Path) -> RunRequest:
    from voiceclone_cli.diarization import SpeakerCount
    from voiceclone_cli.steps.request import RunRequest

    as_given = (
        "out",
        "script",
        "turns",
        "consent",
        "until",
        "keep_original_audio",
        "report",
        "keep_tasks",
        "force",
    )
    return RunRequest(
        input=input,
        settings=settings_of(options),
        references=_references(options["reference"] or []),
        speakers=SpeakerCount(options["speakers"], options["min_speakers"], options["max_speakers"]),
        **{name: options[name] for name in as_given},
    )


def _how(options: Mapping[str, Any]) -> dict[str, bool]:
    return {"as_json": options["as_json"], "quiet": options["quiet"]}


def _progress(options: Mapping[str, Any], view: View | None = None) -> AbstractContextManager[Progress]:
    return shown_progress(options["progress"], quiet=options["quiet"], verbose=options["verbose"], view=view)


@contextmanager
def _told_as_json(
    options: Mapping[str, Any],
    failure: Callable[[VoicecloneError | Stopped], dict[str, Any]],
    plan_schema: str,
) -> Iterator[None]:
    """What ends the block early is a document too where one was asked for."""
    from voiceclone_worker.contract import dump_json

    try:
        yield
    except (VoicecloneError, Stopped) as end:
        if options["as_json"]:
            told = failure(end)
            typer.echo(dump_json({**told, "schema": plan_schema} if options["dry_run"] else told))
        raise


def _references(pairs: list[str]) -> dict[str, Path]:
    references = {}
    for pair in pairs:
        speaker, sign, path = pair.partition("=")
        if not (speaker and sign and path):
            raise InputError(f"--reference takes SPEAKER=FILE, not {pair!r}", code="bad_reference")
        references[speaker] = Path(path)
    return references
