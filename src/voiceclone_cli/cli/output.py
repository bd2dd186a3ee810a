"""Results of runs, batches and plans: data on stdout, a summary for people on stderr."""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import typer

from voiceclone_cli import messages
from voiceclone_cli.cli.progress import Display, print_line
from voiceclone_cli.errors import Stopped, VoicecloneError
from voiceclone_cli.types import Until

if typing.TYPE_CHECKING:
    from voiceclone_cli.batch.run import BatchResult
    from voiceclone_cli.pipeline.results import RunResult
    from voiceclone_cli.pipeline.translate import TranslatedFile

MAX_BATCH_ROWS = 40
"""Inputs of a batch; of more inputs only the incomplete ones have a row."""
MAX_NAME_WIDTH = 40
"""Cells of the terminal; a Chinese character takes two."""
MAX_OMITTED = 10
"""Texts that are not spoken which a plan shows; its document has all."""

MAX_TOO_LONG = 20
"""Lines that are too long for their slots which a plan shows; its document has all."""


@contextmanager
def failure_as_json(
    failure: Callable[[VoicecloneError | Stopped], dict[str, Any]],
    schema: str | None = None,
    *,
    as_json: bool,
) -> Iterator[None]:
    """Print the document of an error that ends the block, if JSON is wanted; ``schema`` replaces its own."""
    try:
        yield
    except (VoicecloneError, Stopped) as end:
        if as_json:
            _print_json({**failure(end), "schema": schema} if schema else failure(end))
        raise


def _print_json(document: Mapping[str, Any]) -> None:
    from voiceclone_worker.validation import dump_json

    typer.echo(dump_json(document))


def columns(table: Iterable[Sequence[str]], numeric: Sequence[int] = ()) -> Iterator[str]:
    """Yield each row of a table as a line; cells of ``numeric`` columns end at the same place.

    A Chinese character is as wide as two letters.
    """
    from rich.cells import cell_len

    rows = list(table)
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = []
        for number, (cell, width) in enumerate(zip(row, widths, strict=True)):
            blanks = " " * (width - cell_len(cell))
            cells.append(blanks + cell if number in numeric else cell + blanks)
        yield "  ".join(cells).rstrip()


def translated_rows(table: Iterable[Sequence[str]], names: Sequence[int] = ()) -> Iterator[Sequence[str]]:
    """Yield the rows of a table in the user's language; of ``names`` columns only the headings."""
    say = messages.current().sentence
    for number, row in enumerate(table):
        yield [cell if number and column in names else say(cell) for column, cell in enumerate(row)]


def show_result(
    result: RunResult, *, until: Until | None = None, as_json: bool, display: Display
) -> NoReturn:
    """Print a run's result and exit with its code. ``until`` is the stage after which it was to stop."""
    if as_json:
        _print_json(result.document)
    else:
        for path in _output_paths(result.document, until):
            typer.echo(path)
    display.say(*run_summary(result.document, until))
    raise typer.Exit(result.exit_code)


def open_in_browser(page: Path) -> None:
    """Open a report in the user's browser, or print its path where none can be started."""
    if typer.launch(page.absolute().as_uri()) != 0:
        print_line(f"note: no browser could be started; open {page} yourself")


def _output_paths(document: dict[str, Any], until: Until | None) -> list[str]:
    """Return the files that a run has made, the most wanted first."""
    outputs = document["outputs"]
    lines = [outputs["script"], outputs["rttm"]]
    by_stage: dict[Until | None, list[str | None]] = {
        Until.DIARIZATION: [outputs["rttm"]],
        Until.SCRIPT: lines,
        Until.REFERENCES: [*(speaker["reference"] for speaker in document["speakers"]), *lines],
        Until.SYNTHESIS: [*(row["file"] for row in document["segments"]), *lines],
        None: [outputs["video"], outputs["mix"], *outputs["stems"].values(), outputs["report"], *lines],
    }
    return [path for path in by_stage[until] if path]


