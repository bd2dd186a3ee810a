"""What a batch shows when it ends: paths or a document on stdout, a table for people on stderr."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn

import typer

from voiceclone_cli.batch.document import exit_code, tally
from voiceclone_cli.batch.running import BatchResult
from voiceclone_cli.cli.plan_view import show_plan
from voiceclone_cli.cli.render import say
from voiceclone_cli.types import Until

MOST_ROWS = 40
"""Beyond so many inputs, those that are whole have no row of their own."""
MOST_NAMED = 5
_WIDEST_NAME = 40

Row = Mapping[str, Any]


def show_batch(result: BatchResult, *, until: Until | None, as_json: bool, quiet: bool) -> NoReturn:
    """Show it, and end with its exit code. ``until``: where the runs were told to stop."""
    rows = result.document["inputs"]
    if as_json:
        from voiceclone_worker.contract import dump_json

        typer.echo(dump_json(result.document))
    else:
        for path in (wanted_output(row["outputs"], until) for row in rows):
            if path:
                typer.echo(path)
    if not quiet:
        for line in (*table(rows), *closing(result.document)):
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


def closing(document: Mapping[str, Any]) -> Iterator[str]:
    """What went wrong with the whole, and one line for all of it."""
    rows, timing = document["inputs"], document["timing"]
    for error in document["errors"]:
        if error["input"] is None:
            yield f"  the batch ({error['code']}): {error['message']}"
    lost = [row["name"] for row in rows if row["exit_code"]]
    failing = f", not whole: {_named(lost)}" if lost else ""
    waiting = tally(rows).left
    left = f", {waiting} not begun" if waiting else ""
    took = f", {timing['total']:.1f} s{_use(document)}" if "total" in timing else ""
    yield (
        f"{document['status']}: {tally(rows).whole} of {len(rows)} inputs{failing}{left}{took}, "
        f"in {document['root']}"
    )
    if failing or left:
        yield "the same command again makes what is missing"


def show_batch_plan(document: Mapping[str, Any], *, as_json: bool, quiet: bool) -> NoReturn:
    """Each plan, and their sums."""
    if as_json:
        from voiceclone_worker.contract import dump_json

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
