"""Commands that read a recording or a finished run: check, report, verify, diarize, script and synth."""

from __future__ import annotations

import json
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import typer

from voiceclone_cli import messages
from voiceclone_cli.cli import options
from voiceclone_cli.cli.output import open_in_browser
from voiceclone_cli.cli.progress import Display, print_line
from voiceclone_cli.config import INPUT, OUTPUT, Settings, resolve
from voiceclone_cli.errors import PreflightError

if typing.TYPE_CHECKING:
    from voiceclone_cli.evaluation.model import Evaluation, SegmentScore
    from voiceclone_cli.provenance.verify import Verification
    from voiceclone_cli.types import Script

GATE_FAILED = 3
"""Exit code of a check: everything was measured, and a gate was missed."""
MAX_FLAGGED_ROWS = 20
"""Flagged segments that a check prints; check.json has all."""
MAX_STRETCHES = 20
"""Stretches with the watermark that verify prints; its JSON has all."""
FIT_SCHEMA = "voiceclone.fit/1"
"""Of `script --fit --json`."""
_GATES = "Gates"


@options.with_options("asr_model")
def check_command(
    ctx: typer.Context,
    run_dir: options.RunDirArgument,
    *,
    min_similarity: Annotated[
        float | None, options.option("Lowest similarity to the speaker's voice.", _GATES, min=-1, max=1)
    ] = None,
    min_margin: Annotated[
        float | None, options.option("Lowest lead over the next speaker's voice.", _GATES, min=-2, max=2)
    ] = None,
    max_wer: Annotated[
        float | None,
        options.option(
            "Highest word error rate (character error rate of Chinese, Japanese, Thai); 0.1 is a tenth.",
            _GATES,
            min=0,
        ),
    ] = None,
    min_mos: Annotated[
        float | None, options.option("Lowest sound quality (DNSMOS).", _GATES, min=1, max=5)
    ] = None,
    baseline: Annotated[
        Path | None, options.option("Earlier checked run that this one must not be worse than.", _GATES)
    ] = None,
    against: Annotated[
        Literal["auto", "recording", "reference"],
        options.option("Audio to compare the voices with.", INPUT, show_default=True),
    ] = "auto",
    junit: Annotated[Path | None, options.option("Write JUnit XML for a CI system.")] = None,
    as_json: options.AsJson = False,
    display: Display,
) -> None:
    """Measure voices, words, sound and timing of a finished run.

    Writes check.json into the run directory and prints its path. With a gate, the exit code is 3 when a
    segment misses it, and stderr names the segment.
    """
    from voiceclone_cli.evaluation.evaluate import evaluate, write_evaluation, write_junit
    from voiceclone_cli.evaluation.model import GateLimits, VoiceSource
    from voiceclone_cli.evaluation.output import evaluation_document
    from voiceclone_cli.files import check_writable, friendly_errors
    from voiceclone_cli.report.page import write_report
    from voiceclone_cli.rundir.manifest import RunPaths
    from voiceclone_worker.validation import dump_json

    gates = GateLimits(min_similarity, min_margin, max_wer, min_mos, baseline)
    settings = options.settings_of(ctx)
    if junit is not None:
        with friendly_errors(junit.parent):
            check_writable(junit)
    with display.progress() as progress:
        evaluation = evaluate(run_dir, settings, gates, progress, against=VoiceSource(against))
        path = write_evaluation(evaluation)
        if RunPaths(evaluation.run_dir).report.exists():
            write_report(evaluation.run_dir)
    if junit is not None:
        write_junit(evaluation, junit)
    typer.echo(dump_json(evaluation_document(evaluation)) if as_json else path)
    display.say(*_evaluation_lines(evaluation))
    for line in _gate_lines(evaluation):
        print_line(line)
    raise typer.Exit(0 if evaluation.passed else GATE_FAILED)


def _gate_lines(evaluation: Evaluation) -> Iterator[str]:
    """Yield a line about each gate that was missed, in the user's language."""
    say = messages.current().sentence
    for failure in evaluation.gate_failures:
        where = failure.segment or say("the run" if failure.speaker is None else "all segments")
        speaker = f" ({failure.speaker})" if failure.speaker else ""
        yield f"{where}{speaker}: {say(failure.message)}"


