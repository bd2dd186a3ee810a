"""The story of a batch: conducted, and its record kept."""

from __future__ import annotations

import queue
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from voiceclone_cli.analysis.analyzer import Analyzer
from voiceclone_cli.batch.model import (
    BATCH_FILES,
    INTERRUPTED,
    Batch,
    BatchItem,
    BatchRun,
    ItemResult,
    batch_document,
    broken_off,
    ended_row,
    exit_code,
    finished,
    planned_row,
    write_batch,
)
from voiceclone_cli.engines.select import choose_engine
from voiceclone_cli.errors import PreflightError, RunError, Stopped, VoicecloneError
from voiceclone_cli.files import explain_write_errors
from voiceclone_cli.pipeline.resources import Resources, open_analyzer, open_worker_launcher
from voiceclone_cli.pipeline.run import run
from voiceclone_cli.pipeline.synthesize import ERROR
from voiceclone_cli.pipeline.tasks import SynthesisJob
from voiceclone_cli.planning.plan import make_plan
from voiceclone_cli.rundir.directory import LOCK_NAME, locked, refuse_links
from voiceclone_cli.types import Progress, ProgressEvent, no_progress
from voiceclone_cli.workers.pool import Pool, PoolClient
from voiceclone_cli.workers.protocol import Launcher, Lease, PoolResult
from voiceclone_cli.workers.queue import OnSegment, WorkerProgress

# Many runs side by side: each tells its own story, and all share the same ears and voices.
#
# While one recording is spoken, the next is listened to and the one before is placed on its timeline. Models and
# workers are loaded once. What goes wrong with a recording is its own end and nobody else's.


OPEN_BESIDE = 2
"""Recordings in work beside one for each slot: one that is listened to, and one that is placed."""

MOST_OPEN = 64
"""An open recording is in memory: 230 MB an hour."""

ENDING_SECONDS = 20.0
"""How long recordings may take to leave their run directories in order once a stop was asked for."""

_SAID_ONCE = ("engine: ", "diarizer: ")
"""Sentences that are the same for every recording."""

_KNOWN = "diarizer: given"
"""Whoever wrote the list knows whose turns stand in it."""

OnEnd = Callable[[ItemResult], None]


def run_all(batch: Batch, progress: Progress = no_progress, on_end: OnEnd = lambda end: None) -> BatchRun:
    """Run every recording of the batch; each has its end in the outcome, whatever happens to it.

    ``on_end`` hears of each, one at a time, as soon as it is known. Being stopped is part of the outcome.
    Raises PreflightError for what all of them need, before the first is begun; what else ends a recording stands
    in its end.
    """
    started = time.perf_counter()
    engine = choose_engine(batch.settings, progress)
    keep_tasks = any(item.request.keep_tasks for item in batch.items)
    stopped: Stopped | None = None
    with ExitStack() as held:
        tasks, logs = (held.enter_context(_folder(batch.root / name)) for name in ("tasks", "logs"))
        launcher = held.enter_context(
            open_worker_launcher(
                batch.settings, engine, tasks, log_dir=logs, keep_tasks=keep_tasks, progress=progress
            )
        )
        ears = held.enter_context(open_analyzer(batch.settings, progress))
        pool = held.enter_context(Pool(launcher, patience=batch.settings.timeout_scale))
        conductor = BatchRunner(batch.items, ears, launcher, pool, progress, on_end, logs)
        try:
            conductor.begin(min(MOST_OPEN, OPEN_BESIDE + launcher.room()))
            pool.serve(lambda: conductor.left == 0)
        except Stopped as stop:
            stopped = stop
            ears.stop(stop)
            conductor.stop(stop)
    if conductor.fault is not None:
        raise conductor.fault
    usage = pool.usage
    idle = max(0.0, usage.slots * usage.span_seconds - usage.busy_seconds)
    timing = {
        "total": time.perf_counter() - started,
        "slots_busy": usage.busy_seconds,
        "slots_idle": idle,
    }
    return BatchRun(
        ends=tuple(conductor.ends[item.name] for item in batch.items if item.name in conductor.ends),
        stopped=stopped,
        timing={name: round(seconds, 3) for name, seconds in timing.items()},
        peak_mb=pool.peak_mb,
        slots=usage.slots,
    )


