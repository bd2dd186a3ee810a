"""A lock between processes that is waited for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def waited_for(lock_file: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock; ``waiting`` is called once a second until another process lets go of it. The system takes it
    from a process that dies, so it cannot go stale. Raises OSError where the file cannot be made."""
    from filelock import FileLock, Timeout

    lock = FileLock(lock_file)
    while True:
        try:
            lock.acquire(timeout=1)
            break
        except Timeout:
            waiting()
    try:
        yield
    finally:
        lock.release()