def _evaluation_lines(evaluation: Evaluation) -> list[str]:
    """Return lines about each voice, the flagged segments, and the whole run."""
    lines = [
        f"  {voice.speaker}: similarity {_number(voice.similarity)}, margin {_number(voice.margin, sign=True)}, "
        f"against the {voice.source} ({voice.seconds:.1f} s)"
        for voice in evaluation.voices
    ]
    lines += [f"  note: {note}" for note in evaluation.notes]
    flagged = [row for row in evaluation.rows if row.flags]
    lines += [f"  {_row_line(row)}" for row in flagged[:MAX_FLAGGED_ROWS]]
    if len(flagged) > MAX_FLAGGED_ROWS:
        lines.append(f"  and {len(flagged) - MAX_FLAGGED_ROWS} more, in check.json")
    summary = evaluation.summary
    lines.append(
        f"{'passed' if evaluation.passed else 'failed'}: {summary.done} of {summary.segments} segments, "
        f"{summary.flagged} flagged, similarity {_number(summary.similarity)}, "
        f"margin {_number(summary.margin, sign=True)}, {summary.error_rate.lower()} {_number(summary.wer)}, mos {_number(summary.mos)}"
    )
    return lines


def _row_line(row: SegmentScore) -> str:
    reason = f": {row.error['message']}" if row.error else ""
    if "wrong_words" in row.flags and row.transcript:
        reason = f": recognised as {row.transcript!r:.60}"
    return (
        f"{row.id}  {row.speaker}  similarity {_number(row.similarity):>5}  "
        f"margin {_number(row.margin, sign=True):>5}  {row.error_rate.lower()} {_number(row.wer):>4}  mos {_number(row.mos):>4}  "
        f"{', '.join(row.flags)}{reason}"
    )


def _number(value: float | None, *, sign: bool = False) -> str:
    if value is None:
        return "-"
    return f"{value:+.2f}" if sign else f"{value:.2f}"


@options.with_options("diarizer", "audio_track")
def diarize_command(
    ctx: typer.Context,
    input: options.Input,
    *,
    speakers: options.SpeakerCountOption = None,
    min_speakers: options.MinSpeakers = None,
    max_speakers: options.MaxSpeakers = None,
    as_json: options.AsJson = False,
    display: Display,
) -> None:
    """Print who speaks when, as RTTM or JSON."""
    from dataclasses import asdict

    from voiceclone_cli.analysis.analyzer import diarize_cached
    from voiceclone_cli.analysis.diarization import SpeakerCount
    from voiceclone_cli.analysis.turns import write_rttm
    from voiceclone_cli.audio import reader
    from voiceclone_cli.types import AudioChoice

    settings = options.settings_of(ctx)
    count = SpeakerCount(speakers, min_speakers, max_speakers)
    with display.progress() as progress:
        recording = reader.read_recording(input, progress, AudioChoice(settings.audio_track))
        diarization = diarize_cached(recording, settings, count, progress)
    if as_json:
        document = {
            "schema": "voiceclone.turns/1",
            "diarizer": diarization.diarizer,
            "speakers": list(diarization.speakers),
            "turns": [asdict(turn) for turn in diarization.turns],
        }
        typer.echo(json.dumps(document, ensure_ascii=False))
    else:
        typer.echo(write_rttm(diarization.turns, input.stem), nl=False)
    display.say(*(f"note: {note}" for note in (*recording.notes, *diarization.notes)))


@options.with_options()
def report_command(
    run_dir: options.RunDirArgument,
    *,
    open_page: Annotated[bool, options.option("Open the page in the browser.", OUTPUT, "--open")] = False,
    display: Display,
) -> None:
    """Write a page to see, play and compare every line of a run.

    RUN_DIR/report.html needs no server and no network, and can be moved with its directory.
    """
    from voiceclone_cli.report.page import write_report

    with display.progress() as progress:
        report = write_report(run_dir, progress)
    typer.echo(report)
    if open_page:
        open_in_browser(report)


