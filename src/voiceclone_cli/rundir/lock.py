"""One run at a time in a run directory."""

from __future__ import annotations

import contextlib
import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from voiceclone_cli.errors import PreflightError
from voiceclone_cli.rundir.manifest import json_object

LOCK_NAME, HOLDER_NAME = ".lock", ".lock-holder"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a run directory for as long as the block lasts.

    The lock is the system's own (flock, or its like), so that it ends with its holder, however that ends;
    beside it stands who holds it, for whoever comes second. Raises PreflightError (``run_in_progress``)
    that names the holder, and OSError where the folder cannot be written.
    """
    lock = FileLock(folder / LOCK_NAME, blocking=False)
    try:
        lock.acquire()
    except Timeout:
        raise PreflightError(
            f"{folder} is in use by {_holder(folder)}; wait for it, or choose another with --out",
            code="run_in_progress",
        ) from None
    holder = folder / HOLDER_NAME
    try:
        _sign(holder)
        yield
    finally:
        # The folder may have gone, or become read-only: nobody needs it then.
        with contextlib.suppress(OSError):
            holder.unlink(missing_ok=True)
        lock.release()


def _sign(holder: Path) -> None:
    mine = {
        "pid": os.getpid(),
        "machine": platform.node(),
        "since": f"{datetime.now().astimezone():%F %T %z}",
    }
    # Not through a link that somebody put there.
    holder.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # a full disk: the lock holds all the same, only unsigned
        holder.write_text(json.dumps(mine) + "\n", encoding="utf-8")


def _holder(folder: Path) -> str:
    mine = json_object(folder / HOLDER_NAME)
    try:
        return f"another run (process {mine['pid']} on {mine['machine']}, since {mine['since']})"
    except KeyError:
        return "another run"
