"""`voiceclone run`: a recording in, every line spoken again."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated, Any

import typer

from voiceclone_cli.cli import options
from voiceclone_cli.cli.outcome import failure_shown, show_result
from voiceclone_cli.cli.plan_view import show_plan
from voiceclone_cli.cli.render import ProgressMode, View, shown_progress
from voiceclone_cli.errors import InputError
from voiceclone_cli.types import Progress

if typing.TYPE_CHECKING:
    from voiceclone_cli.steps.request import RunRequest


def command(
    input: options.Inputs = None,
    list_file: options.ListFile = None,
    out: options.Out = None,
    script: options.ScriptFile = None,
    turns: options.TurnsFile = None,
    reference: options.References = None,
    engine: options.Engine = None,
    checkpoint: options.Checkpoint = None,
    device: options.Device = None,
    precision: options.Precision = None,
    compile: options.Compile = None,
    mode: options.Mode = None,
    workers: options.Workers = None,
    executor: options.Executor = None,
    ray_address: options.RayAddress = None,
    batch_size: options.BatchSize = None,
    speakers: options.Speakers = None,
    min_speakers: options.MinSpeakers = None,
    max_speakers: options.MaxSpeakers = None,
    diarizer: options.Diarizer = None,
    asr_model: options.AsrModel = None,
    language: options.Language = None,
    max_stretch: options.MaxStretch = None,
    background: options.Background = None,
    keep_original_audio: options.KeepOriginalAudio = False,
    watermark: options.Watermark = None,
    consent: options.ConsentFile = None,
    seed: options.Seed = None,
    until: options.UntilOption = None,
    report: options.Report = True,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell what would be done, as `voiceclone plan`.")
    ] = False,
    keep_tasks: Annotated[bool, typer.Option("--keep-tasks", help="Leave the task files.")] = False,
    force: options.Force = False,
    as_json: options.AsJson = False,
    progress: options.ProgressOption = ProgressMode.AUTO,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Speak recordings again, every line in its own voice.

    The same command again goes on where it ended, and makes only what is missing or has changed. Several
    recordings are a batch: each has its own run directory in the folder that --out names.
    """
    given = dict(locals())
    from voiceclone_cli.batch import is_single

    if is_single(input or [], list_file):
        _run_one(given)
    else:
        _run_many(given)


def _run_one(given: Mapping[str, Any]) -> None:
    from voiceclone_cli.planning.plan import PLAN_SCHEMA, plan
    from voiceclone_cli.run import run
    from voiceclone_cli.steps.failure import failure_document

    dry_run, shown = given["dry_run"], _how(given)
    with failure_shown(failure_document, PLAN_SCHEMA if dry_run else None, as_json=given["as_json"]):
        request = _request(given, given["input"][0])
        with _progress(given) as show:
            if dry_run:
                found = plan(request, show)
            else:
                result = run(request, show)
    if dry_run:
        show_plan(found, **shown)
    else:
        show_result(result, until=given["until"], **shown)


def _run_many(given: Mapping[str, Any]) -> None:
    from voiceclone_cli.batch import gather
    from voiceclone_cli.batch.document import batch_failure
    from voiceclone_cli.batch.planned import BATCH_PLAN_SCHEMA, plan_batch
    from voiceclone_cli.batch.running import run_batch
    from voiceclone_cli.cli.batch_progress import BATCH_VIEW
    from voiceclone_cli.cli.batch_view import show_batch, show_batch_plan

    dry_run, shown = given["dry_run"], _how(given)
    with failure_shown(batch_failure, BATCH_PLAN_SCHEMA if dry_run else None, as_json=given["as_json"]):
        common = _request(given, Path())
        batch = gather(given["input"] or [], given["list_file"], common)
        with _progress(given, BATCH_VIEW) as show:
            if dry_run:
                found = plan_batch(batch, show)
            else:
                result = run_batch(batch, show)
    if dry_run:
        show_batch_plan(found, **shown)
    else:
        show_batch(result, until=given["until"], **shown)


def _request(given: Mapping[str, Any], input: Path) -> RunRequest:
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
        settings=options.settings_of(given),
        references=_references(given["reference"] or []),
        speakers=SpeakerCount(given["speakers"], given["min_speakers"], given["max_speakers"]),
        **{name: given[name] for name in as_given},
    )


def _how(given: Mapping[str, Any]) -> dict[str, bool]:
    return {"as_json": given["as_json"], "quiet": given["quiet"]}


def _progress(given: Mapping[str, Any], view: View | None = None) -> AbstractContextManager[Progress]:
    return shown_progress(given["progress"], quiet=given["quiet"], verbose=given["verbose"], view=view)


def _references(pairs: list[str]) -> dict[str, Path]:
    references = {}
    for pair in pairs:
        speaker, sign, path = pair.partition("=")
        if not (speaker and sign and path):
            raise InputError(f"--reference takes SPEAKER=FILE, not {pair!r}", code="bad_reference")
        references[speaker] = Path(path)
    return references
