"""Output for people on stderr: progress as bars or lines, notes and errors. Data goes to stdout, elsewhere."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import traceback
import typing
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum

from voiceclone_cli import messages
from voiceclone_cli.config import redact
from voiceclone_cli.errors import VoicecloneError
from voiceclone_cli.types import INPUTS_STAGE, SYNTHESIS_STAGE, Progress, ProgressEvent, no_progress

if typing.TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

NOTE, LOG = "note", "log"
"""Stages of events that are a sentence: for all users, and for those who ask for --verbose."""
MAX_STAGE_BARS, MAX_WORKER_BARS = 4, 4
"""Bars of a batch at a time, beside those of the inputs and of the synthesis."""
SILENT_SECONDS = 20.0
"""Seconds without an event after which a worker's bar may be given to another worker."""
LINE_SECONDS = 1.0
"""Least seconds between two lines of a stage, but for its end."""


class ProgressMode(StrEnum):
    """Forms of progress on stderr; auto is bars on a terminal and lines elsewhere."""

    AUTO = "auto"
    RICH = "rich"
    PLAIN = "plain"
    JSON = "json"
    NONE = "none"


def print_line(line: str) -> None:
    """Write a line for people to stderr, in their language."""
    _write_line(messages.current().sentence(line))


def _write_line(line: str) -> None:
    """Write a line to stderr as it is. A closed stderr ends nothing."""
    try:
        # In one write, so that lines of two threads never mix.
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


def print_error(message: str, code: str = "") -> None:
    """Write an error message to stderr, after the name of the program."""
    _write_line(f"voiceclone: {messages.current().error(code, message)}")


class Display:
    """Messages and progress of a command on stderr, as --progress, --quiet and --verbose choose."""

    def __init__(
        self, mode: ProgressMode = ProgressMode.AUTO, *, quiet: bool = False, verbose: bool = False
    ) -> None:
        self._mode = mode
        self._quiet = quiet
        self._verbose = verbose and not quiet

    def say(self, *lines: str) -> None:
        """Write lines to stderr, unless the command is quiet."""
        for line in lines if not self._quiet else ():
            print_line(line)

    @contextmanager
    def progress(self) -> Iterator[Progress]:
        """Yield a Progress that shows events.

        A verbose one also shows events of the stage "log" (why something is made again, log lines of workers),
        and the traceback of an error that ends the block.
        """
        mode = self._mode
        if mode is ProgressMode.AUTO:
            mode = ProgressMode.RICH if _is_live_terminal() else ProgressMode.PLAIN
        try:
            if self._quiet or mode is ProgressMode.NONE:
                yield no_progress
            elif mode is ProgressMode.RICH:
                with _rich_progress() as rich_progress:
                    yield self._guarded(Bars(rich_progress))
            else:
                yield self._guarded(Lines() if mode is ProgressMode.PLAIN else _print_json_line)
        except VoicecloneError as error:
            if self._verbose:
                _write_line(redact("".join(traceback.format_exception(error))).rstrip())
            raise

    def _guarded(self, show: Progress) -> Progress:
        """Return a Progress that leaves out log lines and never raises: an error in it is reported once."""
        broken = False

        def guarded(event: ProgressEvent) -> None:
            nonlocal broken
            if broken or (event.stage == LOG and not self._verbose):
                return
            try:
                show(event)
            except Exception as error:
                broken = True
                print_line(f"progress can no longer be shown ({error})")

        return guarded


def _is_live_terminal() -> bool:
    """Return whether stderr is a terminal on which lines can be drawn anew."""
    return sys.stderr.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")


def _print_json_line(event: ProgressEvent) -> None:
    document: dict[str, object] = {
        "stage": event.stage,
        "completed": float(event.completed),
        "total": None if event.total is None else float(event.total),
        "worker": event.worker,
        "note": event.note,
    }
    if event.input:
        document["input"] = event.input
    _write_line(json.dumps(document, ensure_ascii=False))


def _sentence(event: ProgressEvent) -> str:
    return ": ".join(part for part in (event.input, event.worker, event.note) if part)


