"""`voiceclone run`: a recording in, every line spoken again."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated, Any

import typer

from voiceclone_cli.cli import options
from voiceclone_cli.cli.options import AsJson, ProgressOption, Quiet, Verbose
from voiceclone_cli.cli.output import failure_shown, show_plan, show_result
from voiceclone_cli.cli.progress import ProgressMode, View, shown_progress
from voiceclone_cli.errors import InputError
from voiceclone_cli.types import Progress

if typing.TYPE_CHECKING:
    from voiceclone_cli.pipeline.request import RunRequest


# `voiceclone redo`: correct a run, and make only what that changes.


def redo_command(
    run_dir: Annotated[
        Path,
        typer.Argument(metavar="RUN_DIR", help="A directory that `voiceclone run` made.", show_default=False),
    ],
    ids: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ID",
            help="Lines to speak again; without an option below: as another take.",
            show_default=False,
        ),
    ] = None,
    text: Annotated[
        str | None, typer.Option("--text", help="Other words for the line.", show_default=False)
    ] = None,
    speaker: Annotated[
        str | None, typer.Option("--speaker", help="In this speaker's voice.", show_default=False)
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed",
            min=0,
            max=2**32 - 1,
            help="The take that a run with this seed has; the same number is the same take.",
            show_default=False,
        ),
    ] = None,
    rename: Annotated[
        list[str] | None,
        typer.Option(
            "--rename", metavar="OLD=NEW", help="Call a speaker by another name.", show_default=False
        ),
    ] = None,
    merge: Annotated[
        list[str] | None,
        typer.Option(
            "--merge", metavar="OLD=NEW", help="OLD's lines are NEW's, in NEW's voice.", show_default=False
        ),
    ] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Take back what the last redo asked for.")] = False,
    input: Annotated[
        Path | None,
        typer.Option("--input", help="Where the recording is, should it have moved.", show_default=False),
    ] = None,
    as_json: AsJson = False,
    progress: ProgressOption = ProgressMode.AUTO,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Correct a run: other takes, words, speakers, names.

    Only what changes is made again. Corrections are kept in the run directory (corrections.json), and later
    runs in it have them too. Without any, redo goes on with what a run has left undone.
    """
    from voiceclone_cli.corrections.edits import parse_edits
    from voiceclone_cli.pipeline.redo import redo
    from voiceclone_cli.rundir.manifest import failure_document

    with failure_shown(failure_document, as_json=as_json):
        edits = parse_edits(
            ids or [],
            text=text,
            speaker=speaker,
            seed=seed,
            rename=rename or [],
            merge=merge or [],
            undo=undo,
        )
        with shown_progress(progress, quiet=quiet, verbose=verbose) as show:
            result = redo(run_dir, edits, input=input, progress=show)
    show_result(result, as_json=as_json, quiet=quiet)


def run_command(
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
    from voiceclone_cli.batch.inputs import is_single

    if is_single(input or [], list_file):
        _run_one(given)
    else:
        _run_many(given)


def _run_one(given: Mapping[str, Any]) -> None:
    from voiceclone_cli.pipeline.run import run
    from voiceclone_cli.planning.estimate import record_run
    from voiceclone_cli.planning.plan import PLAN_SCHEMA, make_plan
    from voiceclone_cli.rundir.manifest import failure_document

    dry_run, shown = given["dry_run"], _how(given)
    with failure_shown(failure_document, PLAN_SCHEMA if dry_run else None, as_json=given["as_json"]):
        request = _request(given, given["input"][0])
        with _progress(given) as show:
            if dry_run:
                found = make_plan(request, show)
            else:
                result = run(request, show)
                record_run(result)
    if dry_run:
        show_plan(found, **shown)
    else:
        show_result(result, until=given["until"], **shown)


def _run_many(given: Mapping[str, Any]) -> None:
    from voiceclone_cli.batch.inputs import gather
    from voiceclone_cli.batch.model import batch_failure
    from voiceclone_cli.batch.run import BATCH_PLAN_SCHEMA, plan_batch, run_batch
    from voiceclone_cli.cli.output import show_batch, show_batch_plan
    from voiceclone_cli.cli.progress import BATCH_VIEW

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
    from voiceclone_cli.analysis.diarization import SpeakerCount
    from voiceclone_cli.pipeline.request import RunRequest

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


# `voiceclone plan`: what `run` would do with the same options.


def plan_command(
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
    report: options.Report = True,
    force: options.Force = False,
    as_json: options.AsJson = False,
    progress: options.ProgressOption = ProgressMode.AUTO,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Tell what `run` would do, how long it takes, what it needs.

    Who speaks, their references and what is left to do; no engine is loaded. What is found out is kept in
    the run directory, so that `run` with the same options goes on from there. Of a finished run nothing is
    changed.
    """
    # Every option of a plan is one of a run.
    run_command(**locals(), dry_run=True)
