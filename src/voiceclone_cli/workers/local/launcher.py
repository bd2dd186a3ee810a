"""Slots that are worker processes of this machine."""

from __future__ import annotations

from pathlib import Path

from voiceclone_cli.workers.local.environment import WorkerCommand
from voiceclone_cli.workers.local.process import WorkerProcess
from voiceclone_cli.workers.local.task_files import TaskFiles
from voiceclone_cli.workers.slot import Inbox


class LocalLauncher:
    """Starts up to ``size`` worker processes. Their leases are written as task files into ``task_dir``; with
    ``keep_tasks`` they stay there."""

    def __init__(
        self,
        command: WorkerCommand,
        size: int,
        task_dir: Path,
        *,
        log_dir: Path | None = None,
        keep_tasks: bool = False,
    ) -> None:
        self._command = command
        self._size = size
        self._log_dir = log_dir
        self._task_files = TaskFiles(task_dir, keep=keep_tasks)

    def room(self) -> int:
        return self._size

    def start(self, name: str, number: int, inbox: Inbox) -> WorkerProcess:
        log = self._log_dir / f"{name.replace(' ', '-')}.log" if self._log_dir else None
        return WorkerProcess(name, self._command.numbered(number), inbox, self._task_files, log)

    def close(self) -> None:
        """Nothing is left: the processes have ended, and task files go with their lease."""
