"""How a batch is followed on stderr: as many lines for a thousand files as for two."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import traceback
import typing
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum

from voiceclone_cli.batch.model import BATCH_FILES
from voiceclone_cli.config import redact
from voiceclone_cli.errors import VoicecloneError
from voiceclone_cli.types import Progress, ProgressEvent, no_progress
from voiceclone_cli.workers.queue import SYNTHESIS

if typing.TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID


# What a person sees: bars, lines and errors on stderr. Data goes to stdout, elsewhere.


NOTE, LOG = "note", "log"
"""Stages of events that are a sentence: for everybody, and for whoever wants to know more."""


class ProgressMode(StrEnum):
    AUTO = "auto"
    RICH = "rich"
    PLAIN = "plain"
    JSON = "json"
    NONE = "none"


def say(line: str) -> None:
    """One line for people. A closed stderr ends nothing."""
    try:
        # In one write, so that the lines of two threads never mix.
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


def say_error(message: str) -> None:
    say(f"voiceclone: {message}")


@dataclass(frozen=True, slots=True)
class View:
    """How progress looks on a terminal, and in lines elsewhere."""

    bars: Callable[[], AbstractContextManager[Progress]]
    lines: Callable[[], Progress]


@contextmanager
def shown_progress(
    mode: ProgressMode, *, quiet: bool = False, verbose: bool = False, view: View | None = None
) -> Iterator[Progress]:
    """A Progress that shows itself as asked; auto is bars on a terminal and lines elsewhere.

    ``verbose`` also shows events of the stage "log" (why something is made again, what a worker logs) and
    where an error that ends the block came from; ``quiet`` beats it. ``view`` is by default that of one run.
    """
    view = view or View(_bars, PlainLines)
    if mode is ProgressMode.AUTO:
        mode = ProgressMode.RICH if _lively() else ProgressMode.PLAIN
    try:
        if quiet or mode is ProgressMode.NONE:
            yield no_progress
        elif mode is ProgressMode.RICH:
            with view.bars() as show:
                yield _unbreakable(show if verbose else _without_log(show))
        else:
            lines = view.lines() if mode is ProgressMode.PLAIN else _json_line
            yield _unbreakable(lines if verbose else _without_log(lines))
    except VoicecloneError as error:
        if verbose and not quiet:
            say(redact("".join(traceback.format_exception(error))).rstrip())
        raise


def _lively() -> bool:
    """Whether stderr is a terminal on which lines can be drawn anew."""
    return sys.stderr.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")


def _without_log(show: Progress) -> Progress:
    def filtered(event: ProgressEvent) -> None:
        if event.stage != LOG:
            show(event)

    return filtered


def _unbreakable(show: Progress) -> Progress:
    """A rendering error never ends a run: it is said once, then nothing more is shown."""
    broken = False

    def guarded(event: ProgressEvent) -> None:
        nonlocal broken
        if broken:
            return
        try:
            show(event)
        except Exception as error:
            broken = True
            say(f"progress can no longer be shown ({error})")

    return guarded


def _json_line(event: ProgressEvent) -> None:
    document: dict[str, object] = {
        "stage": event.stage,
        "completed": float(event.completed),
        "total": None if event.total is None else float(event.total),
        "worker": event.worker,
        "note": event.note,
    }
    if event.input:
        document["input"] = event.input
    say(json.dumps(document, ensure_ascii=False))


def sentence(event: ProgressEvent) -> str:
    """Who says it, and what."""
    return ": ".join(part for part in (event.input, event.worker, event.note) if part)


class PlainLines:
    """Lines off a terminal: each stage's begin, every tenth of it, and its end; nothing of how far each worker is."""

    def __init__(self, write: Callable[[str], None] = say) -> None:
        self._write = write
        self._said: dict[str, int] = {}

    def __call__(self, event: ProgressEvent) -> None:
        if event.stage in (NOTE, LOG):
            self._write(sentence(event))
            return
        if event.worker is not None:
            return
        tenth = int(10 * event.completed / event.total) if event.total else 0
        if tenth > self._said.get(event.stage, -1):
            self._said[event.stage] = tenth
            share = f"{10 * min(tenth, 10)} %" if event.total else "..."
            self._write(f"{event.stage}: {share}" + (f" ({event.note})" if event.note else ""))


@contextmanager
def _bars() -> Iterator[Progress]:
    """A bar for each stage and each worker."""
    with drawn_bars() as bars:
        tasks: dict[tuple[str, str | None], TaskID] = {}

        def show(event: ProgressEvent) -> None:
            if event.stage in (NOTE, LOG):
                bars.console.print(sentence(event), style="dim", markup=False)
                return
            key = (event.stage, event.worker)
            if key not in tasks:
                name = f"  {event.worker}" if event.worker else event.stage
                tasks[key] = bars.add_task(name, total=event.total, note="")
            total = None if event.worker else event.total
            note = "" if total is not None and event.completed >= total else event.note
            bars.update(tasks[key], completed=event.completed, total=total, note=plain(note))
            if total is not None and event.completed >= total:
                for worker in [name for name in tasks if name[0] == event.stage and name[1]]:
                    _close(bars, tasks[worker])

        yield show


