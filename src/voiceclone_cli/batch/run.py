"""Run or plan the recordings of a batch: many runs side by side with the same analyzer and workers.

While one recording is synthesized, the next is analyzed and the one before is mixed. Models and workers are loaded
once. A failure of one recording ends that recording only.
"""

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
from voiceclone_cli.analysis.diarization import DIARIZATION_STAGE
from voiceclone_cli.analysis.transcription import STAGE as TRANSCRIPTION_STAGE
from voiceclone_cli.batch import model
from voiceclone_cli.batch.shared_video import write_shared_videos
from voiceclone_cli.children import wait_for_thread
from voiceclone_cli.engines.select import choose_engine, fit_to_device
from voiceclone_cli.errors import PreflightError, RunError, Stopped, VoicecloneError
from voiceclone_cli.files import friendly_errors
from voiceclone_cli.pipeline.resources import Resources, WorkerPool, open_analyzer, open_worker_launcher
from voiceclone_cli.pipeline.run import run
from voiceclone_cli.pipeline.tasks import SynthesisJob
from voiceclone_cli.planning.plan import make_plan
from voiceclone_cli.references.build import STAGE as REFERENCES_STAGE
from voiceclone_cli.rundir.cache import copy_stages
from voiceclone_cli.rundir.directory import LOCK_NAME, locked, open_run_dir, refuse_links
from voiceclone_cli.rundir.manifest import ERROR, Manifest, RunPaths
from voiceclone_cli.types import Progress, ProgressEvent, no_progress
from voiceclone_cli.workers.pool import Pool, PoolClient
from voiceclone_cli.workers.protocol import Launcher
from voiceclone_cli.workers.queue import WorkerProgress

BATCH_PLAN_SCHEMA = "voiceclone.batch-plan/1"

EXTRA_OPEN = 2
"""Recordings at a time beyond one for each worker: one in analysis, and one in mixing."""
MAX_OPEN = 64
"""The largest number of recordings at a time; each takes 230 MB of memory an hour."""
ENDING_SECONDS = 20.0
"""Time for running recordings to leave consistent run directories after a stop."""
_WRITING_SHARE = 20
"""Before the end, at most one part in twenty of the time is spent on writing batch.json."""

_WAIT_SECONDS = 0.25
SHARED_STAGES = (DIARIZATION_STAGE, TRANSCRIPTION_STAGE, REFERENCES_STAGE)
"""What the translations of one recording have in common."""

OnResult = Callable[[model.ItemResult], None]


@dataclass(frozen=True, slots=True)
class BatchResult:
    """The document of a batch and the exit code of its command."""

    document: dict[str, Any]
    exit_code: int


def run_batch(batch: model.Batch, progress: Progress = no_progress) -> BatchResult:
    """Run every recording of a batch in its run directory, continuing what an earlier batch in this root left.

    Failures of single recordings are in the result. Raises InputError and PreflightError before the first
    recording is started, and what ends the batch as a whole.
    """
    with _open_root(batch.root):
        record = _Record(batch, progress)
        try:
            outcome = write_shared_videos(batch, run_all(batch, progress, record.add), progress)
        except (VoicecloneError, Stopped) as error:
            record.abort(error)
            raise
        return record.finish(outcome)


@contextmanager
def _open_root(root: Path) -> Iterator[None]:
    """Create and lock the batch's folder for the block. Raises InputError and PreflightError."""
    with ExitStack() as stack:
        try:
            root.mkdir(parents=True, exist_ok=True)
            refuse_links(root, (LOCK_NAME,))
            stack.enter_context(locked(root))
        except OSError as error:
            raise PreflightError(
                f"the folder {root} cannot be created or written to ({error.strerror}); choose another with --out",
                code="output_unwritable",
            ) from error
        yield