class BatchRunner:
    """Threads that take one recording after the other."""

    def __init__(
        self,
        items: Sequence[BatchItem],
        ears: Analyzer,
        launcher: Launcher,
        pool: Pool,
        progress: Progress,
        on_end: OnEnd,
        logs: Path,
    ) -> None:
        self._waiting: queue.SimpleQueue[BatchItem] = queue.SimpleQueue()
        for item in items:
            self._waiting.put(item)
        self._ears = ears
        self.launcher = launcher
        self.pool = pool
        self._progress = progress
        self._on_end = on_end
        self._logs = logs
        self._lock = threading.Lock()
        self._computing = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._total = len(items)
        self._said: set[str] = set()
        self.stopped: Stopped | None = None
        self.ends: dict[str, ItemResult] = {}
        self.fault: Exception | None = None
        """Of whoever is told of ends: it costs no recording."""

    @property
    def left(self) -> int:
        """Recordings without an end."""
        return self._total - len(self.ends)

    def begin(self, side_by_side: int) -> None:
        """So many recordings at a time."""
        for number in range(min(side_by_side, self._total)):
            # Daemons: a library that hangs in one of them cannot hold up a command that was stopped.
            thread = threading.Thread(target=self._take_items, name=f"recording {number + 1}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self, stop: Stopped) -> None:
        """No other recording is begun; those in work end where they are, as a single run does."""
        self.stopped = stop
        deadline = time.monotonic() + ENDING_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _take_items(self) -> None:
        while self.stopped is None:
            try:
                item = self._waiting.get_nowait()
            except queue.Empty:
                return
            end = self._play(item)
            with self._lock:
                try:
                    self._on_end(end)
                except Exception as fault:
                    self.fault = self.fault or fault
                self.ends[item.name] = end

    def _play(self, item: BatchItem) -> ItemResult:
        """The run of one recording, from its first word to its last."""
        started = time.perf_counter()
        document, error = None, None
        try:
            telling = ItemProgress(item.name, self)
            means = Resources(self._ears, telling.open_pool, self._computing, undisturbed=False)
            result = run(item.request, telling, means)
            document, exit_code = result.document, result.exit_code
        except VoicecloneError as problem:
            exit_code, error = problem.exit_code, {"code": problem.code, "message": problem.message}
        except Stopped as stop:
            exit_code = stop.exit_code
            error = {"code": "interrupted", "message": "the batch was stopped before it was whole"}
        except Exception as defect:
            exit_code, error = 1, self._defect(item, defect)
        return ItemResult(item, document, exit_code, error, round(time.perf_counter() - started, 3))

    def _defect(self, item: BatchItem, defect: Exception) -> dict[str, str]:
        """One of ours; the other recordings are not to blame, and go on."""
        where = self._logs / f"{item.name}.traceback.txt"
        with suppress(OSError):  # a disk that is full, too: the recording must have its end all the same
            where.write_text("".join(traceback.format_exception(defect)), encoding="utf-8", errors="replace")
        kind = type(defect).__name__
        return {
            "code": "defect",
            "message": f"voiceclone has a defect ({kind}: {defect}): please report {where}",
        }

    def show_once(self, event: ProgressEvent) -> None:
        """What every recording has to say, but not each of them needs to."""
        if event.note not in self._said:
            self._said.add(event.note)
            self.show(event)

    def show(self, event: ProgressEvent) -> None:
        with self._lock:
            self._progress(event)


class ItemProgress:
    """The progress of one recording, with its name; where a stop reaches it, once."""

    def __init__(self, name: str, conductor: BatchRunner) -> None:
        self._name = name
        self._conductor = conductor
        self._knows_of_stop = False
        """From then on it only leaves its run directory in order."""

    def __call__(self, event: ProgressEvent) -> None:
        stop = self._conductor.stopped
        if stop is not None and not self._knows_of_stop:
            self._knows_of_stop = True
            raise stop
        if event.stage == "note" and event.note.startswith(_SAID_ONCE):
            if not event.note.startswith(_KNOWN):
                self._conductor.show_once(event)
        else:
            self._conductor.show(replace(event, input=self._name))

    @contextmanager
    def open_pool(
        self, job: SynthesisJob, progress: Progress, report: WorkerProgress, keep_tasks: bool
    ) -> Iterator[_BatchPool]:
        try:
            yield _BatchPool(PoolClient(self._conductor.pool, report, report.log), self._conductor)
        except Stopped:
            self._knows_of_stop = True
            raise


@dataclass(frozen=True, slots=True)
class _BatchPool:
    """The pool in the hands of one recording."""

    client: PoolClient
    conductor: BatchRunner

    @property
    def slots(self) -> int:
        """Its share: while others wait for slots too, leases are whole batches; the last ones are cut as a
        recording alone would be, so that no slot is idle at the end."""
        return max(1, -(-self.conductor.launcher.room() // max(1, self.conductor.left)))

    def warm_up(self, job: SynthesisJob) -> Sequence[Lease]:
        """None: a slot that is busy with another recording has its engine loaded, and an idle one loads it
        for the first lease that comes."""
        return ()

    def run(self, leases: Sequence[Lease], on_segment: OnSegment = lambda row: None) -> PoolResult:
        return self.client.run(leases, on_segment)


@contextmanager
def _folder(path: Path) -> Iterator[Path]:
    """A folder of the batch, which goes when nothing is left in it."""
    with explain_write_errors(path.parent):
        path.mkdir(parents=True, exist_ok=True)
    try:
        yield path
    finally:
        with suppress(OSError):
            path.rmdir()


# What a batch would do: the plan of each recording.


BATCH_PLAN_SCHEMA = "voiceclone.batch-plan/1"


def plan_batch(batch: Batch, progress: Progress = no_progress) -> dict[str, Any]:
    """What ``run_batch`` would do now, as ``voiceclone.batch-plan/1``: the plans one after the other, and their
    sums. A recording that cannot be planned has an error in its row."""
    for note in batch.notes:
        progress(ProgressEvent("note", 1, 1, note=note))
    rows = []
    for ended, item in enumerate(batch.items, 1):
        row = _row(item, progress)
        rows.append(row)
        note = row["error"]["message"] if row["error"] else "planned"
        progress(ProgressEvent(BATCH_FILES, ended, len(batch.items), note=note, input=item.name))
    return {
        "schema": BATCH_PLAN_SCHEMA,
        "root": str(batch.root),
        "inputs": rows,
        "total": _total([row["plan"] for row in rows if row["plan"]]),
        "notes": list(batch.notes),
    }


def _row(item: BatchItem, progress: Progress) -> dict[str, Any]:
    def tell(event: ProgressEvent) -> None:
        progress(replace(event, input=item.name))

    found, code, reason = None, 0, None
    try:
        found = make_plan(item.request, tell)
    except VoicecloneError as error:
        code, reason = error.exit_code, {"code": error.code, "message": error.message}
    return {
        "name": item.name,
        "input": str(item.request.input),
        "exit_code": code,
        "plan": found,
        "error": reason,
    }


def _total(plans: list[dict[str, Any]]) -> dict[str, Any]:
    """Seconds as if they were run one after the other: a batch overlaps them."""
    seconds = {
        key: round(sum(found["total"][key] for found in plans), 3)
        for key in ("seconds", "seconds_low", "seconds_high")
    }
    return {
        "inputs": len(plans),
        "input_seconds": round(sum(found["input"]["seconds"] for found in plans), 3),
        "segments": sum(found["segments"]["total"] for found in plans),
        "to_speak": sum(len(found["segments"]["to_speak"]) for found in plans),
        **seconds,
        "measured": all(found["total"]["measured"] for found in plans),
        "disk_bytes": sum(found["disk"]["needed_bytes"] for found in plans),
    }


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

    with _held(batch.root):
        record = _Record(batch, progress)
        try:
            outcome = run_all(batch, progress, record.end)
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
        write_batch(batch.root, batch_document(batch, self._rows))
        for note in batch.notes:
            progress(ProgressEvent("note", 1, 1, note=note))
        progress(ProgressEvent(BATCH_FILES, 0, len(self._rows)))

    def end(self, end: ItemResult) -> None:
        """An input has come to its end."""
        row = ended_row(end)
        with self._lock:
            self._rows[self._places[end.item.name]] = row
            self._ended += row["status"] != INTERRUPTED  # what was stopped is not behind us
            if time.monotonic() >= self._not_before:
                self._write(batch_document(self._batch, self._rows))
            self._progress(
                ProgressEvent(
                    BATCH_FILES, self._ended, len(self._rows), note=in_a_word(row), input=row["name"]
                )
            )

    def finish(self, outcome: BatchRun) -> BatchResult:
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
