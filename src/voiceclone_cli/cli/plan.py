"""`voiceclone plan`: what `run` would do with the same options."""

from __future__ import annotations

from voiceclone_cli.cli import run
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
    Verbose,
    Watermark,
    Workers,
)
from voiceclone_cli.cli.render import ProgressMode


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
    report: Report = True,
    force: Force = False,
    as_json: AsJson = False,
    progress: ProgressOption = ProgressMode.AUTO,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Tell what `run` would do, how long it takes, what it needs.

    Who speaks, their references and what is left to do; no engine is loaded. What is found out is kept in
    the run directory, so that `run` with the same options goes on from there. Of a finished run nothing is
    changed.
    """
    # Every option of a plan is one of a run.
    run.command(**locals(), dry_run=True)