@contextmanager
def drawn_bars() -> Iterator[Bars]:
    """Bars that are drawn within the block, for as long as there is a terminal to draw them on."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        SpinnerColumn,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
    )
    from rich.table import Column

    # The note takes what the others leave, and is cut there.
    columns = (
        SpinnerColumn(finished_text="[green]✓"),
        TextColumn("{task.description}", table_column=Column(min_width=13, no_wrap=True)),
        BarColumn(bar_width=24, table_column=Column(min_width=24)),
        TaskProgressColumn(table_column=Column(min_width=4, no_wrap=True)),
        TimeElapsedColumn(table_column=Column(min_width=7, no_wrap=True)),
        TextColumn(
            "[dim]{task.fields[note]}", table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis")
        ),
    )
    bars = Progress(*columns, console=Console(stderr=True, highlight=False), expand=True)
    bars.start()
    try:
        yield bars
    finally:
        with suppress(OSError):
            bars.stop()


def _close(bars: Bars, task: TaskID) -> None:
    """A worker's bar shows its share of the work; it is complete when the stage is."""
    (row,) = (row for row in bars.tasks if row.id == task)
    bars.update(task, total=max(1.0, row.completed), note=f"{row.completed:.0f} done")


def plain(text: str) -> str:
    """Text of an input is never markup."""
    from rich.markup import escape

    return escape(text)


MOST_STAGES, MOST_WORKERS = 4, 4
"""Bars at a time, beside those of the files and of the synthesis."""
SILENT_SECONDS = 20.0
"""After which a worker's bar may go to another."""


@dataclass(slots=True)
class Sum:
    """How far a stage is, over all files that have come to it."""

    completed: float = 0.0
    total: float = 0.0
    by_input: dict[str, tuple[float, float]] = field(default_factory=dict)

    def take(self, event: ProgressEvent) -> None:
        completed, total = self.by_input.get(event.input, (0.0, 0.0))
        self.completed += event.completed - completed
        self.total += (event.total or 0.0) - total
        self.by_input[event.input] = event.completed, event.total or 0.0

    def close(self, name: str) -> None:
        """The file has ended: what it has not done of the stage will not be done."""
        completed, total = self.by_input.pop(name, (0.0, 0.0))
        self.total -= total - completed

    @property
    def is_busy(self) -> bool:
        return any(completed < total for completed, total in self.by_input.values())


class BatchLines:
    """Off a terminal: each file's begin and end, and every tenth of the whole."""

    def __init__(self, write: Callable[[str], None] = say) -> None:
        self._write = write
        self._of_all = PlainLines(write)
        self._begun: set[str] = set()
        self._lock = threading.Lock()

    def __call__(self, event: ProgressEvent) -> None:
        with self._lock:
            if event.stage in (NOTE, LOG) or not event.input:
                self._of_all(event)
            elif event.stage == BATCH_FILES:
                self._begun.discard(event.input)
                self._write(sentence(event))
                self._of_all(ProgressEvent(BATCH_FILES, event.completed, event.total))
            elif event.input not in self._begun:
                self._begun.add(event.input)
                self._write(f"{event.input}: begins")


class BatchBars:
    """On a terminal: a bar for the files, one for the synthesis and for each other stage that some file is in,
    and one for each of a few workers."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._sums: dict[str, Sum] = {}
        self._tasks: dict[str, TaskID] = {}
        self._workers: dict[str, tuple[TaskID, float]] = {}
        self._unseen: set[str] = set()
        self._lock = threading.Lock()

    def __call__(self, event: ProgressEvent) -> None:
        with self._lock:
            if event.stage in (NOTE, LOG):
                self._bars.console.print(sentence(event), style="dim", markup=False)
            elif event.worker is not None:
                self._show_worker(event.worker, event)
            elif event.stage == BATCH_FILES:
                self._show_files(event)
            else:
                self._sums.setdefault(event.stage, Sum()).take(event)
                self._show_stages()

    def _show_files(self, event: ProgressEvent) -> None:
        self._bars.update(
            self._task(BATCH_FILES), completed=event.completed, total=event.total, note=plain(sentence(event))
        )
        for found in self._sums.values():
            found.close(event.input)
        self._show_stages()
        if event.completed == event.total:
            for task, _ in self._workers.values():
                self._bars.update(task, visible=False)

    def _show_stages(self) -> None:
        busy = [stage for stage, found in self._sums.items() if found.is_busy and stage != SYNTHESIS]
        shown = {SYNTHESIS, *busy[-MOST_STAGES:]}
        for stage, found in self._sums.items():
            if stage in shown or stage in self._tasks:
                self._bars.update(
                    self._task(stage),
                    completed=found.completed,
                    total=found.total or None,
                    visible=stage in shown,
                    note=self._crowd() if stage == SYNTHESIS else "",
                )

    def _show_worker(self, worker: str, event: ProgressEvent) -> None:
        now = time.monotonic()
        task = self._worker_task(worker, now)
        if task is None:
            self._unseen.add(worker)
            return
        self._workers[worker] = task, now
        note = ": ".join(part for part in (event.input, event.note) if part)
        self._bars.update(
            task, description=f"  {worker}", completed=event.completed, total=None, note=plain(note)
        )

    def _worker_task(self, worker: str, now: float) -> TaskID | None:
        """Its own bar, a new one, or that of a worker that has not been heard of for long."""
        if worker in self._workers:
            return self._workers[worker][0]
        if len(self._workers) < MOST_WORKERS:
            return self._bars.add_task(f"  {worker}", total=None, note="")
        longest, (task, heard) = min(self._workers.items(), key=lambda entry: entry[1][1])
        if now - heard < SILENT_SECONDS:
            return None
        del self._workers[longest]
        self._unseen.discard(worker)
        return task

    def _crowd(self) -> str:
        return f"and {len(self._unseen)} more workers" if self._unseen else ""

    def _task(self, stage: str) -> TaskID:
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(stage, total=None, note="")
        return self._tasks[stage]


@contextmanager
def _batch_bars() -> Iterator[Progress]:
    with drawn_bars() as bars:
        yield BatchBars(bars)


BATCH_VIEW = View(_batch_bars, BatchLines)
