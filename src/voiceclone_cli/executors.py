"""Where workers run: here, or on the machines of a Ray cluster."""

from __future__ import annotations

import typing
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from voiceclone_cli.engines import EngineChoice
from voiceclone_cli.settings import RAY, Settings
from voiceclone_cli.types import Progress
from voiceclone_cli.workers.local.environment import worker_command
from voiceclone_cli.workers.local.launcher import LocalLauncher
from voiceclone_cli.workers.slot import Launcher

if typing.TYPE_CHECKING:
    from voiceclone_cli.listening import StoppableEars

THREADS_OF_EARS = 8
"""More threads hardly make one pair of ears faster: a larger machine gets another pair for each so many."""


@contextmanager
def open_launcher(
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
        from voiceclone_cli import cluster

        with cluster.open_launcher(settings, engine, log_dir=log_dir, progress=progress) as launcher:
            yield launcher
    else:
        command = worker_command(engine.python, threads=settings.threads_each)
        yield LocalLauncher(command, settings.pool_size, task_dir, log_dir=log_dir, keep_tasks=keep_tasks)


@contextmanager
def open_ears(settings: Settings, progress: Progress) -> Iterator[StoppableEars]:
    """Who listens for a batch: processes that keep their models loaded, here or on other machines. None is
    started before there is something to hear."""
    if settings.executor == RAY:
        from voiceclone_cli.cluster.ears import ClusterEars

        with ClusterEars(settings, progress) as ears:
            yield ears
    else:
        from voiceclone_cli.listening import ListeningProcess

        with ListeningProcess(max(1, settings.threads // THREADS_OF_EARS)) as ears:
            yield ears
