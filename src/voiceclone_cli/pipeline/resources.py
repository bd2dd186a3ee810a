"""What a run computes with: who listens, and who speaks."""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from voiceclone_cli.analysis.analyzer import LOCAL_ANALYZER, Analyzer
from voiceclone_cli.config import RAY, Settings
from voiceclone_cli.engines.select import EngineChoice
from voiceclone_cli.pipeline.tasks import SynthesisJob
from voiceclone_cli.types import Progress
from voiceclone_cli.workers.pool import Pool
from voiceclone_cli.workers.process import LocalLauncher, worker_command
from voiceclone_cli.workers.protocol import Launcher, Lease, PoolResult, warm_up
from voiceclone_cli.workers.queue import OnSegment, WorkerProgress

if typing.TYPE_CHECKING:
    from voiceclone_cli.analysis.analyzer import StoppableAnalyzer


# Where workers run: here, or on the machines of a Ray cluster.


ANALYZER_THREADS = 8
"""More threads hardly make one pair of ears faster: a larger machine gets another pair for each so many."""


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
    """What starts the slots that the settings ask for. Nothing is started before it is asked to.

    Task files are written into ``task_dir``, what workers log into ``log_dir``; those of other machines stay there.
    """
    if settings.executor == RAY:
        from voiceclone_cli.cluster import launcher as cluster_launcher

        with cluster_launcher.open_launcher(settings, engine, log_dir=log_dir, progress=progress) as launcher:
            yield launcher
    else:
        command = worker_command(engine.python, threads=settings.threads_each)
        yield LocalLauncher(command, settings.pool_size, task_dir, log_dir=log_dir, keep_tasks=keep_tasks)


@contextmanager
def open_analyzer(settings: Settings, progress: Progress) -> Iterator[StoppableAnalyzer]:
    """Who listens for a batch: processes that keep their models loaded, here or on other machines. None is
    started before there is something to hear."""
    if settings.executor == RAY:
        from voiceclone_cli.cluster.analysis import RemoteAnalyzer

        with RemoteAnalyzer(settings, progress) as ears:
            yield ears
    else:
        from voiceclone_cli.analysis.remote import ProcessAnalyzer

        with ProcessAnalyzer(max(1, settings.threads // ANALYZER_THREADS)) as ears:
            yield ears


class WorkerPool(Protocol):
    """Slots that speak a job's leases."""

    @property
    def slots(self) -> int:
        """How many there may be now."""

    def warm_up(self, job: SynthesisJob) -> Sequence[Lease]:
        """Leases that have engines loaded while references are encoded."""

    def run(self, leases: Sequence[Lease], on_segment: OnSegment = ...) -> PoolResult:
        """As ``Pool.run``."""


OpenPool = Callable[[SynthesisJob, Progress, WorkerProgress, bool], AbstractContextManager[WorkerPool]]
"""Called with the job, whom to tell of the whole and of workers, and whether task files are kept."""


@dataclass(frozen=True, slots=True)
class Resources:
    ears: Analyzer
    voices: OpenPool
    computing: AbstractContextManager[object] = field(default_factory=nullcontext)
    """Held while this process itself computes for the run: a batch lets one recording do so at a time, since
    threads of one interpreter that all compute take three times as long together."""
    undisturbed: bool = True
    """Whether the times of its stages tell how fast this machine is: not where they hold waiting for others."""


class LocalPool:
    """The pool of a single run."""

    def __init__(self, launcher: Launcher, pool: Pool) -> None:
        self._launcher = launcher
        self._pool = pool

    @property
    def slots(self) -> int:
        return max(1, self._launcher.room())

    def warm_up(self, job: SynthesisJob) -> Sequence[Lease]:
        return warm_up(job.spec(), min(self.slots, len(job.script.segments)) - 1)

    def run(self, leases: Sequence[Lease], on_segment: OnSegment = lambda row: None) -> PoolResult:
        return self._pool.run(leases, on_segment)


@contextmanager
def open_local_pool(
    job: SynthesisJob, progress: Progress, report: WorkerProgress, keep_tasks: bool
) -> Iterator[LocalPool]:
    """Slots for one job; none is started before there is something to do, and all end with the block."""
    with (
        open_worker_launcher(
            job.settings,
            job.engine,
            job.run_dir.tasks,
            log_dir=job.run_dir.logs,
            keep_tasks=keep_tasks,
            progress=progress,
        ) as launcher,
        Pool(launcher, on_event=report, on_log=report.log, patience=job.settings.timeout_scale) as pool,
    ):
        yield LocalPool(launcher, pool)


LOCAL_RESOURCES = Resources(LOCAL_ANALYZER, open_local_pool)
"""Of a run that is alone."""