def run_summary(document: dict[str, Any], until: Until | None = None) -> Iterator[str]:
    """Yield lines about the speakers and the problems of a run, and one about the whole."""
    for speaker in document["speakers"]:
        yield (
            f"  {speaker['name']}: {speaker['segments']} segments, "
            f"reference {speaker['reference_seconds']:.1f} s"
        )
    yield from _found_by(document, "  ")
    for note in document["notes"]:
        yield f"  note: {note}"
    for row in document["segments"]:
        if row["overflow_seconds"]:
            yield f"  {row['id']} runs {row['overflow_seconds']:.2f} s past its slot: {row['text']:.50}"
    yield from _error_lines(document["errors"])
    rows, turns = document["segments"], document["turns"] if until else []
    done = sum(row["status"] == "done" for row in rows)
    stopped = until is not None and not document["errors"]
    if not stopped:
        reused = f", {document['reused']} of them kept from before" if document["reused"] else ""
        whole = f"{document['status']}: {done} of {len(rows)} segments{reused}"
    elif until is Until.DIARIZATION:
        speakers = len({turn["speaker"] for turn in turns})
        whole = f"stopped after {until}: {speakers} speakers, {len(turns)} turns"
    else:
        synthesized = f", {done} of them synthesized" if done else ""
        whole = f"stopped after {until}: {len(rows)} segments{synthesized}"
    yield f"{whole}, {document['timing']['total']:.1f} s, in {document['run_dir']}"
    if stopped:
        yield "the same command without --until continues from there"


