"""`voiceclone check`: a finished run, measured; with gates, for regression jobs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from voiceclone_cli.cli.options import AsJson, AsrModel, ProgressOption, Quiet, Verbose
from voiceclone_cli.cli.render import ProgressMode, say, shown_progress
from voiceclone_cli.settings import resolve

if TYPE_CHECKING:
    from voiceclone_cli.checking import Check, Offence, Row

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


def command(
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
    from voiceclone_cli.atomic import check_writable, explain_write_errors
    from voiceclone_cli.checking import Against, Gates, check, to_document, write_check, write_junit
    from voiceclone_worker.contract import dump_json

    gates = Gates(min_similarity, min_margin, max_wer, min_mos, baseline)
    settings = resolve({"asr_model": asr_model})
    if junit is not None:
        with explain_write_errors(junit.parent):
            check_writable(junit)
    with shown_progress(progress, quiet=quiet, verbose=verbose) as show:
        checked = check(run_dir, settings, gates, show, against=Against(against))
        path = write_check(checked)
    if junit is not None:
        write_junit(checked, junit)
    typer.echo(dump_json(to_document(checked)) if as_json else path)
    if not quiet:
        _summarise(checked)
    for offence in checked.offences:
        say(_offence_line(offence))
    raise typer.Exit(0 if checked.passed else _MISSED)


def _summarise(checked: Check) -> None:
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


def _row_line(row: Row) -> str:
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


def _offence_line(offence: Offence) -> str:
    where = offence.segment or ("the run" if offence.speaker is None else "all segments")
    speaker = f" ({offence.speaker})" if offence.speaker else ""
    return f"{where}{speaker}: {offence.message}"
