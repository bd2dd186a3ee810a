"""What a batch shows when it ends: paths or a document on stdout, a table for people on stderr."""

from __future__ import annotations

import sys
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import typer

from voiceclone_cli.batch.model import exit_code
from voiceclone_cli.batch.run import BatchResult
from voiceclone_cli.cli.progress import say
from voiceclone_cli.errors import Stopped, VoicecloneError
from voiceclone_cli.types import Until

if typing.TYPE_CHECKING:
    from rich.table import Table

    from voiceclone_cli.pipeline.results import RunResult


# What a run shows when it ends: paths or a document on stdout, a summary for people on stderr.


def show_result(result: RunResult, *, until: Until | None = None, as_json: bool, quiet: bool) -> NoReturn:
    """Show it, and end with its exit code. ``until``: where the run was told to stop."""
    if as_json:
        from voiceclone_worker.validation import dump_json

        typer.echo(dump_json(result.document))
    else:
        for path in made_paths(result.document, until):
            typer.echo(path)
    if not quiet:
        summarise(result.document, until)
    raise typer.Exit(result.exit_code)


@contextmanager
def failure_shown(
    failure: Callable[[VoicecloneError | Stopped], dict[str, Any]],
    schema: str | None = None,
    *,
    as_json: bool,
) -> Iterator[None]:
    """What ends the block early is a document too where one was asked for: of ``schema``, if not its own."""
    from voiceclone_worker.validation import dump_json

    try:
        yield
    except (VoicecloneError, Stopped) as end:
        if as_json:
            told = failure(end)
            typer.echo(dump_json({**told, "schema": schema} if schema else told))
        raise


def made_paths(document: dict[str, Any], until: Until | None) -> list[str]:
    """stdout of a run: what it made, one path a line, the most wanted first."""
    outputs = document["outputs"]
    turns, lines = [outputs["rttm"]], [outputs["script"], outputs["rttm"]]
    by_stage: dict[Until | None, list[str | None]] = {
        Until.DIARIZATION: turns,
        Until.SCRIPT: lines,
        Until.REFERENCES: [*(speaker["reference"] for speaker in document["speakers"]), *lines],
        Until.SYNTHESIS: [*(row["file"] for row in document["segments"]), *lines],
        None: [outputs["video"], outputs["mix"], *outputs["stems"].values(), outputs["report"], *lines],
    }
    return [path for path in by_stage[until] if path]


def summarise(document: dict[str, Any], until: Until | None = None) -> None:
    """For people: the speakers, what went wrong, and one line for the whole."""
    for speaker in document["speakers"]:
        say(
            f"  {speaker['name']}: {speaker['segments']} segments, "
            f"reference {speaker['reference_seconds']:.1f} s"
        )
    for note in document["notes"]:
        say(f"  note: {note}")
    for row in document["segments"]:
        if row["overflow_seconds"]:
            say(f"  {row['id']} runs {row['overflow_seconds']:.2f} s past its slot: {row['text']:.50}")
    for line in _told_once(document["errors"]):
        say(f"  {line}")
    where = f"{document['timing']['total']:.1f} s, in {document['run_dir']}"
    stopped_there = until is not None and not document["errors"]
    say(f"{_so_far(document, until) if stopped_there and until else _outcome(document)}, {where}")
    if stopped_there:
        say("the same command without --until goes on from there")


def _outcome(document: dict[str, Any]) -> str:
    rows = document["segments"]
    done = sum(row["status"] == "done" for row in rows)
    reused = f", {document['reused']} of them kept from before" if document["reused"] else ""
    return f"{document['status']}: {done} of {len(rows)} segments{reused}"


def _so_far(document: dict[str, Any], until: Until) -> str:
    """Of a run that stopped where it was told to."""
    turns, rows = document["turns"], document["segments"]
    if until is Until.DIARIZATION:
        speakers = len({turn["speaker"] for turn in turns})
        found = f"{speakers} speakers, {len(turns)} turns"
    else:
        done = sum(row["status"] == "done" for row in rows)
        found = f"{len(rows)} segments" + (f", {done} of them spoken" if done else "")
    return f"stopped after {until.value}: {found}"


def _told_once(errors: list[dict[str, Any]]) -> Iterator[str]:
    """A line for each reason: what failed of it first, and how many more."""
    failed: dict[tuple[str, str], list[str]] = {}
    for error in errors:
        names = failed.setdefault((error["code"], error["message"]), [])
        names.append(error["segment"] or "run")
    for (code, message), names in failed.items():
        # What stopped the run as a whole stands first: the segments that it cost need no counting.
        more = f" and {len(names) - 1} more" if len(names) > 1 and names[0] != "run" else ""
        yield f"{names[0]}{more} failed ({code}): {message}"


# How a plan is shown: it is what was asked for, so it goes to stdout.


