"""Diarization and transcription in worker processes, which keep their models from one recording to the next.

Those of a single recording are done at the same time, each in its own process (``SideBySideAnalyzer``).

torch and pyannote are imported there only, and once. The processes are workers of a pool (see
``voiceclone_cli.workers``): an analysis is a task with one row, and what holds for speech workers holds for
them. Between coordinator and worker pass lines of JSON: a request on stdin, events of the lease on stdout (see
``voiceclone_cli.analysis.worker``). The samples are a file that the worker maps into its memory: an hour has
230 MB.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from voiceclone_cli.analysis.analyzer import DIARIZE, LOCAL_ANALYZER, TRANSCRIBE
from voiceclone_cli.children import wait_for_thread, wait_in_steps
from voiceclone_cli.errors import InputError, PreflightError, RunError, Stopped, VoicecloneError
from voiceclone_cli.types import Progress, ProgressEvent
from voiceclone_cli.workers import protocol
from voiceclone_cli.workers.pool import CHECK_SECONDS, Pool
from voiceclone_cli.workers.process import LocalLauncher, TaskFiles, WorkerCommand
from voiceclone_cli.workers.queue import Client, Job, copy_error
from voiceclone_worker.protocol import Result
from voiceclone_worker.telemetry import SILENCE
from voiceclone_worker.validation import ContractError

MAX_NODE_LOSSES = 3
"""Nodes that may be lost while they analyze the same recording."""

CLOSING_SECONDS = 15.0
"""Limit of the wait for the pool to end: a Ray that has lost its head may not answer at all."""

_ERRORS = {kind.__name__: kind for kind in (InputError, PreflightError, RunError)}


def analysis_command() -> WorkerCommand:
    """Return the command of an analysis worker: in this interpreter, with its environment and import path."""
    environment = {
        **os.environ,
        **SILENCE,
        "VOICECLONE_COORDINATED": "1",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        # Threads that spin while they wait cost ten times their work on a busy machine.
        "OMP_WAIT_POLICY": "PASSIVE",
    }
    # -P: a numpy.py beside the program, or in the working directory, is not to be imported.
    program = Path(__file__).with_name("worker.py")
    return WorkerCommand(sys.executable, program, environment, ("-X", "utf8", "-P"))


class AnalysisFiles(TaskFiles):
    """Requests to an analysis worker, and its answers. The only file is that of the samples."""

    def write(self, lease: protocol.Lease) -> list[Path]:
        """Write the samples into a file, whose name the worker removes. Raises OSError."""
        descriptor, name = tempfile.mkstemp(prefix="voiceclone-analysis-", suffix=".npy", dir=self.folder)
        try:
            with os.fdopen(descriptor, "wb") as file:
                np.save(file, _analysis_task(lease).samples, allow_pickle=False)
        except OSError as error:
            Path(name).unlink(missing_ok=True)
            raise OSError(error.errno, error.strerror, name) from error
        return [Path(name)]

    def request(self, lease: protocol.Lease, files: Sequence[Path]) -> Any:
        """Return the request, as JSON data."""
        task = _analysis_task(lease)
        return {**task.request, "id": task.id, "samples": str(files[0])}

    def messages(self, worker: protocol.Worker, line: str) -> list[protocol.Message]:
        """Return the event in a line of stdout; the last one is the result as well. Raises ContractError."""
        try:
            event: dict[str, Any] = json.loads(line)
            found: list[protocol.Message] = [protocol.EventMessage(worker, event)]
            if event["event"] == "analyzed":
                found.append(protocol.ResultMessage(worker, Result(lease=event["lease"])))
        except (ValueError, KeyError, TypeError) as error:
            raise ContractError(f"not an event of an analysis: {line:.80}") from error
        return found


def _analysis_task(lease: protocol.Lease) -> protocol.AnalysisTask:
    (task,) = lease.tasks
    assert isinstance(task, protocol.AnalysisTask)
    return task


def local_launcher(workers: int) -> LocalLauncher:
    """Return a launcher of analysis workers on this machine."""
    return LocalLauncher(analysis_command(), workers, Path(tempfile.gettempdir()), task_files=AnalysisFiles)


class RemoteAnalyzer:
    """``StoppableAnalyzer`` that uses analysis workers, here or on the nodes of a cluster; a context manager.

    A worker is started for the first request. Any number of threads may ask; requests are done in the order in
    which they come. A worker that dies or hangs is replaced and its recording tried once more; then RunError
    (``listener_died``). ``workers`` share the threads of the settings.
    """

    def __init__(self, launcher: protocol.Launcher, *, workers: int = 1, timeout_scale: float = 1.0) -> None:
        self._workers = workers
        self._pool = Pool(launcher, timeout_scale=timeout_scale, signals=False, stopping_seconds=0.0)
        # Linux ends a process with the thread that started it, so workers need a thread that lives as long.
        self._thread = threading.Thread(target=self._serve, name="analysis", daemon=True)

    def __enter__(self) -> RemoteAnalyzer:
        """Start the pool."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the pool."""
        self.close()

    @property
    def peak_mb(self) -> int:
        """Peak resident memory of the largest worker so far; 0 where it is not known."""
        return self._pool.peak_mb

    def run(self, task: protocol.AnalysisTask, progress: Progress) -> dict[str, Any]:
        """As ``Analyzer``; also raises RunError, and Stopped when ``stop`` was called."""
        threads = max(1, task.request["threads"] // self._workers)
        task = replace(task, request={**task.request, "threads": threads})
        name = Path(task.request["recording"]["path"]).name
        events: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        client = Client(lambda worker, event: events.put(event), max_losses=MAX_NODE_LOSSES)
        job = Job(client, protocol.one_lease([task]))
        self._pool.submit(job)
        try:
            document = self._document(job, events, progress)
            if document is None:
                failure = job.result().analyses[task.id].error
                assert failure is not None
                raise RunError(f"{name} could not be analyzed: {failure.message}", code="listener_died")
            job.done.wait(CHECK_SECONDS)  # the worker's peak memory is known a moment later
        except PreflightError as error:
            if error.code != "worker_interpreter":
                raise
            raise RunError(
                f"{name} could not be analyzed: {sys.executable} cannot be started; "
                "end other programs, and give the same command again",
                code="listener_died",
            ) from error
        except BaseException as error:
            job.end(error)
            self._pool.submit(job)  # which ends its worker
            raise
        if "error" in document:
            row = document["error"]
            raise _ERRORS.get(row["kind"], VoicecloneError)(row["message"], code=row["code"])
        result: dict[str, Any] = document["result"]
        return result

    def stop(self, stopped: Stopped) -> None:
        """As ``StoppableAnalyzer``; the workers are ended."""
        self._pool.end(stopped)

    def close(self) -> None:
        """End the workers and wait for it. Threads that still wait for a result get a RunError."""
        self._pool.end(RunError("the analysis was ended: the command is ending", code="listener_closed"))
        if self._thread.ident is not None:
            wait_for_thread(self._thread, CLOSING_SECONDS)

    def _serve(self) -> None:
        try:
            with self._pool:
                self._pool.serve(lambda: False)
        except BaseException as error:  # raised where a result is waited for
            self._pool.end(error)

    def _document(
        self, job: Job, events: queue.SimpleQueue[dict[str, Any]], progress: Progress
    ) -> dict[str, Any] | None:
        """Return what the worker answered; None where it has failed. ``progress`` is called in this thread."""
        while True:
            done = job.done.is_set()
            try:
                event = events.get(timeout=0.0 if done else CHECK_SECONDS)
            except queue.Empty:
                if done:
                    return None
                if self._pool.ending is not None:
                    raise copy_error(self._pool.ending) from None
                continue
            if event["event"] == "analysis_progress":
                progress(ProgressEvent(**event["progress"]))
            elif event["event"] == "analyzed":
                document: dict[str, Any] = event["document"]
                return document


class SideBySideAnalyzer:
    """Analyzer of one recording, whose words it begins to recognize as soon as turns are asked for.

    Each of the two has a process and half of the threads, with the results of ``run_task``; a process ends with its
    task. ``words`` is called with the task to find the turns, and returns that to recognize the words, or None:
    then everything is done in this process, one after the other. ``core_is_free`` is called once the first of the
    two has its result. A context manager: leaving it ends both.
    """

    def __init__(
        self,
        words: Callable[[], protocol.AnalysisTask | None],
        progress: Progress,
        core_is_free: Callable[[], None] = lambda: None,
    ) -> None:
        self._words_task = words
        self._progress = progress
        self._core_is_free = core_is_free
        self._running: dict[str, _BackgroundTask] = {}
        self.peak_mb = {DIARIZE: 0, TRANSCRIBE: 0}
        """Peak resident memory of each process; 0 where there was none, or it is not known."""

    def __enter__(self) -> SideBySideAnalyzer:
        """Start nothing yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End what is still running."""
        for running in self._running.values():
            running.close()

    def run(self, task: protocol.AnalysisTask, progress: Progress) -> dict[str, Any]:
        """As ``Analyzer``, but ``progress`` is called in other threads.

        Also raises RunError. What went wrong with the words is raised when they are asked for.
        """
        if task.id == DIARIZE and (words := self._words_task()) is not None:
            ended = threading.Event()
            threads = task.request["threads"]
            self._running = {
                TRANSCRIBE: _BackgroundTask(words, threads - threads // 2, self._progress, ended),
                DIARIZE: _BackgroundTask(task, max(1, threads // 2), progress, ended),
            }
            wait_in_steps(ended.wait)
            if not any(running.has_failed for running in self._running.values()):
                self._core_is_free()
        if (running := self._running.get(task.id)) is None:
            return LOCAL_ANALYZER.run(task, progress)
        found = running.result()
        self.peak_mb[task.id] = running.peak_mb
        return found


class _BackgroundTask:
    """A task that another process does on ``threads`` while the caller goes on.

    ``ended`` is set once it has ended.
    """

    def __init__(
        self, task: protocol.AnalysisTask, threads: int, progress: Progress, ended: threading.Event
    ) -> None:
        self._task = replace(task, request={**task.request, "threads": threads})
        self._progress = progress
        self._ended = ended
        self._analyzer = RemoteAnalyzer(local_launcher(1))
        self._found: dict[str, Any] = {}
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"analysis of {task.id}", daemon=True)
        self._thread.start()

    @property
    def has_failed(self) -> bool:
        """Whether it ended with an error."""
        return self._error is not None

    @property
    def peak_mb(self) -> int:
        """As in ``RemoteAnalyzer``."""
        return self._analyzer.peak_mb

    def result(self) -> dict[str, Any]:
        """Wait for the result. Raises what the task raised."""
        wait_for_thread(self._thread)
        if self._error is not None:
            raise self._error
        return self._found

    def close(self) -> None:
        """End the task, if it has not ended."""
        self._analyzer.close()
        wait_for_thread(self._thread, CLOSING_SECONDS)

    def _run(self) -> None:
        try:
            with self._analyzer:
                self._found = self._analyzer.run(self._task, self._progress)
        except BaseException as error:  # raised where the result is asked for
            self._error = error
        finally:
            self._ended.set()
