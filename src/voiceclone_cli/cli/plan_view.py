"""How a plan is shown: it is what was asked for, so it goes to stdout."""

from __future__ import annotations

import sys
import typing
from collections.abc import Iterator, Mapping
from typing import Any

import typer

from voiceclone_cli.cli.render import say

if typing.TYPE_CHECKING:
    from rich.table import Table

PIPE_WIDTH = 110
"""Characters, where no terminal has a width of its own."""


def show_plan(document: dict[str, Any], *, as_json: bool, quiet: bool) -> None:
    if as_json:
        from voiceclone_worker.contract import dump_json

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
    for line in closing(document):
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


def closing(document: dict[str, Any]) -> Iterator[str]:
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
