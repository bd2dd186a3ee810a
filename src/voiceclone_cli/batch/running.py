"""The story of a batch: conducted, and its record kept."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voiceclone_cli.batch.document import (
    INTERRUPTED,
    broken_off,
    document,
    ended_row,
    exit_code,
    finished,
    planned_row,
    write_batch,
)
from voiceclone_cli.batch.types import FILES, Batch, BatchOutcome, ItemEnd
from voiceclone_cli.errors import PreflightError, RunError, Stopped, VoicecloneError
from voiceclone_cli.rundir.inside import refuse_links
from voiceclone_cli.rundir.lock import LOCK_NAME, locked
from voiceclone_cli.steps.outcome import ERROR
from voiceclone_cli.types import Progress, ProgressEvent, no_progress

_WRITING_SHARE = 20
"""Of the time at most one part in so many goes into writing batch.json again, until the end."""


@dataclass(frozen=True, slots=True)
class BatchResult:
    document: dict[str, Any]
    exit_code: int


def run_batch(batch: Batch, progress: Progress = no_progress) -> BatchResult:
    """Speak every recording of a batch again, each in a run directory of its own; go on where an earlier batch
    in this root ended.

    What happens to a recording stays its own: it stands in the result. Raises InputError and PreflightError
    before anything is begun, and for what keeps all of them from being spoken.
    """
    from voiceclone_cli.batch.conducting import conduct

    with _held(batch.root):
        record = _Record(batch, progress)
        try:
            outcome = conduct(batch, progress, record.end)
        except (VoicecloneError, Stopped) as end:
            record.break_off(end)
            raise
        return record.finish(outcome)


class _Record:
    """batch.json while it grows. Its methods may be called from any thread."""

    def __init__(self, batch: Batch, progress: Progress) -> None:
        self._batch = batch
        self._progress = progress
        self._rows = [planned_row(item) for item in batch.items]
        self._places = {item.name: place for place, item in enumerate(batch.items)}
        self._ended = 0
        self._lock = threading.Lock()
        self._not_before = 0.0
        self._unwritten: RunError | None = None
        write_batch(batch.root, document(batch, self._rows))
        for note in batch.notes:
            progress(ProgressEvent("note", 1, 1, note=note))
        progress(ProgressEvent(FILES, 0, len(self._rows)))

    def end(self, end: ItemEnd) -> None:
        """An input has come to its end."""
        row = ended_row(end)
        with self._lock:
            self._rows[self._places[end.item.name]] = row
            self._ended += row["status"] != INTERRUPTED  # what was stopped is not behind us
            if time.monotonic() >= self._not_before:
                self._write(document(self._batch, self._rows))
            self._progress(
                ProgressEvent(FILES, self._ended, len(self._rows), note=in_a_word(row), input=row["name"])
            )

    def finish(self, outcome: BatchOutcome) -> BatchResult:
        with self._lock:
            for end in outcome.ends:
                self._rows[self._places[end.item.name]] = ended_row(end)
            content = finished(self._batch, self._rows, outcome)
            self._write(content)
            if self._unwritten is not None:
                error = self._unwritten
                reason = {"code": error.code, "message": error.message, "input": None}
                return BatchResult(
                    {**content, "status": ERROR, "errors": [reason, *content["errors"]]}, error.exit_code
                )
            return BatchResult(content, exit_code(self._rows, outcome.stopped))

    def break_off(self, end: VoicecloneError | Stopped) -> None:
        with self._lock:
            self._write(broken_off(self._batch, self._rows, end))

    def _write(self, content: Mapping[str, Any]) -> None:
        """A disk that does not take it ends no recording: it is said once, and tried again at the next end."""
        begun = time.monotonic()
        try:
            write_batch(self._batch.root, content)
            self._unwritten = None
        except RunError as error:
            if self._unwritten is None:
                self._progress(ProgressEvent("note", 1, 1, note=error.message))
            self._unwritten = error
        now = time.monotonic()
        self._not_before = now + _WRITING_SHARE * (now - begun)


def in_a_word(row: Mapping[str, Any]) -> str:
    """What an input came to: "success, 12 of 12 segments, 31.0 s", or why not."""
    if row["error"] is not None and not row["segments"]["done"]:
        return f"{row['status']}, {row['error']['message']}"
    done, total = row["segments"]["done"], row["segments"]["total"]
    return f"{row['status']}, {done} of {total} segments, {row['seconds']:.1f} s"


@contextmanager
def _held(root: Path) -> Iterator[None]:
    """The folder of a batch, made and locked for the block. Raises InputError and PreflightError."""
    with ExitStack() as held:
        try:
            root.mkdir(parents=True, exist_ok=True)
            refuse_links(root, (LOCK_NAME,))
            held.enter_context(locked(root))
        except OSError as error:
            raise PreflightError(
                f"the folder {root} cannot be made or written into ({error.strerror}); choose another with --out",
                code="output_unwritable",
            ) from error
        yield