class Lines:
    """Progress as lines: each stage's start, its tenths but at most one a second, and its end; no progress of single
    workers.

    Of a batch only the start and the end of each input, and tenths of all inputs.
    """

    def __init__(
        self,
        write: Callable[[str], None] = print_line,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._write = write
        self._clock = clock
        self._tenths: dict[str, int] = {}
        self._times: dict[str, float] = {}
        self._started: set[str] = set()
        self._lock = threading.Lock()

    def __call__(self, event: ProgressEvent) -> None:
        """Write a line for the event where its stage starts, ends or has advanced by a tenth."""
        with self._lock:
            if event.stage in (NOTE, LOG):
                self._write(_sentence(event))
            elif event.stage == INPUTS_STAGE and event.input:
                self._started.discard(event.input)
                self._times.clear()  # each end of a recording counts
                self._write(_sentence(event))
                self._write_tenth(event, "")
            elif event.input and event.input not in self._started:
                self._started.add(event.input)
                self._write(f"{event.input}: begins")
            elif not event.input and event.worker is None:
                self._write_tenth(event, event.note)

    def _write_tenth(self, event: ProgressEvent, note: str) -> None:
        tenth = int(10 * event.completed / event.total) if event.total else 0
        now = self._clock()
        is_early = tenth < 10 and now < self._times.get(event.stage, now - LINE_SECONDS) + LINE_SECONDS
        if tenth > self._tenths.get(event.stage, -1) and not is_early:
            self._tenths[event.stage] = tenth
            self._times[event.stage] = now
            share = f"{10 * min(tenth, 10)} %" if event.total else "..."
            self._write(f"{event.stage}: {share}" + (f" ({note})" if note else ""))


@contextmanager
def _rich_progress() -> Iterator[RichProgress]:
    """Yield rich's display of bars, drawn within the block for as long as there is a terminal."""
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

    # The note takes the rest of the width, and is cut there.
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


class StageSum:
    """Progress of a stage, summed over all inputs that have reached it."""

    def __init__(self) -> None:
        self.completed = 0.0
        self.total = 0.0
        self._by_input: dict[str, tuple[float, float]] = {}

    def add(self, event: ProgressEvent) -> None:
        """Count an event of the stage."""
        completed, total = self._by_input.get(event.input, (0.0, 0.0))
        self.completed += event.completed - completed
        self.total += (event.total or 0.0) - total
        self._by_input[event.input] = event.completed, event.total or 0.0

    def close(self, name: str) -> None:
        """Take what an input that has ended did not complete out of the total."""
        completed, total = self._by_input.pop(name, (0.0, 0.0))
        self.total -= total - completed

    @property
    def is_active(self) -> bool:
        """Whether an input is in this stage."""
        return any(completed < total for completed, total in self._by_input.values())


class Bars:
    """Progress as bars: one for each stage, and one for each of a few workers.

    Of a batch one for all inputs, one for the synthesis and one for each of a few stages that inputs are in.
    """

    def __init__(self, bars: RichProgress) -> None:
        self._bars = bars
        self._sums: dict[str, StageSum] = {}
        self._tasks: dict[str, TaskID] = {}
        self._workers: dict[str, tuple[TaskID, float, str]] = {}
        """By name: bar, time of the last event, and its stage."""
        self._hidden_workers: set[str] = set()
        self._is_batch = False
        self._lock = threading.Lock()

    def __call__(self, event: ProgressEvent) -> None:
        """Show the event in the bar of its stage, or as a line above the bars."""
        with self._lock:
            if event.stage in (NOTE, LOG):
                self._bars.console.print(
                    messages.current().sentence(_sentence(event)), style="dim", markup=False
                )
            elif event.worker is not None:
                self._show_worker(event.worker, event)
            elif event.stage == INPUTS_STAGE:
                self._show_inputs(event)
            else:
                self._is_batch |= bool(event.input)
                self._sums.setdefault(event.stage, StageSum()).add(event)
                if self._is_batch:
                    self._show_stages()
                else:
                    self._show_stage(event)

    def _show_stage(self, event: ProgressEvent) -> None:
        ended = event.total is not None and event.completed >= event.total
        note = "" if ended else event.note
        self._update(self._task(event.stage), event.completed, event.total, note or self._more_workers(event))
        for worker, (task, _, stage) in list(self._workers.items()):
            if ended and stage == event.stage:
                # A worker's bar shows its share of the work; it is complete when the stage is.
                completed = next(row.completed for row in self._bars.tasks if row.id == task)
                self._update(task, completed, max(1.0, completed), f"{completed:.0f} done")
                del self._workers[worker]

    def _show_inputs(self, event: ProgressEvent) -> None:
        self._is_batch = True
        self._update(self._task(INPUTS_STAGE), event.completed, event.total, _sentence(event))
        for stage_sum in self._sums.values():
            stage_sum.close(event.input)
        self._show_stages()
        if event.completed == event.total:
            for task, _, _ in self._workers.values():
                self._bars.update(task, visible=False)

    def _show_stages(self) -> None:
        active = [
            stage for stage, found in self._sums.items() if found.is_active and stage != SYNTHESIS_STAGE
        ]
        shown = {SYNTHESIS_STAGE, *active[-MAX_STAGE_BARS:]}
        for stage, found in self._sums.items():
            if stage in shown or stage in self._tasks:
                note = self._more_workers(ProgressEvent(stage, 0))
                self._update(self._task(stage), found.completed, found.total or None, note, stage in shown)

    def _show_worker(self, worker: str, event: ProgressEvent) -> None:
        now = time.monotonic()
        task = self._worker_task(worker, now)
        if task is None:
            self._hidden_workers.add(worker)
            return
        self._workers[worker] = task, now, event.stage
        self._bars.update(task, description=f"  {worker}")
        self._update(task, event.completed, None, ": ".join(filter(None, (event.input, event.note))))

    def _worker_task(self, worker: str, now: float) -> TaskID | None:
        """Return a worker's bar: its last, a new one, or that of a worker without events for some time."""
        if worker in self._workers:
            return self._workers[worker][0]
        if len(self._workers) < MAX_WORKER_BARS:
            return self._bars.add_task(f"  {worker}", total=None, note="")
        oldest, (task, last_event, _) = min(self._workers.items(), key=lambda entry: entry[1][1])
        if now - last_event < SILENT_SECONDS:
            return None
        del self._workers[oldest]
        self._hidden_workers.discard(worker)
        return task

    def _more_workers(self, event: ProgressEvent) -> str:
        if event.stage != SYNTHESIS_STAGE or not self._hidden_workers:
            return ""
        return f"and {len(self._hidden_workers)} more workers"

    def _update(
        self, task: TaskID, completed: float, total: float | None, note: str, visible: bool = True
    ) -> None:
        from rich.markup import escape

        note = escape(messages.current().sentence(note))
        self._bars.update(task, completed=completed, total=total, note=note, visible=visible)

    def _task(self, stage: str) -> TaskID:
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(messages.current().name(stage), total=None, note="")
        return self._tasks[stage]