PIPE_WIDTH = 110
"""Characters, where no terminal has a width of its own."""


def show_plan(document: dict[str, Any], *, as_json: bool, quiet: bool) -> None:
    if as_json:
        from voiceclone_worker.validation import dump_json

        typer.echo(dump_json(document))
    else:
        _print(document)
    if not quiet:
        say(
            f"nothing was spoken; what was found out is kept in {document['run_dir']}, and a run goes on from there"
        )


def _print(document: dict[str, Any]) -> None:
    from rich.console import Console

    console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)
    # Sentences are not wrapped on their way into a file.
    for line in headline(document):
        console.print(line, soft_wrap=not sys.stdout.isatty())
    for table in (_speakers(document["speakers"]), _stages(document)):
        console.print()
        console.print(table)
    console.print()
    for line in plan_closing(document):
        console.print(line, soft_wrap=not sys.stdout.isatty())


def headline(document: dict[str, Any]) -> Iterator[str]:
    """What would be run, and how."""
    source, engine = document["input"], document["engine"]
    kind = "video" if source["video"] else "audio"
    yield f"{source['path']}: {_minutes(source['seconds'])} of {kind}, {source['channels']} x {source['rate']} Hz"
    yield f"engine: {engine['why']}"
    if engine["name"] == "fish":
        yield f"device: {engine['device']}, precision {engine['precision']}, checkpoint {engine['checkpoint']}"
    yield (
        f"mode: {document['mode']}, workers: {document['workers']}, threads of each: {document['threads_each']}, "
        f"batch size: {document['batch_size']}"
    )
    yield f"diarizer: {document['diarizer']}, because {document['diarizer_why']}"
    yield f"words: {document['script_from']}"
    yield f"watermark: {document['watermark'] or 'none'}; background: {document['background']}"


def plan_closing(document: dict[str, Any]) -> Iterator[str]:
    """What is there and what is left, in all."""
    segments, total, memory, disk = (document[part] for part in ("segments", "total", "memory", "disk"))
    to_speak, kept = len(segments["to_speak"]), segments["kept"]
    yield f"segments: {segments['total']}; {to_speak} to speak, {kept} kept from before"
    certainty = "" if total["measured"] else ", a guess until these stages have run on this machine"
    yield (f"time: about {_duration(total['seconds'])}, probably {_between(total)}{certainty}")
    yield f"memory: about {memory['needed_mb']} MB{_free(memory['free_mb'])}"
    free_mb = None if disk["free_bytes"] is None else disk["free_bytes"] / 1e6
    yield f"disk: at most {disk['needed_bytes'] / 1e6:.0f} MB{_free(free_mb)}"
    for note in document["notes"]:
        yield f"note: {note}"


def _free(megabytes: float | None) -> str:
    return "" if megabytes is None else f" of {megabytes:.0f} MB that are free"


def _speakers(speakers: list[dict[str, Any]]) -> Table:
    table = _table("speaker", "speech", "segments", "to speak", "reference", "quality")
    for speaker in speakers:
        table.add_row(
            speaker["name"],
            _minutes(speaker["speech_seconds"]),
            str(speaker["segments"]),
            str(speaker["to_speak"]),
            f"{speaker['reference_seconds']:.1f} s",
            f"{speaker['reference_quality']} ({speaker['reference_snr_db']:.0f} dB over its noise)",
        )
    return table


def _stages(document: dict[str, Any]) -> Table:
    table = _table("stage", "time", "probably", "memory", "measured", "work")
    for stage in document["stages"]:
        if stage["state"] != "to do":
            table.add_row(stage["stage"], stage["state"])
            continue
        runs = stage["measured_runs"]
        table.add_row(
            stage["stage"],
            _duration(stage["seconds"]),
            _between(stage),
            f"{stage['memory_mb']} MB",
            f"{runs} run{'' if runs == 1 else 's'}" if runs else "not yet",
            stage["work"],
        )
    return table


def _table(*columns: str) -> Table:
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for name in columns[:-1]:
        table.add_column(name, no_wrap=True)
    table.add_column(columns[-1], overflow="fold")
    return table