class _Record:
    """The growing batch.json. Methods may be called from any thread."""

    def __init__(self, batch: model.Batch, progress: Progress) -> None:
        self._batch = batch
        self._progress = progress
        self._entries = {item.name: model.planned_entry(item) for item in batch.items}
        self._ended = 0
        self._lock = threading.Lock()
        self._next_write = 0.0
        self._write_error: RunError | None = None
        model.write_batch(batch.root, model.batch_document(batch, self._in_order()))
        for note in batch.notes:
            progress(ProgressEvent("note", 1, 1, note=note))
        progress(ProgressEvent(model.BATCH_FILES, 0, len(batch.items)))

    def add(self, result: model.ItemResult) -> None:
        """Record the result of an input, and report its end."""
        name, entry = result.item.name, model.result_entry(result)
        with self._lock:
            self._entries[name] = entry
            self._ended += entry["status"] != model.INTERRUPTED
            if time.monotonic() >= self._next_write:
                self._write(model.batch_document(self._batch, self._in_order()))
            self._progress(
                ProgressEvent(
                    model.BATCH_FILES, self._ended, len(self._entries), note=_summary(entry), input=name
                )
            )

    def finish(self, outcome: model.BatchRun) -> BatchResult:
        """Write the final document."""
        with self._lock:
            self._entries |= {result.item.name: model.result_entry(result) for result in outcome.results}
            entries = self._in_order()
            document = model.finished_document(self._batch, entries, outcome)
            self._write(document)
            error = self._write_error
            if error is None:
                code = model.exit_code(entries, outcome.stopped, outcome.videos)
                return BatchResult(document, code)
            reason = {"code": error.code, "message": error.message, "input": None}
            document |= {"status": ERROR, "errors": [reason, *document["errors"]]}
            return BatchResult(document, error.exit_code)

    def abort(self, error: VoicecloneError | Stopped) -> None:
        """Write the document of a batch that was ended as a whole."""
        with self._lock:
            self._write(model.aborted_document(self._batch, self._in_order(), error))

    def _in_order(self) -> list[dict[str, Any]]:
        return list(self._entries.values())

    def _write(self, document: Mapping[str, Any]) -> None:
        """Write batch.json; an error is reported once, and the next end of an input tries again."""
        started = time.monotonic()
        try:
            model.write_batch(self._batch.root, document)
            self._write_error = None
        except RunError as error:
            if self._write_error is None:
                self._progress(ProgressEvent("note", 1, 1, note=error.message))
            self._write_error = error
        now = time.monotonic()
        self._next_write = now + _WRITING_SHARE * (now - started)


def _summary(entry: Mapping[str, Any]) -> str:
    """Return "success, 12 of 12 segments, 31.0 s", or the status with the reason."""
    done, total = entry["segments"]["done"], entry["segments"]["total"]
    if entry["error"] is not None and not done:
        return f"{entry['status']}, {entry['error']['message']}"
    return f"{entry['status']}, {done} of {total} segments, {entry['seconds']:.1f} s"


def run_all(
    batch: model.Batch, progress: Progress = no_progress, on_result: OnResult = lambda result: None
) -> model.BatchRun:
    """Run every recording of the batch and return their results.

    ``on_result`` is called with each result as soon as it is known, one at a time. A stop is part of the returned
    value. Raises PreflightError for a requirement of all recordings, before the first is started, and what
    ``on_result`` raises, once all recordings have ended.
    """
    started = time.perf_counter()
    engine = choose_engine(batch.settings, progress)
    settings, _ = fit_to_device(batch.settings, engine)  # each recording's notes say why
    keep_tasks = any(item.request.keep_tasks for item in batch.items)
    # Those that are not given are found, or read from scripts, while other recordings are spoken already.
    languages = sorted(filter(None, {item.request.settings.language for item in batch.items}))
    stopped: Stopped | None = None
    with ExitStack() as stack:
        tasks, logs = (
            stack.enter_context(_temporary_folder(batch.root / name)) for name in ("tasks", "logs")
        )
        launcher = stack.enter_context(
            open_worker_launcher(
                settings,
                engine,
                tasks,
                languages=languages,
                log_dir=logs,
                keep_tasks=keep_tasks,
                progress=progress,
            )
        )
        analyzer = stack.enter_context(open_analyzer(settings, progress))
        pool = stack.enter_context(Pool(launcher, timeout_scale=settings.timeout_scale))
        runner = BatchRunner(batch.items, analyzer, launcher, pool, progress, on_result, logs)
        try:
            runner.start(min(MAX_OPEN, EXTRA_OPEN + launcher.room()))
            pool.serve(lambda: runner.unfinished == 0)
        except Stopped as stop:
            stopped = stop
            analyzer.stop(stop)
            runner.stop(stop)
    if runner.callback_error is not None:
        raise runner.callback_error
    usage = pool.usage
    return model.BatchRun(
        results=tuple(runner.results[item.name] for item in batch.items if item.name in runner.results),
        stopped=stopped,
        timing={
            "total": time.perf_counter() - started,
            "slots_busy": usage.busy_seconds,
            "slots_idle": max(0.0, usage.workers * usage.span_seconds - usage.busy_seconds),
        },
        peak_mb=pool.peak_mb,
        workers=usage.workers,
    )


