"""What a run computes with: who listens, and who speaks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Protocol

from voiceclone_cli.executors import open_launcher
from voiceclone_cli.listening import OWN_EARS, Ears
from voiceclone_cli.tasks import Job
from voiceclone_cli.types import Progress
from voiceclone_cli.workers.leases import Lease, warm_up
from voiceclone_cli.workers.outcome import Outcome
from voiceclone_cli.workers.pool import Pool
from voiceclone_cli.workers.progress import WorkerProgress
from voiceclone_cli.workers.slot import Launcher
from voiceclone_cli.workers.work import OnSegment


class Voices(Protocol):
    """Slots that speak a job's leases."""

    @property
    def slots(self) -> int:
        """How many there may be now."""

    def warm_up(self, job: Job) -> Sequence[Lease]:
        """Leases that have engines loaded while references are encoded."""

    def run(self, leases: Sequence[Lease], on_segment: OnSegment = ...) -> Outcome:
        """As ``Pool.run``."""


OpenVoices = Callable[[Job, Progress, WorkerProgress, bool], AbstractContextManager[Voices]]
"""Called with the job, whom to tell of the whole and of workers, and whether task files are kept."""


@dataclass(frozen=True, slots=True)
class Means:
    ears: Ears
    voices: OpenVoices
    computing: AbstractContextManager[object] = field(default_factory=nullcontext)
    """Held while this process itself computes for the run: a batch lets one recording do so at a time, since
    threads of one interpreter that all compute take three times as long together."""
    undisturbed: bool = True
    """Whether the times of its stages tell how fast this machine is: not where they hold waiting for others."""


class OwnVoices:
    """The pool of a single run."""

    def __init__(self, launcher: Launcher, pool: Pool) -> None:
        self._launcher = launcher
        self._pool = pool

    @property
    def slots(self) -> int:
        return max(1, self._launcher.room())

    def warm_up(self, job: Job) -> Sequence[Lease]:
        return warm_up(job.spec(), min(self.slots, len(job.script.segments)) - 1)

    def run(self, leases: Sequence[Lease], on_segment: OnSegment = lambda row: None) -> Outcome:
        return self._pool.run(leases, on_segment)


@contextmanager
def own_voices(job: Job, progress: Progress, report: WorkerProgress, keep_tasks: bool) -> Iterator[OwnVoices]:
    """Slots for one job; none is started before there is something to do, and all end with the block."""
    with (
        open_launcher(
            job.settings,
            job.engine,
            job.run_dir.tasks,
            log_dir=job.run_dir.logs,
            keep_tasks=keep_tasks,
            progress=progress,
        ) as launcher,
        Pool(launcher, on_event=report, on_log=report.log, patience=job.settings.patience) as pool,
    ):
        yield OwnVoices(launcher, pool)


OWN = Means(OWN_EARS, own_voices)
"""Of a run that is alone."""
