"""`voiceclone plan`: what `run` would do with the same options."""

from __future__ import annotations

from voiceclone_cli.cli import options, run
from voiceclone_cli.cli.render import ProgressMode


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
    run.command(**locals(), dry_run=True)