@options.with_options(
    "language", "encoding", "asr_model", "audio_track", "diarizer", "engine", "max_stretch", "borrow"
)
def script_command(
    ctx: typer.Context,
    input: Annotated[Path, options.argument("INPUT", "Audio or video file; with --fit a script file, too.")],
    *,
    output: Annotated[
        Path | None,
        options.option("File to write, .json or .srt [default: JSON on stdout].", OUTPUT, "--output", "-o"),
    ] = None,
    speakers: options.SpeakerCountOption = None,
    min_speakers: options.MinSpeakers = None,
    max_speakers: options.MaxSpeakers = None,
    lists_fit: Annotated[
        bool,
        options.option(
            "List the lines that are too long for their slots instead of the script.", OUTPUT, "--fit"
        ),
    ] = False,
    as_json: Annotated[
        bool, options.option("With --fit: print all lines as one JSON document.", OUTPUT, "--json")
    ] = False,
    display: Display,
) -> None:
    """Write who says what and when, as a script for `run --script`.

    With --fit, list the lines that are too long for their slots instead: of the recording's own words, or of a
    script file.
    """
    from functools import partial

    from voiceclone_cli.analysis.analyzer import concurrent_transcription, diarize_cached, transcribe_cached
    from voiceclone_cli.analysis.diarization import SpeakerCount
    from voiceclone_cli.analysis.remote import SideBySideAnalyzer
    from voiceclone_cli.audio import reader
    from voiceclone_cli.errors import InputError
    from voiceclone_cli.files import check_writable, friendly_errors
    from voiceclone_cli.script import script_file
    from voiceclone_cli.script.language import transcribed_language
    from voiceclone_cli.script.segmentation import segments_from_words
    from voiceclone_cli.types import AudioChoice

    settings = options.settings_of(ctx)
    if as_json and not lists_fit:
        raise InputError(
            "--json belongs to --fit: without that, the script itself is JSON", code="script_json"
        )
    if lists_fit and script_file.is_script(input):
        _show_fit_of_file(input, settings, output, as_json=as_json, display=display)
        return
    if output is not None:
        script_file.check_format(output)
        with friendly_errors(output.absolute().parent):
            check_writable(output)
    count = SpeakerCount(speakers, min_speakers, max_speakers)
    with display.progress() as progress:
        recording = reader.read_recording(input, progress, AudioChoice(settings.audio_track))
        words = partial(concurrent_transcription, recording, settings, progress)
        with SideBySideAnalyzer(words, progress) as analyzer:
            diarization = diarize_cached(recording, settings, count, progress, analyzer=analyzer)
            transcript, notes = transcribe_cached(
                recording, diarization, settings, progress, analyzer=analyzer
            )
    script = segments_from_words(transcript, diarization)
    language = transcribed_language(transcript, settings.origin("language") if settings.language else None)
    if output is not None:
        with friendly_errors(output.absolute().parent):
            script_file.write_script(output, script)
    if lists_fit:
        _show_fit(script, recording.seconds, settings, as_json=as_json)
    else:
        typer.echo(script_file.to_json(script) if output is None else f"{output}\n", nl=False)
    display.say(f"language: {language.code}, because {language.why}")
    display.say(*(f"note: {note}" for note in (*settings.notes, *recording.notes, *notes, *script.notes)))


def _show_fit_of_file(
    path: Path, settings: Settings, output: Path | None, *, as_json: bool, display: Display
) -> None:
    """Print how the lines of a script file fit their slots; the slot of the last ends where its line does."""
    from voiceclone_cli.errors import InputError
    from voiceclone_cli.script import script_file
    from voiceclone_cli.script.language import choose_language

    if output is not None:
        raise InputError(
            f"--output is for the script of a recording, and {path} is a script", code="script_output"
        )
    read = script_file.read_script(path, None, language="", encoding=settings.encoding)
    given_by = settings.origin("language") if settings.language else ""
    script, language = choose_language(
        read, path, given=settings.language, given_by=given_by, encoding=settings.encoding
    )
    _show_fit(script, max(segment.end for segment in script.segments), settings, as_json=as_json)
    notes = (*settings.notes, *script.notes, *language.warnings)
    display.say(f"language: {language.code}, because {language.why}", *(f"note: {note}" for note in notes))


