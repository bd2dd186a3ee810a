"""`voiceclone verify`: is a file cloned speech?"""

from __future__ import annotations

import json
import typing
from pathlib import Path
from typing import Annotated, Literal

import typer

from voiceclone_cli.cli import options
from voiceclone_cli.cli.options import (
    AsJson,
    AsrModel,
    Mode,
    ProgressOption,
    Quiet,
    Verbose,
    Watermark,
    Workers,
)
from voiceclone_cli.cli.progress import ProgressMode, say, shown_progress
from voiceclone_cli.config import resolve
from voiceclone_cli.errors import PreflightError

if typing.TYPE_CHECKING:
    from voiceclone_cli.evaluation.model import Evaluation, GateFailure, SegmentScore
    from voiceclone_cli.provenance.verify import Detection


# `voiceclone check`: a finished run, measured; with gates, for regression jobs.


_MISSED = 3
"""Exit code: everything was measured, and not all of it is as good as it was asked to be."""
_WORST = 20
"""Rows that people are shown; check.json has all."""

RunDirArgument = Annotated[
    Path, typer.Argument(metavar="RUN_DIR", help="What `voiceclone run` has left.", show_default=False)
]
MinSimilarity = Annotated[
    float | None,
    typer.Option("--min-similarity", min=-1, max=1, help="Gate: to the speaker's voice.", show_default=False),
]
MinMargin = Annotated[
    float | None,
    typer.Option("--min-margin", min=-2, max=2, help="Gate: over the next speaker.", show_default=False),
]
MaxWer = Annotated[
    float | None,
    typer.Option("--max-wer", min=0, help="Gate: share of wrong words, .1 is a tenth.", show_default=False),
]
MinMos = Annotated[
    float | None,
    typer.Option("--min-mos", min=1, max=5, help="Gate: DNSMOS, 1 to 5.", show_default=False),
]
Baseline = Annotated[
    Path | None,
    typer.Option("--baseline", help="Gate: not worse than this run, checked before.", show_default=False),
]
AgainstOption = Annotated[
    Literal["auto", "recording", "reference"], typer.Option("--against", help="Which voices to compare with.")
]
Junit = Annotated[
    Path | None, typer.Option("--junit", help="Write JUnit XML for a CI system.", show_default=False)
]