def _minutes(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else f"{seconds / 60:.1f} min"


def _between(estimated: Mapping[str, Any]) -> str:
    """The two bounds, their unit said once where it is the same."""
    low, high = _duration(estimated["seconds_low"]), _duration(estimated["seconds_high"])
    unit = low[low.rindex(" ") :]
    return f"{low.removesuffix(unit) if high.endswith(unit) and ' h ' not in high else low} to {high}"


def _duration(seconds: float) -> str:
    """As exact as an estimate is."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"


MOST_ROWS = 40
"""Beyond so many inputs, those that are whole have no row of their own."""
MOST_NAMED = 5
_WIDEST_NAME = 40

Row = Mapping[str, Any]


def show_batch(result: BatchResult, *, until: Until | None, as_json: bool, quiet: bool) -> NoReturn:
    """Show it, and end with its exit code. ``until``: where the runs were told to stop."""
    rows = result.document["inputs"]
    if as_json:
        from voiceclone_worker.validation import dump_json

        typer.echo(dump_json(result.document))
    else:
        for path in (wanted_output(row["outputs"], until) for row in rows):
            if path:
                typer.echo(path)
    if not quiet:
        for line in (*table(rows), *batch_closing(result.document)):
            say(line)
    raise typer.Exit(result.exit_code)


def wanted_output(outputs: Mapping[str, Any], until: Until | None) -> str | None:
    """Of one input what its run was for."""
    if until is Until.DIARIZATION:
        return outputs.get("rttm")
    if until is not None:
        return outputs.get("script")
    return outputs.get("video") or outputs.get("mix")


def table(rows: Sequence[Row]) -> Iterator[str]:
    """A line for each input with what it came to; of many inputs only for those that are not whole."""
    shown = rows if len(rows) <= MOST_ROWS else [row for row in rows if row["exit_code"]]
    if not shown:
        return
    cells = [("name", "status", "segments", "seconds", "")]
    cells += [
        (
            _cut(row["name"]),
            row["status"],
            _segments(row),
            "-" if row["seconds"] is None else f"{row['seconds']:.1f}",
            row["error"]["message"] if row["error"] else "",
        )
        for row in shown
    ]
    widths = [max(len(cell[column]) for cell in cells) for column in range(4)]
    for name, status, segments, seconds, message in cells:
        yield (
            f"  {name:<{widths[0]}}  {status:<{widths[1]}}  {segments:>{widths[2]}}  {seconds:>{widths[3]}}  "
            f"{message}"
        ).rstrip()


def batch_closing(document: Mapping[str, Any]) -> Iterator[str]:
    """What went wrong with the whole, and one line for all of it."""
    rows, timing = document["inputs"], document["timing"]
    for error in document["errors"]:
        if error["input"] is None:
            yield f"  the batch ({error['code']}): {error['message']}"
    lost = [row["name"] for row in rows if row["exit_code"]]
    failing = f", not whole: {_named(lost)}" if lost else ""
    codes = [row["exit_code"] for row in rows]
    waiting = codes.count(None)
    left = f", {waiting} not begun" if waiting else ""
    took = f", {timing['total']:.1f} s{_use(document)}" if "total" in timing else ""
    yield (
        f"{document['status']}: {codes.count(0)} of {len(rows)} inputs{failing}{left}{took}, "
        f"in {document['root']}"
    )
    if failing or left:
        yield "the same command again makes what is missing"


def show_batch_plan(document: Mapping[str, Any], *, as_json: bool, quiet: bool) -> NoReturn:
    """Each plan, and their sums."""
    if as_json:
        from voiceclone_worker.validation import dump_json

        typer.echo(dump_json(document))
    else:
        for row in document["inputs"]:
            _show_one(row)
        typer.echo(_total(document["total"]))
    if not quiet:
        for row in document["inputs"]:
            if row["error"]:
                say(f"  {row['name']}: {row['error']['message']}")
        say(
            f"nothing was spoken; what was found out is kept in {document['root']}, and a run goes on from there"
        )
    raise typer.Exit(exit_code(document["inputs"], None))


def _show_one(row: Row) -> None:
    typer.echo(f"== {row['name']}")
    if row["plan"] is None:
        typer.echo(row["error"]["message"])
    else:
        show_plan(row["plan"], as_json=False, quiet=True)
    typer.echo()


def _total(total: Mapping[str, Any]) -> str:
    certainty = "" if total["measured"] else ", a guess until these stages have run on this machine"
    return (
        f"in all: {total['inputs']} inputs of {_time(total['input_seconds'])}, {total['to_speak']} of "
        f"{total['segments']} segments to speak; about {_time(total['seconds'])} one after the other"
        f"{certainty}, disk at most {total['disk_bytes'] / 1e6:.0f} MB"
    )


def _use(document: Mapping[str, Any]) -> str:
    """How much of their time the workers worked."""
    timing, slots = document["timing"], document.get("slots")
    if not slots:
        return ""
    busy = timing["slots_busy"] / max(1e-9, timing["slots_busy"] + timing["slots_idle"])
    return f" ({slots} worker{'' if slots == 1 else 's'}, busy {busy:.0%} of the time)"


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def _segments(row: Row) -> str:
    found = row["segments"]
    return f"{found['done']} of {found['total']}" if found["total"] else "-"


def _cut(name: str) -> str:
    return name if len(name) <= _WIDEST_NAME else f"{name[: _WIDEST_NAME - 3]}..."


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more
