"""Task files: written for a lease, removed when it is answered."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path

from voiceclone_cli.workers.leases import Lease
from voiceclone_worker.atomic import write_unsynced
from voiceclone_worker.contract import task_to_json


class TaskFiles:
    """The task files in a folder. With ``keep`` they stay when their lease is answered."""

    def __init__(self, folder: Path, *, keep: bool) -> None:
        self.folder = folder
        self._keep = keep
        self._numbers = itertools.count(1)

    def write(self, lease: Lease) -> list[Path]:
        """A file for each task of the lease. Raises OSError, and then leaves none of them."""
        files: list[Path] = []
        try:
            for task in lease.tasks:
                path = self.folder / f"task-{next(self._numbers):05d}.json"
                # Not flushed: these files do not outlive their reader, and there is one for every few lines.
                write_unsynced(path, task_to_json(task).encode("utf-8"))
                files.append(path)
        except OSError:
            _remove(files)
            raise
        return files

    def remove(self, files: Iterable[Path]) -> None:
        if not self._keep:
            _remove(files)


def _remove(files: Iterable[Path]) -> None:
    for path in files:
        try:
            path.unlink(missing_ok=True)
        except OSError:
            # The folder is gone or read-only: whoever opens the run directory next sweeps it.
            return