def _found_by(document: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    """Yield a line that says how the speakers of a script file were found."""
    from voiceclone_cli.script.speakers import describe_found_by

    if found_by := document["speakers_found"]:
        yield f"{indent}speakers: {describe_found_by(found_by)}"


def _error_lines(errors: list[dict[str, Any]]) -> Iterator[str]:
    """Yield a line for each reason: the first segment that failed with it, and the number of others."""
    failed: dict[tuple[str, str], list[str]] = {}
    for error in errors:
        names = failed.setdefault((error["code"], error["message"]), [])
        names.append(error["segment"] or "run")
    for (code, message), names in failed.items():
        # An error of the run as a whole is first: the segments that it cost need no count.
        more = f" and {len(names) - 1} more" if len(names) > 1 and names[0] != "run" else ""
        yield f"  {names[0]}{more} failed ({code}): {message}"


def show_translation(result: TranslatedFile, *, as_json: bool, display: Display) -> NoReturn:
    """Print the file that a translation was written into, and exit with its code."""
    document = result.document
    if as_json:
        _print_json(document)
    else:
        typer.echo(result.path)
    display.say(*translation_summary(document))
    raise typer.Exit(result.exit_code)


def translation_summary(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield the notes of a translation, and a line about the whole."""
    from voiceclone_cli.languages import name_of

    for note in document["notes"]:
        yield f"  note: {note}"
    whole = f"{document['status']}: {document['done']} of {document['done'] + document['failed']} lines from "
    whole += f"{name_of(document['from'])} to {name_of(document['to'])}"
    if document["from_cache"]:
        whole += f", {document['from_cache']} of them kept from before"
    if document["tokens"]:
        whole += f", {document['tokens']} tokens"
    yield f"{whole}, in {document['output']}"


def show_plan(document: dict[str, Any], *, as_json: bool, display: Display) -> None:
    """Print a plan on stdout."""
    if as_json:
        _print_json(document)
    else:
        _print_plan(document)
    display.say(_plan_note(document["run_dir"]))


def _plan_note(folder: str) -> str:
    return f"nothing was synthesized; the analysis is kept in {folder}, and a run continues from there"


def _print_plan(document: dict[str, Any]) -> None:
    tables = (
        translated_rows(_speaker_rows(document["speakers"]), names=(0,)),
        translated_rows(_stage_rows(document["stages"])),
    )
    omitted = [_omitted_rows(document["omitted"])] if document["omitted"] else []
    long = [too_long_rows(document["fit"])] if document["fit"]["too_long"] else []
    parts = (plan_header(document), *omitted, *long, *map(columns, tables), plan_totals(document))
    say = messages.current().sentence
    typer.echo("\n\n".join("\n".join(map(say, part)) for part in parts))


def plan_header(document: dict[str, Any]) -> Iterator[str]:
    """Yield lines about the input and the settings of a planned run."""
    source, engine = document["input"], document["engine"]
    kind = "video" if source["video"] else "audio"
    yield f"{source['path']}: {_minutes(source['seconds'])} of {kind}, {source['channels']} x {source['rate']} Hz"
    yield f"engine: {engine['why']}"
    if engine["name"] == "fish":
        yield f"device: {engine['device']}, precision {engine['precision']}, checkpoint {engine['checkpoint']}"
        if engine.get("memory"):
            yield f"model of each worker, computed: {engine['memory']['text']}"
    yield (
        f"mode: {document['mode']}, workers: {document['workers']}, threads of each: {document['threads_each']}, "
        f"batch size: {document['batch_size']}"
    )
    yield f"diarizer: {document['diarizer']}, because {document['diarizer_why']}"
    yield f"words: {document['script_from']}"
    yield f"language: {document['language']}, because {document['language_why']}"
    yield from _found_by(document)
    yield f"watermark: {document['watermark'] or 'none'}; background: {document['background']}"


def _omitted_rows(omitted: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield a line about the texts that are not spoken, and one for each of the first of them."""
    from voiceclone_cli.script.sounds import omitted_summary

    yield f"not spoken: {omitted_summary([row['reason'] for row in omitted])}"
    say = messages.current().sentence
    cells = (
        (
            say(row["where"]),
            "" if row["start"] is None else _clock(row["start"]),
            _shortened(" ".join(row["text"].split())),
            say(row["reason"]),
        )
        for row in omitted[:MAX_OMITTED]
    )
    yield from (f"  {line}" for line in columns(cells, numeric=(1,)))
    if len(omitted) > MAX_OMITTED:
        yield f"  and {len(omitted) - MAX_OMITTED:,} more, which --json lists"


def too_long_rows(fit: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line about the lines that are too long for their slots, and one for each of the worst of them.

    ``fit``: of ``fit_document``.
    """
    rows = sorted((row for row in fit["lines"] if not row["fits"]), key=lambda row: -row["overflow_seconds"])
    listed = sorted(rows[:MAX_TOO_LONG], key=lambda row: row["start"])
    yield f"too long: {len(rows)} of {len(fit['lines'])} lines, even {fit['max_stretch']:g} times as fast"
    say = messages.current().sentence
    cells = (
        (
            row["id"],
            _clock(row["start"]),
            say(f"{row['expected_seconds']:.1f} s in a slot of {row['slot_seconds']:.1f} s"),
            say(f"{row['overflow_seconds']:.1f} s over"),
            say(f"{row['characters']} characters, {row['budget']} fit"),
            _shortened(" ".join(row["text"].split())),
        )
        for row in listed
    )
    yield from (f"  {line}" for line in columns(cells, numeric=(1, 2, 3, 4)))
    if len(rows) > MAX_TOO_LONG:
        yield f"  and {len(rows) - MAX_TOO_LONG:,} more, which --json lists"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds, 1), 60)
    return f"{minutes:.0f}:{rest:04.1f}"


def _shortened(text: str) -> str:
    from rich.cells import cell_len, set_cell_size

    if cell_len(text) <= MAX_NAME_WIDTH:
        return text
    return f"{set_cell_size(text, MAX_NAME_WIDTH - 3).rstrip()}..."


def plan_totals(document: dict[str, Any]) -> Iterator[str]:
    """Yield lines about the work, time, memory and disk of a planned run, and notes on what is not listed above."""
    from voiceclone_cli.script.sounds import omitted_note

    segments, total, memory, disk = (document[part] for part in ("segments", "total", "memory", "disk"))
    yield (
        f"segments: {segments['total']}; {len(segments['to_speak'])} to speak, "
        f"{segments['kept']} kept from before"
    )
    yield f"time: about {_duration(total['seconds'])}, probably {_range(total)}{_guessed(total)}"
    yield f"memory: about {memory['needed_mb']} MB{_free(memory['free_mb'])}"
    free_mb = None if disk["free_bytes"] is None else disk["free_bytes"] / 1e6
    yield f"disk: at most {disk['needed_bytes'] / 1e6:.0f} MB{_free(free_mb)}"
    listed = omitted_note([row["reason"] for row in document["omitted"]])
    for note in document["notes"]:
        if note != listed:
            yield f"note: {note}"


def _guessed(total: Mapping[str, Any]) -> str:
    return "" if total["measured"] else ", a guess until these stages have run on this machine"


def _free(megabytes: float | None) -> str:
    return "" if megabytes is None else f" of {megabytes:.0f} MB that are free"


def _speaker_rows(speakers: list[dict[str, Any]]) -> Iterator[tuple[str, ...]]:
    yield "speaker", "speech", "segments", "to speak", "reference", "quality"
    for speaker in speakers:
        yield (
            speaker["name"],
            _minutes(speaker["speech_seconds"]),
            str(speaker["segments"]),
            str(speaker["to_speak"]),
            f"{speaker['reference_seconds']:.1f} s",
            f"{speaker['reference_quality']} ({speaker['reference_snr_db']:.0f} dB over its noise)",
        )


def _stage_rows(stages: list[dict[str, Any]]) -> Iterator[tuple[str, ...]]:
    yield "stage", "time", "probably", "memory", "measured", "work"
    for stage in stages:
        if stage["state"] != "to do":
            yield stage["stage"], stage["state"], "", "", "", ""
            continue
        runs = stage["measured_runs"]
        yield (
            stage["stage"],
            _duration(stage["seconds"]),
            _range(stage),
            f"{stage['memory_mb']} MB",
            f"{runs} run{'' if runs == 1 else 's'}" if runs else "not yet",
            stage["work"],
        )


def _minutes(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else f"{seconds / 60:.1f} min"


def _range(estimate: Mapping[str, Any]) -> str:
    """Return the two bounds of an estimate, with their unit once where it is the same."""
    low, high = _duration(estimate["seconds_low"]), _duration(estimate["seconds_high"])
    unit = low[low.rindex(" ") :]
    return f"{low.removesuffix(unit) if high.endswith(unit) and ' h ' not in high else low} to {high}"


def _duration(seconds: float) -> str:
    """Return a duration with the precision of an estimate."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"


def show_batch(result: BatchResult, *, until: Until | None, as_json: bool, display: Display) -> NoReturn:
    """Print a batch's result and exit with its code. ``until`` is the stage after which runs were to stop."""
    rows = result.document["inputs"]
    if as_json:
        _print_json(result.document)
    else:
        for row in rows:
            if path := main_output(row["outputs"], until):
                typer.echo(path)
        for video in result.document["videos"]:
            if video["languages"]:
                typer.echo(video["path"])
    display.say(*batch_table(rows), *batch_summary(result.document))
    raise typer.Exit(result.exit_code)


def main_output(outputs: Mapping[str, Any], until: Until | None) -> str | None:
    """Return the most wanted file of an input."""
    if until is Until.DIARIZATION:
        return outputs.get("rttm")
    if until is not None:
        return outputs.get("script")
    return outputs.get("video") or outputs.get("mix")


def batch_table(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield a line for each input; of many inputs only for the incomplete ones."""
    shown = rows if len(rows) <= MAX_BATCH_ROWS else [row for row in rows if row["exit_code"]]
    if not shown:
        return
    say_why = messages.current().meaning
    cells = [("name", "status", "segments", "seconds", "")]
    for row in shown:
        name, count = row["name"], row["segments"]
        cells.append(
            (
                _shortened(name),
                row["status"],
                f"{count['done']} of {count['total']}" if count["total"] else "-",
                "-" if row["seconds"] is None else f"{row['seconds']:.1f}",
                say_why(row["error"]["code"], row["error"]["message"]) if row["error"] else "",
            )
        )
    yield from (f"  {line}" for line in columns(translated_rows(cells, names=(0,)), numeric=(2, 3)))


def batch_summary(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield lines about errors of a batch, and one about the whole."""
    rows, timing, workers = document["inputs"], document["timing"], document.get("slots")
    for error in document["errors"]:
        if error["input"] is None:
            yield f"  the batch ({error['code']}): {error['message']}"
    for video in document["videos"]:
        if video["languages"]:
            yield f"video with {', '.join(video['languages'])}: {video['path']}"
    codes = [row["exit_code"] for row in rows]
    whole = f"{document['status']}: {codes.count(0)} of {len(rows)} inputs"
    incomplete = [row["name"] for row in rows if row["exit_code"]]
    if incomplete:
        whole += f", incomplete: {messages.listed(incomplete)}"
    if None in codes:
        whole += f", {codes.count(None)} not started"
    if "total" in timing:
        spent = f", {timing['total']:.1f} s"
        if workers:
            busy = timing["slots_busy"] / max(1e-9, timing["slots_busy"] + timing["slots_idle"])
            spent += f" ({workers} worker{'' if workers == 1 else 's'}, busy {busy:.0%} of the time)"
        whole += spent
    yield f"{whole}, in {document['root']}"
    if incomplete or None in codes:
        yield "the same command again makes what is missing"


def show_batch_plan(document: Mapping[str, Any], *, as_json: bool, display: Display) -> NoReturn:
    """Print the plan of each input of a batch, and their sums."""
    from voiceclone_cli.batch.model import exit_code

    if as_json:
        _print_json(document)
    else:
        for row in document["inputs"]:
            typer.echo(f"== {row['name']}")
            if row["plan"] is None:
                typer.echo(messages.current().meaning(row["error"]["code"], row["error"]["message"]))
            else:
                _print_plan(row["plan"])
            typer.echo()
        for path in document["videos"]:
            typer.echo(messages.current().sentence(f"video with all languages: {path}"))
        total = document["total"]
        whole = (
            f"in all: {total['inputs']} inputs of {_minutes(total['input_seconds'])}, {total['to_speak']} of "
            f"{total['segments']} segments to speak; about {_duration(total['seconds'])} one after the other"
            f"{_guessed(total)}, disk at most {total['disk_bytes'] / 1e6:.0f} MB"
        )
        typer.echo(messages.current().sentence(whole))
    errors = [row for row in document["inputs"] if row["error"]]
    display.say(*(f"  {row['name']}: {row['error']['message']}" for row in errors))
    display.say(_plan_note(document["root"]))
    raise typer.Exit(exit_code(document["inputs"], None))