def check_command(
    run_dir: RunDirArgument,
    min_similarity: MinSimilarity = None,
    min_margin: MinMargin = None,
    max_wer: MaxWer = None,
    min_mos: MinMos = None,
    baseline: Baseline = None,
    against: AgainstOption = "auto",
    asr_model: AsrModel = None,
    junit: Junit = None,
    as_json: AsJson = False,
    progress: ProgressOption = ProgressMode.AUTO,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Measure a finished run: voices, words, sound, timing.

    Writes check.json into the run directory and prints its path. With a gate the exit code is 3 when a
    segment misses it, and stderr says which.
    """
    from voiceclone_cli.evaluation.evaluate import evaluate, write_evaluation, write_junit
    from voiceclone_cli.evaluation.model import BaselineDifference, GateLimits
    from voiceclone_cli.evaluation.output import evaluation_document
    from voiceclone_cli.files import check_writable, friendly_errors
    from voiceclone_worker.validation import dump_json

    gates = GateLimits(min_similarity, min_margin, max_wer, min_mos, baseline)
    settings = resolve({"asr_model": asr_model})
    if junit is not None:
        with friendly_errors(junit.parent):
            check_writable(junit)
    with shown_progress(progress, quiet=quiet, verbose=verbose) as show:
        checked = evaluate(run_dir, settings, gates, show, against=BaselineDifference(against))
        path = write_evaluation(checked)
    if junit is not None:
        write_junit(checked, junit)
    typer.echo(dump_json(evaluation_document(checked)) if as_json else path)
    if not quiet:
        _summarise(checked)
    for gate_failure in checked.gate_failures:
        say(_offence_line(gate_failure))
    raise typer.Exit(0 if checked.passed else _MISSED)


def _summarise(checked: Evaluation) -> None:
    """For people: each voice, what is remarkable, and the run in a line."""
    for voice in checked.voices:
        likeness = f"similarity {_number(voice.similarity)}, margin {_number(voice.margin, sign=True)}"
        say(f"  {voice.speaker}: {likeness}, against the {voice.source} ({voice.seconds:.1f} s)")
    for note in checked.notes:
        say(f"  note: {note}")
    flagged = [row for row in checked.rows if row.flags]
    for row in flagged[:_WORST]:
        say(f"  {_row_line(row)}")
    if len(flagged) > _WORST:
        say(f"  and {len(flagged) - _WORST} more, in check.json")
    summary = checked.summary
    say(
        f"{'passed' if checked.passed else 'failed'}: {summary.done} of {summary.segments} segments, "
        f"{summary.flagged} flagged, similarity {_number(summary.similarity)}, "
        f"margin {_number(summary.margin, sign=True)}, wer {_number(summary.wer)}, mos {_number(summary.mos)}"
    )


def _row_line(row: SegmentScore) -> str:
    """One segment in columns."""
    reason = f": {row.error['message']}" if row.error else ""
    heard = f": heard {row.heard!r:.60}" if "wrong_words" in row.flags and row.heard else reason
    return (
        f"{row.id}  {row.speaker}  similarity {_number(row.similarity):>5}  "
        f"margin {_number(row.margin, sign=True):>5}  wer {_number(row.wer):>4}  mos {_number(row.mos):>4}  "
        f"{', '.join(row.flags)}{heard}"
    )


def _number(value: float | None, *, sign: bool = False) -> str:
    if value is None:
        return "-"
    return f"{value:+.2f}" if sign else f"{value:.2f}"


def _offence_line(gate_failure: GateFailure) -> str:
    where = gate_failure.segment or ("the run" if gate_failure.speaker is None else "all segments")
    speaker = f" ({gate_failure.speaker})" if gate_failure.speaker else ""
    return f"{where}{speaker}: {gate_failure.message}"


# `voiceclone diarize`: who speaks when, as RTTM.


def diarize_command(
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

    from voiceclone_cli.analysis.analyzer import diarize_cached
    from voiceclone_cli.analysis.diarization import SpeakerCount
    from voiceclone_cli.analysis.turns import write_rttm
    from voiceclone_cli.audio import reader

    settings = resolve({"diarizer": diarizer})
    count = SpeakerCount(speakers, min_speakers, max_speakers)
    with shown_progress(progress, quiet=quiet, verbose=verbose) as show:
        found = diarize_cached(reader.read_recording(input, show), settings, count, show)
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


# `voiceclone report`: a run as a page to look at and to listen to.


def report_command(
    run_dir: Annotated[
        Path,
        typer.Argument(metavar="RUN_DIR", help="A directory that `voiceclone run` made.", show_default=False),
    ],
    open_page: Annotated[bool, typer.Option("--open", help="Show it in the browser.")] = False,
    progress: ProgressOption = ProgressMode.AUTO,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Write a page to see, hear and compare every line of a run.

    RUN_DIR/report.html needs no server and no network, and moves with its directory.
    """
    from voiceclone_cli.report.page import write_report

    with shown_progress(progress, quiet=quiet, verbose=verbose) as show:
        report = write_report(run_dir, show)
    typer.echo(report)
    if open_page and typer.launch(report.as_uri()) != 0:
        say(f"note: no browser could be started; open {report} yourself")


# `voiceclone script`: the recording's own words as a script to edit.


def script_command(
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
    from voiceclone_cli.analysis.analyzer import diarize_cached, transcribe_cached
    from voiceclone_cli.analysis.diarization import SpeakerCount
    from voiceclone_cli.audio import reader
    from voiceclone_cli.files import check_writable, friendly_errors
    from voiceclone_cli.script import script_file
    from voiceclone_cli.script.segmentation import segments_from_words

    settings = resolve({"diarizer": diarizer, "asr_model": asr_model, "language": language})
    if output is not None:
        script_file.check_format(output)
        with friendly_errors(output.absolute().parent):
            check_writable(output)
    count = SpeakerCount(speakers, min_speakers, max_speakers)
    with shown_progress(progress, quiet=quiet, verbose=verbose) as show:
        recording = reader.read_recording(input, show)
        diarization = diarize_cached(recording, settings, count, show)
        transcript, notes = transcribe_cached(recording, diarization, settings, show)
    lines = segments_from_words(transcript, diarization)
    if output is None:
        typer.echo(script_file.to_json(lines), nl=False)
    else:
        with friendly_errors(output.absolute().parent):
            script_file.write_script(output, lines)
        typer.echo(output)
    if not quiet:
        for note in (*notes, *lines.notes):
            say(f"note: {note}")


# `voiceclone synth`: speak task files, for scripts and CI.


def synth_command(
    tasks: Annotated[
        list[Path], typer.Argument(metavar="TASK.json...", help="Task files.", show_default=False)
    ],
    mode: Mode = None,
    workers: Workers = None,
    watermark: Watermark = None,
    as_json: AsJson = False,
    progress: ProgressOption = ProgressMode.AUTO,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Speak task files through the same workers as a run.

    Prints the files, or the result as JSON. Exit code: 0 all spoken, 3 some, 1 none.
    """
    from voiceclone_cli.pipeline.synth import synthesize_tasks
    from voiceclone_worker.protocol import ReferenceRow, SegmentRow, result_to_json

    settings = resolve({"mode": mode, "workers": workers, "watermark": watermark})
    with shown_progress(progress, quiet=quiet, verbose=verbose) as show:
        result = synthesize_tasks(tasks, settings, show)
    if as_json:
        typer.echo(result_to_json(result))
    done = 0
    rows: list[tuple[str, ReferenceRow | SegmentRow]] = [(row.speaker, row) for row in result.references]
    rows += [(row.id, row) for row in result.segments]
    for name, row in rows:
        done += row.status == "done"
        if row.error is not None and row.error != result.error:
            say(f"{name} failed ({row.error.code}): {row.error.message}")
        elif row.error is None and not as_json:
            typer.echo(row.file)
    for note in result.notes:
        say(f"note: {note}")
    if result.error is not None and not done:
        raise PreflightError(result.error.message, code=result.error.code)
    if result.error is not None:
        say(f"{len(rows) - done} of {len(rows)} failed ({result.error.code}): {result.error.message}")
    raise typer.Exit(0 if done == len(rows) else 3 if done else 1)


_MOST_STRETCHES = 20
"""Told to a person; a program gets them all."""


def verify_command(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Any audio or video file.", show_default=False)
    ],
    run_dir: Annotated[
        Path | None,
        typer.Option(
            "--run",
            metavar="RUN_DIR",
            help="Whose manifest to ask for the file [default: the run directory that it lies in].",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
    progress: ProgressOption = ProgressMode.AUTO,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Look for the watermark of cloned speech in a file.

    Says which stretches carry it, which tags speak of synthetic voices, and whether a run wrote the file.
    Exit code: 0 it carries the watermark, 3 none was found or it cannot be decided, 2 the file cannot be read.
    """
    from voiceclone_cli.provenance.verify import Verdict, verification_document, verify
    from voiceclone_worker.validation import dump_json

    with shown_progress(progress, quiet=quiet, verbose=verbose) as show:
        found = verify(file, resolve({}), run_dir=run_dir, progress=show)
    if as_json:
        typer.echo(dump_json(verification_document(found)))
    else:
        typer.echo(f"{found.detection.verdict.value}: {found.why}")
        for line in _stretches(found.detection):
            typer.echo(f"  {line}")
        typer.echo(f"origin: {found.origin_in_words}")
        for name, text in found.tags.items():
            typer.echo(f"tag {name}: {text}")
    raise typer.Exit(0 if found.detection.verdict is Verdict.WATERMARKED else 3)


def _stretches(detection: Detection) -> list[str]:
    """A line for each stretch, and one for the whole."""
    lines = [
        f"{_clock(start)} to {_clock(end)} (confidence {confidence:.2f})"
        for start, end, confidence in detection.stretches[:_MOST_STRETCHES]
    ]
    if len(detection.stretches) > _MOST_STRETCHES:
        lines.append(f"and {len(detection.stretches) - _MOST_STRETCHES} more stretches")
    if detection.stretches:
        share = detection.marked / detection.speech
        lines.append(f"{share:.0%} of the speech in {_clock(detection.seconds)}")
    return lines


def _clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{rest:04.1f}"
