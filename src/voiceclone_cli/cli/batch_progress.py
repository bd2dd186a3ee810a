"""How a batch is followed on stderr: as many lines for a thousand files as for two."""

from __future__ import annotations

import threading
import time
import typing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from voiceclone_cli.batch.types import FILES
from voiceclone_cli.cli.render import LOG, NOTE, PlainLines, View, drawn_bars, plain, say, sentence
from voiceclone_cli.types import Progress, ProgressEvent
from voiceclone_cli.workers.progress import SYNTHESIS

if typing.TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

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
            elif event.stage == FILES:
                self._begun.discard(event.input)
                self._write(sentence(event))
                self._of_all(ProgressEvent(FILES, event.completed, event.total))
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
            elif event.stage == FILES:
                self._show_files(event)
            else:
                self._sums.setdefault(event.stage, Sum()).take(event)
                self._show_stages()

    def _show_files(self, event: ProgressEvent) -> None:
        self._bars.update(
            self._task(FILES), completed=event.completed, total=event.total, note=plain(sentence(event))
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
