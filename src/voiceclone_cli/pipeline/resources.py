"""What a run computes with: an analyzer and a pool of workers, on this machine or on a Ray cluster."""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from voiceclone_cli.analysis.analyzer import LOCAL_ANALYZER, Analyzer
from voiceclone_cli.config import RAY, Settings
from voiceclone_cli.engines.select import EngineChoice
from voiceclone_cli.pipeline.tasks import SynthesisJob
from voiceclone_cli.rundir.directory import RunDir
from voiceclone_cli.system import add_seconds
from voiceclone_cli.types import Progress
from voiceclone_cli.workers.pool import Pool
from voiceclone_cli.workers.process import LocalLauncher, worker_command
from voiceclone_cli.workers.protocol import Launcher, Lease, PoolResult, prepare_encoding
from voiceclone_cli.workers.queue import Job, OnSegment, WorkerProgress

if typing.TYPE_CHECKING:
    from voiceclone_cli.analysis.analyzer import StoppableAnalyzer

ANALYZER_THREADS = 8
"""Threads of one analysis process of a batch. More hardly make it faster, so a larger machine gets more processes."""


@contextmanager
def open_worker_launcher(
    settings: Settings,
    engine: EngineChoice,
    task_dir: Path,
    *,
    languages: Sequence[str],
    log_dir: Path | None,
    keep_tasks: bool,
    progress: Progress,
) -> Iterator[Launcher]:
    """Yield what starts the workers that the settings ask for, on request.

    Task files are written into ``task_dir``, logs of workers into ``log_dir``; other machines keep theirs, and must be
    able to read ``languages`` (BCP 47 tags).
    """
    if settings.executor == RAY:
        from voiceclone_cli.cluster.launcher import RayLauncher

        with closing(
            RayLauncher(settings, engine, languages=languages, log_dir=log_dir, progress=progress)
        ) as launcher:
            yield launcher
    else:
        command = worker_command(engine.python, threads=settings.threads_each)
        yield LocalLauncher(command, settings.pool_size, task_dir, log_dir=log_dir, keep_tasks=keep_tasks)


@contextmanager
def open_analyzer(settings: Settings, progress: Progress) -> Iterator[StoppableAnalyzer]:
    """Yield the analyzer of a batch: processes that keep their models loaded, here or on other machines.

    None starts before there is work.
    """
    from voiceclone_cli.analysis.remote import RemoteAnalyzer, local_launcher

    launcher: Launcher
    if settings.executor == RAY:
        from voiceclone_cli.cluster.launcher import AnalysisLauncher

        workers, launcher = 1, AnalysisLauncher(settings, progress)
    else:
        workers = max(1, settings.threads // ANALYZER_THREADS)
        launcher = local_launcher(workers)
    with RemoteAnalyzer(launcher, workers=workers, timeout_scale=settings.timeout_scale) as analyzer:
        yield analyzer


@dataclass(frozen=True, slots=True)
class WorkerPool:
    """The pool of workers as one run sees it."""

    run: Callable[[Sequence[Lease], OnSegment], PoolResult]
    """As ``Pool.run``."""
    workers: Callable[[], int]
    """How many workers there may be now for this run."""
    is_shared: bool = False
    """Whether runs of a batch share it: then engines are loaded by the first lease of any run."""


@contextmanager
def open_local_pool(
    job: SynthesisJob, progress: Progress, report: WorkerProgress, keep_tasks: bool
) -> Iterator[WorkerPool]:
    """Open a pool for one job. No worker starts before there is work; all end with the block."""
    with (
        open_worker_launcher(
            job.settings,
            job.engine,
            job.run_dir.tasks,
            languages=sorted({segment.language for segment in job.script.segments}),
            log_dir=job.run_dir.logs,
            keep_tasks=keep_tasks,
            progress=progress,
        ) as launcher,
        Pool(launcher, on_event=report, on_log=report.log, timeout_scale=job.settings.timeout_scale) as pool,
    ):
        yield WorkerPool(pool.run, lambda: max(1, launcher.room()))


class EarlyPool:
    """A pool of one run on this machine, whose first worker is loaded before the job is known.

    A context manager around the run: leaving it ends the workers. Made, started and opened in one thread.
    """

    def __init__(
        self, settings: Settings, engine: EngineChoice, run_dir: RunDir, *, keep_tasks: bool
    ) -> None:
        command = worker_command(engine.python, threads=settings.threads_each)
        self._launcher = LocalLauncher(
            command, settings.pool_size, run_dir.tasks, log_dir=run_dir.logs, keep_tasks=keep_tasks
        )
        self._spec = engine.spec(batch_size=settings.batch_size, threads=settings.threads_each)
        self._report: WorkerProgress | None = None
        self._pool = Pool(
            self._launcher,
            on_event=self._show_event,
            on_log=self._show_log,
            timeout_scale=settings.timeout_scale,
        )
        self._begun: Job | None = None

    def __enter__(self) -> EarlyPool:
        """Start nothing yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the workers, also where the pool was not opened."""
        self._pool.close()

    def begin(self) -> None:
        """Start a worker, which loads its engine and what encodes references. One that cannot be started is
        tried again with the first lease."""
        self._begun = self._begun or self._pool.begin([prepare_encoding(self._spec)])

    @contextmanager
    def open(
        self, job: SynthesisJob, progress: Progress, report: WorkerProgress, keep_tasks: bool
    ) -> Iterator[WorkerPool]:
        """As ``open_local_pool``."""
        self._report = report

        def run(leases: Sequence[Lease], on_segment: OnSegment) -> PoolResult:
            outcome = self._pool.run(leases, on_segment)
            if self._begun is not None and self._begun.over:
                add_seconds(outcome.timing, self._begun.results.timing)
                self._begun = None
            return outcome

        with self._pool:
            yield WorkerPool(run, lambda: max(1, self._launcher.room()))

    def _show_event(self, worker: str, event: dict[str, Any]) -> None:
        if self._report is not None:
            self._report(worker, event)

    def _show_log(self, worker: str, line: str) -> None:
        if self._report is not None:
            self._report.log(worker, line)


OpenPool = Callable[[SynthesisJob, Progress, WorkerProgress, bool], AbstractContextManager[WorkerPool]]
"""Called with the job, the progress of the run and that of the workers, and whether task files are kept."""


@dataclass(frozen=True, slots=True)
class Resources:
    """What a run computes with; by default its own. The runs of a batch share theirs."""

    analyzer: Analyzer = LOCAL_ANALYZER
    open_pool: OpenPool = open_local_pool
    cpu_lock: AbstractContextManager[object] = field(default_factory=nullcontext)
    """Held while this process itself computes for the run: a batch lets one recording do so at a time, since
    threads of one interpreter that all compute take three times as long together."""
    begin_speech: Callable[[], None] = lambda: None
    """Called when a run that will synthesize speech has a core to spare: an engine may be loaded then."""


@contextmanager
def open_resources(
    own: Resources | None, settings: Settings, engine: EngineChoice, run_dir: RunDir, *, keep_tasks: bool
) -> Iterator[Resources]:
    """Yield ``own``; where there is none, those of a run alone that synthesizes speech, for the block."""
    # fish takes gigabytes, which the analysis may need meanwhile; nothing is gained with echo.
    if own is not None or settings.executor == RAY or engine.name != "kokoro":
        yield own or Resources()
        return
    with EarlyPool(settings, engine, run_dir, keep_tasks=keep_tasks) as pool:
        yield Resources(open_pool=pool.open, begin_speech=pool.begin)
