"""What a run shows when it ends: paths or a document on stdout, a summary for people on stderr."""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import typer

from voiceclone_cli.cli.render import say
from voiceclone_cli.errors import Stopped, VoicecloneError
from voiceclone_cli.types import Until

if typing.TYPE_CHECKING:
    from voiceclone_cli.steps.settling import RunResult


def show_result(result: RunResult, *, until: Until | None = None, as_json: bool, quiet: bool) -> NoReturn:
    """Show it, and end with its exit code. ``until``: where the run was told to stop."""
    if as_json:
        from voiceclone_worker.contract import dump_json

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
    from voiceclone_worker.contract import dump_json

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
        Until.CASTING: [*(speaker["reference"] for speaker in document["speakers"]), *lines],
        Until.SPEAKING: [*(row["file"] for row in document["segments"]), *lines],
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
