"""What a run computes with: an analyzer and a pool of workers, on this machine or on a Ray cluster."""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from voiceclone_cli.analysis.analyzer import LOCAL_ANALYZER, Analyzer
from voiceclone_cli.config import RAY, Settings
from voiceclone_cli.engines.select import EngineChoice
from voiceclone_cli.pipeline.tasks import SynthesisJob
from voiceclone_cli.types import Progress
from voiceclone_cli.workers.pool import Pool
from voiceclone_cli.workers.process import LocalLauncher, worker_command
from voiceclone_cli.workers.protocol import Launcher, Lease, PoolResult
from voiceclone_cli.workers.queue import OnSegment, WorkerProgress

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
    log_dir: Path | None,
    keep_tasks: bool,
    progress: Progress,
) -> Iterator[Launcher]:
    """Yield what starts the workers that the settings ask for, on request.

    Task files are written into ``task_dir``, logs of workers into ``log_dir``; other machines keep theirs.
    """
    if settings.executor == RAY:
        from voiceclone_cli.cluster.launcher import RayLauncher

        with closing(RayLauncher(settings, engine, log_dir=log_dir, progress=progress)) as launcher:
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
            log_dir=job.run_dir.logs,
            keep_tasks=keep_tasks,
            progress=progress,
        ) as launcher,
        Pool(launcher, on_event=report, on_log=report.log, timeout_scale=job.settings.timeout_scale) as pool,
    ):
        yield WorkerPool(pool.run, lambda: max(1, launcher.room()))


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
