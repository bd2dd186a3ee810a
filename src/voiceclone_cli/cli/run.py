"""Commands that make a run: `voiceclone demo`, `run`, `plan` (what `run` would do), `translate` (its script) and `redo`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from voiceclone_cli.cli import options, output
from voiceclone_cli.cli.progress import Display
from voiceclone_cli.config import INPUT, OUTPUT, SPEAKERS, TRANSLATION, VOICES, WORKERS
from voiceclone_cli.errors import InputError
from voiceclone_cli.types import Until

if TYPE_CHECKING:
    from voiceclone_cli.translation.job import TranslationOptions


@options.with_options("engine", "checkpoint", "device")
def demo_command(
    ctx: typer.Context,
    *,
    out: Annotated[Path, options.option("Run directory.", OUTPUT, "--out", "-o", show_default=True)] = Path(
        "voiceclone-demo"
    ),
    open_page: Annotated[bool, options.option("Open the report in the browser.", OUTPUT, "--open")] = False,
    as_json: options.AsJson = False,
    display: Display,
) -> None:
    """Fetch the models and speak a short sample recording again.

    The recording is of two people, 30 s long, and comes with the installation. The models (about 400 MB) are fetched
    once. The same command continues where it was stopped.
    """
    from voiceclone_cli.pipeline.demo import run_demo
    from voiceclone_cli.planning.estimate import record_run
    from voiceclone_cli.rundir.manifest import failure_document

    with output.failure_as_json(failure_document, as_json=as_json), display.progress() as progress:
        result = run_demo(options.settings_of(ctx), out, progress)
        record_run(result)
    report = result.document["outputs"]["report"]
    if open_page and report:
        output.open_in_browser(Path(report))
    output.show_result(result, as_json=as_json, display=display)


Inputs = Annotated[
    list[Path] | None,
    options.argument(
        "INPUT", "Audio or video file. Several, a folder or a pattern ('talks/*.m4a') make a batch."
    ),
]
ListFile = Annotated[
    Path | None,
    options.option("CSV or JSON Lines file with a recording and its options in each row.", INPUT, "--list"),
]
ScriptFile = Annotated[
    Path | None,
    options.option("Script to speak instead, as SRT, VTT, ASS, JSON or CSV.", INPUT, "--script", "-s"),
]
Targets = Annotated[
    str | None,
    options.option(
        "Language to translate the script into before it is spoken; several with commas between them.",
        TRANSLATION,
        "--to",
        metavar="CODE[,CODE...]",
    ),
]
TurnsFile = Annotated[Path | None, options.option("RTTM file of turns, instead of diarization.", SPEAKERS)]
References = Annotated[
    list[str] | None, options.option("Reference audio for a speaker.", VOICES, metavar="SPEAKER=FILE")
]
ConsentFile = Annotated[
    Path | None, options.option("Consent of each speaker to be cloned, as JSON or CSV.", VOICES)
]
RunFolder = Annotated[
    Path | None,
    options.option(
        "Run directory [default: NAME.voiceclone]; for a batch the folder of all run directories "
        "[default: voiceclone-batch].",
        OUTPUT,
        "--out",
        "-o",
    ),
]
KeepOriginalAudio = Annotated[
    bool,
    options.option("Keep the original sound as another track of the video.", OUTPUT, "--keep-original-audio"),
]
OneVideo = Annotated[
    bool,
    options.option("Write one video too, with a track for each language of --to.", OUTPUT, "--one-video"),
]
WithReport = Annotated[
    bool, options.option("Write report.html.", OUTPUT, "--report/--no-report", show_default=True)
]
LastStage = Annotated[
    Until | None, options.option("Stop after this stage; a later run continues from there.")
]
DryRun = Annotated[
    bool,
    options.option(
        "Print the plan of the run without running it, as `plan` does.", OUTPUT, "--dry-run", "-n"
    ),
]
KeepTasks = Annotated[bool, options.option("Keep the task files of the workers.", WORKERS, "--keep-tasks")]
Force = Annotated[
    bool,
    options.option("Repeat every stage instead of reusing earlier results.", OUTPUT, "--force", "-f"),
]


@options.with_options(
    "language", "encoding", "asr_model", "audio_track", "speak_sounds", "diarizer", "speaker_labels", "engine", "checkpoint",
    "accept_license", "tags", "device", "precision", "compile", "voice_effort", "seed", "mode", "workers", "batch_size", "executor", "ray_address",
    "max_stretch", "borrow", "background", "watermark", "strict", *options.TRANSLATOR_SETTINGS,
)  # fmt: skip
def run_command(
    ctx: typer.Context,
    *,
    input: Inputs = None,
    list_file: ListFile = None,
    script: ScriptFile = None,
    to: Targets = None,
    context: options.ContextFile = None,
    glossary: options.GlossaryFile = None,
    turns: TurnsFile = None,
    speakers: options.SpeakerCountOption = None,
    min_speakers: options.MinSpeakers = None,
    max_speakers: options.MaxSpeakers = None,
    reference: References = None,
    consent: ConsentFile = None,
    out: RunFolder = None,
    keep_original_audio: KeepOriginalAudio = False,
    one_video: OneVideo = False,
    report: WithReport = True,
    until: LastStage = None,
    dry_run: DryRun = False,
    keep_tasks: KeepTasks = False,
    force: Force = False,
    as_json: options.AsJson = False,
    display: Display,
) -> None:
    """Speak every line of a recording again in its speaker's voice.

    The same command continues an unfinished run, and repeats only what is missing or has changed. Several
    recordings are a batch, with a run directory for each in the folder that --out names.
    """
    from voiceclone_cli.analysis.diarization import SpeakerCount
    from voiceclone_cli.batch.inputs import gather, is_single
    from voiceclone_cli.batch.model import batch_failure
    from voiceclone_cli.batch.run import BATCH_PLAN_SCHEMA, plan_batch, run_batch
    from voiceclone_cli.pipeline.request import RunRequest
    from voiceclone_cli.pipeline.run import run
    from voiceclone_cli.planning.estimate import record_run
    from voiceclone_cli.planning.plan import PLAN_SCHEMA, make_plan
    from voiceclone_cli.rundir.manifest import failure_document

    # 1. One recording or a batch, to be run or planned.
    dry_run = dry_run or ctx.info_name == "plan"
    single = is_single(input or [], list_file) and "," not in (to or "")
    failure, plan_schema = (failure_document, PLAN_SCHEMA) if single else (batch_failure, BATCH_PLAN_SCHEMA)
    show: Callable[..., None]
    with output.failure_as_json(failure, plan_schema if dry_run else None, as_json=as_json):
        # 2. The request for it; that of a batch has what its recordings have in common.
        targets = _translations(to, context, glossary)
        if one_video:
            _check_one_video(targets, until)
        request = RunRequest(
            input=input[0] if single and input else Path(),
            settings=options.settings_of(ctx),
            out=out,
            script=script,
            turns=turns,
            references=_parse_references(reference or []),
            speakers=SpeakerCount(speakers, min_speakers, max_speakers),
            consent=consent,
            translation=targets[0] if single and targets else None,
            until=until,
            keep_original_audio=keep_original_audio,
            report=report,
            keep_tasks=keep_tasks,
            force=force,
        )
        batch = None if single else gather(input or [], list_file, request, targets, one_video=one_video)
        # 3. Its run or its plan.
        with display.progress() as progress:
            if batch is None and dry_run:
                show = partial(output.show_plan, make_plan(request, progress))
            elif batch is None:
                result = run(request, progress)
                record_run(result)
                show = partial(output.show_result, result, until=until)
            elif dry_run:
                show = partial(output.show_batch_plan, plan_batch(batch, progress))
            else:
                show = partial(output.show_batch, run_batch(batch, progress), until=until)
    # 4. Data on stdout, a summary on stderr, and the exit code.
    show(as_json=as_json, display=display)


def _translations(
    to: str | None, context: Path | None, glossary: Path | None
) -> tuple[TranslationOptions, ...]:
    """Return the translations that the options ask for, one for each language."""
    from voiceclone_cli.translation.job import TranslationOptions, parse_targets

    if to is None:
        for name, value in (("--context", context), ("--glossary", glossary)):
            if value is not None:
                raise InputError(
                    f"{name} is for a translation: give its language with --to.", code="no_target"
                )
        return ()
    return tuple(TranslationOptions(tag, context, glossary) for tag in parse_targets(to))


def _check_one_video(targets: Sequence[TranslationOptions], until: Until | None) -> None:
    """Raise InputError unless there are runs to the end in several languages."""
    if len(targets) < 2:
        raise InputError(
            "--one-video is for several languages: give them with --to, as in --to es,fr; a run in one language writes its "
            "own video.",
            code="one_video",
        )
    if until is not None:
        raise InputError(
            "--one-video needs the sound of each language, which a run with --until does not make: leave one of them out.",
            code="one_video",
        )


@options.with_options(
    "language", "encoding", "asr_model", "audio_track", "speak_sounds", "diarizer", "speaker_labels", "engine",
    "max_stretch", "borrow", "strict", *options.TRANSLATOR_SETTINGS,
)  # fmt: skip
def translate_command(
    ctx: typer.Context,
    source: Annotated[Path, options.argument("SOURCE", "Recording, script file or run directory.")],
    *,
    to: Annotated[str, options.option("Language to translate into.", TRANSLATION, "--to", metavar="CODE")],
    out: Annotated[
        Path | None,
        options.option(
            "File to write, .json, .srt or .vtt [default: NAME.CODE.json].", OUTPUT, "--output", "-o"
        ),
    ] = None,
    context: options.ContextFile = None,
    glossary: options.GlossaryFile = None,
    speakers: options.SpeakerCountOption = None,
    min_speakers: options.MinSpeakers = None,
    max_speakers: options.MaxSpeakers = None,
    force: Annotated[
        bool, options.option("Replace a file that was edited since.", OUTPUT, "--force", "-f")
    ] = False,
    as_json: options.AsJson = False,
    display: Display,
) -> None:
    """Translate a script into a file to edit and to speak.

    The file is for `run --script`. It has each line's speaker, times and original text, and whether the line fits its slot. The same command
    continues an interrupted translation, and asks only for lines that have changed. Exit code: 0 for all lines, 3 where
    some could not be translated and are in the original language.
    """
    from voiceclone_cli.analysis.diarization import SpeakerCount
    from voiceclone_cli.pipeline.request import RunRequest
    from voiceclone_cli.pipeline.translate import translate_source, translation_failure

    with output.failure_as_json(translation_failure, as_json=as_json):
        translations = _translations(to, context, glossary)
        if len(translations) > 1:
            raise InputError(
                "translate writes one language: give a command for each, or `run --to` several.",
                code="bad_target_language",
            )
        request = RunRequest(
            input=source,
            settings=options.settings_of(ctx),
            speakers=SpeakerCount(speakers, min_speakers, max_speakers),
            translation=translations[0],
        )
        with display.progress() as progress:
            result = translate_source(request, out, force=force, progress=progress)
    output.show_translation(result, as_json=as_json, display=display)


def _parse_references(pairs: list[str]) -> dict[str, Path]:
    references = {}
    for pair in pairs:
        speaker, sign, path = pair.partition("=")
        if not (speaker and sign and path):
            raise InputError(f"--reference takes SPEAKER=FILE, not {pair!r}", code="bad_reference")
        references[speaker] = Path(path)
    return references


@options.with_options()
def redo_command(
    run_dir: options.RunDirArgument,
    ids: Annotated[
        list[str] | None,
        options.argument("ID", "Lines to speak again; without --text, --speaker or --seed as another take."),
    ] = None,
    *,
    input: Annotated[Path | None, options.option("Path of the recording, if it has moved.", INPUT)] = None,
    text: Annotated[str | None, options.option("New text of the line.", INPUT)] = None,
    split: Annotated[
        list[str] | None,
        options.option("Split a line at a time, or before words of it.", INPUT, metavar="ID@TIME|ID@WORDS"),
    ] = None,
    join: Annotated[
        tuple[str, str] | None,
        options.option("Join two lines of a speaker.", INPUT, metavar="ID ID"),
    ] = None,
    move: Annotated[
        list[str] | None,
        options.option("New start of a line; +TIME or -TIME from the old one.", INPUT, metavar="ID=TIME"),
    ] = None,
    drop: Annotated[list[str] | None, options.option("Drop a line.", INPUT, metavar="ID")] = None,
    speaker: Annotated[
        list[str] | None,
        options.option("New speaker of the lines, or of one line.", SPEAKERS, metavar="NAME|ID=NAME"),
    ] = None,
    rename: Annotated[
        list[str] | None, options.option("Rename a speaker.", SPEAKERS, metavar="OLD=NEW")
    ] = None,
    merge: Annotated[
        list[str] | None, options.option("Give all lines of OLD to speaker NEW.", SPEAKERS, metavar="OLD=NEW")
    ] = None,
    seed: Annotated[
        int | None,
        options.option(
            "Seed of the take; the same number gives the same take.", VOICES, min=0, max=2**32 - 1
        ),
    ] = None,
    undo: Annotated[bool, options.option("Undo the last redo.", OUTPUT, "--undo")] = False,
    as_json: options.AsJson = False,
    display: Display,
) -> None:
    """Correct the lines and speakers of a run.

    Only what changes is made again. Corrections are kept in the run directory (corrections.json) and hold for
    later runs in it too. Without a correction, redo continues an unfinished run.
    """
    from voiceclone_cli.corrections.edits import parse_edits
    from voiceclone_cli.pipeline.redo import redo
    from voiceclone_cli.rundir.manifest import failure_document

    with output.failure_as_json(failure_document, as_json=as_json):
        edits = parse_edits(
            ids or [],
            text=text,
            speaker=speaker or [],
            seed=seed,
            rename=rename or [],
            merge=merge or [],
            split=split or [],
            join=join,
            move=move or [],
            drop=drop or [],
            undo=undo,
        )
        with display.progress() as progress:
            result = redo(run_dir, edits, input=input, progress=progress)
    output.show_result(result, as_json=as_json, display=display)