def _show_fit(script: Script, seconds: float, settings: Settings, *, as_json: bool) -> None:
    """Print how the lines of a script fit their slots in a recording of ``seconds``."""
    from voiceclone_cli.cli.output import too_long_rows
    from voiceclone_cli.engines.select import probe
    from voiceclone_cli.mixing.fit import fit_document, line_fits, load_speech_rates
    from voiceclone_cli.mixing.slots import slot_ends
    from voiceclone_worker.validation import dump_json

    rates = load_speech_rates(probe(settings).engine)
    ends = slot_ends(script.segments, seconds, settings.borrow)
    fits = line_fits(script.segments, ends, rates, settings.max_stretch)
    document = fit_document(script.segments, fits, rates, settings.max_stretch)
    if as_json:
        typer.echo(dump_json({"schema": FIT_SCHEMA, **document}))
    else:
        typer.echo("\n".join(map(messages.current().sentence, too_long_rows(document))))


@options.with_options("tags", "mode", "workers", "watermark")
def synth_command(
    ctx: typer.Context,
    tasks: Annotated[list[Path], options.argument("TASK.json...", "Task files.")],
    *,
    as_json: options.AsJson = False,
    display: Display,
) -> None:
    """Synthesize task files with the same workers as a run.

    Prints the files, or the result as JSON. Exit code: 0 for all segments, 3 for some, 1 for none.
    """
    from voiceclone_cli.pipeline.synth import synthesize_tasks
    from voiceclone_worker.protocol import ReferenceRow, SegmentRow, result_to_json

    settings = options.settings_of(ctx)
    with display.progress() as progress:
        result = synthesize_tasks(tasks, settings, progress)
    if as_json:
        typer.echo(result_to_json(result))
    done = 0
    rows: list[tuple[str, ReferenceRow | SegmentRow]] = [(row.speaker, row) for row in result.references]
    rows += [(row.id, row) for row in result.segments]
    for name, row in rows:
        done += row.status == "done"
        if row.error is not None and row.error != result.error:
            print_line(f"{name} failed ({row.error.code}): {row.error.message}")
        elif row.error is None and not as_json:
            typer.echo(row.file)
        for sentence in row.warnings if isinstance(row, SegmentRow) else ():
            print_line(f"{name} {sentence.removeprefix('It ')}")
    for note in result.notes:
        print_line(f"note: {note}")
    if result.error is not None and not done:
        raise PreflightError(result.error.message, code=result.error.code)
    if result.error is not None:
        print_line(f"{len(rows) - done} of {len(rows)} failed ({result.error.code}): {result.error.message}")
    raise typer.Exit(0 if done == len(rows) else 3 if done else 1)


@options.with_options()
def verify_command(
    file: Annotated[Path, options.argument("FILE", "Audio or video file.")],
    *,
    run_dir: Annotated[
        Path | None,
        options.option(
            "Run directory whose manifest may list the file [default: the one that contains the file].",
            INPUT,
            "--run",
            metavar="RUN_DIR",
        ),
    ] = None,
    as_json: options.AsJson = False,
    display: Display,
) -> None:
    """Look for the watermark of cloned speech in a file.

    Prints the stretches that carry it, tags about synthetic voices, and the run that wrote the file. Exit code: 0
    with the watermark, 3 without or where that cannot be decided, 2 if the file cannot be read.
    """
    from voiceclone_cli.provenance.verify import Verdict, verification_document, verify
    from voiceclone_worker.validation import dump_json

    with display.progress() as progress:
        found = verify(file, resolve({}), run_dir=run_dir, progress=progress)
    if as_json:
        typer.echo(dump_json(verification_document(found)))
    else:
        for line in verification_lines(found):
            typer.echo(messages.current().sentence(line))
    raise typer.Exit(0 if found.detection.verdict is Verdict.WATERMARKED else 3)


def verification_lines(found: Verification) -> Iterator[str]:
    """Yield the verdict, a line for each stretch with the watermark and one for all, the origin and the tags."""
    detection = found.detection
    yield f"{detection.verdict.value}: {found.why}"
    for start, end, confidence in detection.stretches[:MAX_STRETCHES]:
        yield f"  {_clock(start)} to {_clock(end)} (confidence {confidence:.2f})"
    if len(detection.stretches) > MAX_STRETCHES:
        yield f"  and {len(detection.stretches) - MAX_STRETCHES} more stretches"
    if detection.stretches:
        share = detection.marked / detection.speech
        yield f"  {share:.0%} of the speech in {_clock(detection.seconds)}"
    yield f"origin: {found.origin_in_words}"
    for name, text in found.tags.items():
        yield f"tag {name}: {text}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{rest:04.1f}"