@contextmanager
def _temporary_folder(path: Path) -> Iterator[Path]:
    """Create a folder for the block, and delete it afterwards if it is empty."""
    with friendly_errors(path.parent):
        path.mkdir(parents=True, exist_ok=True)
    try:
        yield path
    finally:
        with suppress(OSError):
            path.rmdir()


def copy_analysis(first: model.BatchItem, item: model.BatchItem) -> None:
    """Copy turns, words and references from another translation of the recording; where it failed there are none."""
    source = RunPaths(first.request.run_dir)
    owner = Manifest.load(source.root).input.get("sha256") if source.manifest.is_file() else None
    if owner:
        with open_run_dir(item.request.run_dir, owner) as run_dir:
            copy_stages(source.root, run_dir.root, SHARED_STAGES)


class BatchRunner:
    """Threads that each run one recording after the other."""

    def __init__(
        self,
        items: Sequence[model.BatchItem],
        analyzer: Analyzer,
        launcher: Launcher,
        pool: Pool,
        progress: Progress,
        on_result: OnResult,
        logs: Path,
    ) -> None:
        self.launcher = launcher
        self.pool = pool
        self.stopped: Stopped | None = None
        self.results: dict[str, model.ItemResult] = {}
        self.callback_error: Exception | None = None
        """The first error of ``on_result``; it fails no recording."""
        self._waiting: queue.SimpleQueue[model.BatchItem] = queue.SimpleQueue()
        for item in items:
            self._waiting.put(item)
        self._total = len(items)
        self._analyzer = analyzer
        self._progress = progress
        self._on_result = on_result
        self._logs = logs
        self._lock = threading.Lock()
        self._cpu_lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._shown: set[str] = set()
        self._first: dict[Path, model.BatchItem] = {}
        """The first item of each recording, of which the others take over the analysis."""
        self._analyzed: dict[str, threading.Event] = {}
        """By the name of such an item: set when its analysis is over."""
        for item in items:
            first = self._first.setdefault(item.request.input, item)
            self._analyzed.setdefault(first.name, threading.Event())

    @property
    def unfinished(self) -> int:
        """Number of recordings without a result."""
        return self._total - len(self.results)

    def start(self, concurrency: int) -> None:
        """Start threads for ``concurrency`` recordings at a time."""
        for number in range(min(concurrency, self._total)):
            # Daemons: a library that hangs in one of them cannot hold up a command that was stopped.
            thread = threading.Thread(target=self._run_items, name=f"recording {number + 1}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self, stop: Stopped) -> None:
        """Start no further recording, and wait until the running ones have ended like a single run that is stopped."""
        self.stopped = stop
        deadline = time.monotonic() + ENDING_SECONDS
        for thread in self._threads:
            wait_for_thread(thread, max(0.0, deadline - time.monotonic()))

    def show(self, event: ProgressEvent) -> None:
        """Forward an event of a recording, from any thread."""
        with self._lock:
            self._progress(event)

    def show_once(self, event: ProgressEvent) -> None:
        """Forward a note unless another recording had the same."""
        if event.note not in self._shown:
            self._shown.add(event.note)
            self.show(event)

    def _run_items(self) -> None:
        while self.stopped is None:
            try:
                item = self._waiting.get_nowait()
            except queue.Empty:
                return
            result = self._run_item(item)
            with self._lock:
                try:
                    self._on_result(result)
                except Exception as error:
                    self.callback_error = self.callback_error or error
                self.results[item.name] = result

    def _run_item(self, item: model.BatchItem) -> model.ItemResult:
        started = time.perf_counter()
        document, error = None, None
        try:
            self._take_over_analysis(item)
            progress = ItemProgress(item.name, self)
            resources = Resources(self._analyzer, progress.open_pool, self._cpu_lock)
            result = run(item.request, progress, resources)
            document, code = result.document, result.exit_code
        except VoicecloneError as problem:
            code, error = problem.exit_code, {"code": problem.code, "message": problem.message}
        except Stopped as stop:
            code = stop.exit_code
            error = {
                "code": "interrupted",
                "message": "the batch was stopped before this recording was complete",
            }
        except Exception as defect:  # the other recordings go on
            code, error = 1, self._describe_defect(item, defect)
        self.mark_analyzed(item.name)
        return model.ItemResult(item, document, code, error, round(time.perf_counter() - started, 3))

    def mark_analyzed(self, name: str) -> None:
        """Let the other translations of a recording begin, whose first item has this name."""
        if name in self._analyzed:
            self._analyzed[name].set()

    def _take_over_analysis(self, item: model.BatchItem) -> None:
        """Wait until another translation of the recording has found turns, words and references, and copy these.

        Raises Stopped.
        """
        first = self._first[item.request.input]
        if first is item or item.request.force:
            return
        while not self._analyzed[first.name].wait(_WAIT_SECONDS):
            if self.stopped is not None:
                raise self.stopped
        copy_analysis(first, item)

    def _describe_defect(self, item: model.BatchItem, defect: Exception) -> dict[str, str]:
        path = self._logs / f"{item.name}.traceback.txt"
        with suppress(OSError):  # a full disk must not cost the recording its result
            path.write_text("".join(traceback.format_exception(defect)), encoding="utf-8", errors="replace")
        message = f"voiceclone has a defect ({type(defect).__name__}: {defect}): please report {path}"
        return {"code": "defect", "message": message}


class ItemProgress:
    """Progress of one recording: adds its name to events, and raises a stop of the batch once in its thread."""

    def __init__(self, name: str, runner: BatchRunner) -> None:
        self._name = name
        self._runner = runner
        self._stop_raised = False
        """From then on the recording only cleans up its run directory."""

    def __call__(self, event: ProgressEvent) -> None:
        """Forward an event, or raise a stop that this recording has not seen."""
        stop = self._runner.stopped
        if stop is not None and not self._stop_raised:
            self._stop_raised = True
            raise stop
        if event.shared:
            self._runner.show_once(event)
        else:
            self._runner.show(replace(event, input=self._name))

    @contextmanager
    def open_pool(
        self, job: SynthesisJob, progress: Progress, report: WorkerProgress, keep_tasks: bool
    ) -> Iterator[WorkerPool]:
        """Open the recording's share of the batch's pool."""
        runner = self._runner
        runner.mark_analyzed(self._name)

        def workers() -> int:
            # Leases are whole batches as long as recordings share workers, and are cut for the last recordings as
            # for a single run, so that no worker is idle at the end.
            return max(1, -(-runner.launcher.room() // max(1, runner.unfinished)))

        try:
            client = PoolClient(runner.pool, report, report.log)
            yield WorkerPool(client.run, workers, is_shared=True)
        except Stopped:
            self._stop_raised = True
            raise


def plan_batch(batch: model.Batch, progress: Progress = no_progress) -> dict[str, Any]:
    """Return the plans of all recordings and their sums, as ``voiceclone.batch-plan/1``.

    The translations of a recording share its analysis. A recording that cannot be planned has an error in its entry.
    """
    for note in batch.notes:
        progress(ProgressEvent("note", 1, 1, note=note))
    entries = []
    firsts: dict[Path, model.BatchItem] = {}
    for count, item in enumerate(batch.items, 1):
        entry = _plan_item(item, firsts.setdefault(item.request.input, item), progress)
        entries.append(entry)
        note = entry["error"]["message"] if entry["error"] else "planned"
        progress(ProgressEvent(model.BATCH_FILES, count, len(batch.items), note=note, input=item.name))
    return {
        "schema": BATCH_PLAN_SCHEMA,
        "root": str(batch.root),
        "inputs": entries,
        "videos": [str(video.path) for video in batch.videos],
        "total": _sum_plans([entry["plan"] for entry in entries if entry["plan"]]),
        "notes": list(batch.notes),
    }


def _plan_item(item: model.BatchItem, first: model.BatchItem, progress: Progress) -> dict[str, Any]:
    """Return the entry of an item; ``first``: the first one of its recording, whose plan is made already."""
    plan, code, reason = None, 0, None
    try:
        if first is not item:
            copy_analysis(first, item)
        plan = make_plan(item.request, lambda event: progress(replace(event, input=item.name)))
    except VoicecloneError as error:
        code, reason = error.exit_code, {"code": error.code, "message": error.message}
    return {
        "name": item.name,
        "input": str(item.request.input),
        "exit_code": code,
        "plan": plan,
        "error": reason,
    }


def _sum_plans(plans: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the sums; seconds as if the runs followed each other, though a batch overlaps them."""
    seconds = ("seconds", "seconds_low", "seconds_high")
    return {
        "inputs": len(plans),
        "input_seconds": round(sum(plan["input"]["seconds"] for plan in plans), 3),
        "segments": sum(plan["segments"]["total"] for plan in plans),
        "to_speak": sum(len(plan["segments"]["to_speak"]) for plan in plans),
        **{key: round(sum(plan["total"][key] for plan in plans), 3) for key in seconds},
        "measured": all(plan["total"]["measured"] for plan in plans),
        "disk_bytes": sum(plan["disk"]["needed_bytes"] for plan in plans),
    }
