"""Task files: written for a lease, removed when it is answered."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable
from pathlib import Path

from voiceclone_cli.workers.leases import Lease
from voiceclone_worker.contract import EncodeTask, Failure, SynthesisTask, task_to_json


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
                _write_whole(path, task_to_json(task))
                files.append(path)
        except OSError:
            _remove(files)
            raise
        return files

    def remove(self, files: Iterable[Path]) -> None:
        if not self._keep:
            _remove(files)


def make_folders(lease: Lease) -> None:
    """The folders that a lease writes into, for a slot elsewhere, whose files come as bytes. Raises OSError."""
    for task in lease.tasks:
        if isinstance(task, SynthesisTask) and task.output_dir:
            os.makedirs(task.output_dir, exist_ok=True)
        elif isinstance(task, EncodeTask):
            for reference in task.references:
                os.makedirs(os.path.dirname(reference.codes), exist_ok=True)


def unwritable(error: OSError) -> Failure:
    """Why a lease could not be handed over."""
    folder = os.path.dirname(os.fsdecode(error.filename)) if error.filename else "the disk"
    return Failure(
        "output_unwritable",
        f"Cannot write task files to {folder} ({error.strerror or error}): "
        "check its free space and permissions.",
    )


def _write_whole(path: Path, text: str) -> None:
    # Not flushed to disk, unlike what a run leaves: these files do not outlive their reader, and there
    # is one for every few lines.
    temporary = path.with_name(f".{path.name}.part")
    try:
        temporary.write_bytes(text.encode("utf-8"))
        os.replace(temporary, path)
    except OSError:
        _remove([temporary])
        raise


def _remove(files: Iterable[Path]) -> None:
    for path in files:
        try:
            path.unlink(missing_ok=True)
        except OSError:
            # The folder is gone or read-only: whoever opens the run directory next sweeps it.
            return
