"""Wav files, written beside the computing.

A segment's wav is whole as soon as it has its name, and stays so whatever happens to the process. It is not
flushed to the disk: after a power cut a wav that does not have the sha256 of its row is made again.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import threading
import time
import wave
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

from voiceclone_worker.atomic import write_failure, write_unsynced
from voiceclone_worker.contract import Failure, SegmentRow
from voiceclone_worker.engines.base import Row, Speech

BACKLOG = 32
"""Finished segments that may wait for the disk before the engine has to."""

_OF_THE_FOLDER = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM),
    *(errno.EIO, errno.ENOENT, errno.ENOTDIR, errno.ESTALE),
)
"""What is wrong with the place rather than with one file: the next one would meet it too."""


class Writer:
    """Writes each segment's wav in a thread of its own. ``finished`` hears of every outcome."""

    def __init__(self, finished: Callable[[SegmentRow], None]) -> None:
        self._finished = finished
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="writer")
        self._room = threading.BoundedSemaphore(BACKLOG)
        self._jobs: deque[Future[None]] = deque()
        self.seconds = 0.0
        self.blocked: Failure | None = None
        """Why nothing more can be written: a full disk, a folder that is gone. To go on is computing for nothing."""

    def make_folders(self, folders: Iterable[str]) -> None:
        """Once, before the work: a folder that somebody removes later is not made again."""
        for folder in folders:
            try:
                os.makedirs(folder, exist_ok=True)
            except OSError as error:
                self.blocked = write_failure(Path(folder), error)

    def submit(self, row: Row, speech: Speech, path: str) -> None:
        """Hand over a segment. Waits where ``BACKLOG`` of them have not been written yet."""
        self._room.acquire()
        while self._jobs and self._jobs[0].done():  # one thread: they end in order
            self._jobs.popleft().result()
        self._jobs.append(self._thread.submit(self._write, row, speech, Path(path)))

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(wait=True)
        for job in self._jobs:
            job.result()

    def _write(self, row: Row, speech: Speech, path: Path) -> None:
        started = time.perf_counter()
        try:
            sha256 = write_wav(path, speech)
            outcome = SegmentRow(
                task=row.task,
                id=row.segment.id,
                status="done",
                file=str(path),
                seconds=round(speech.frames / speech.rate, 6),
                frames=speech.frames,
                seed=speech.seed,
                attempts=speech.attempts,
                sha256=sha256,
            )
        except OSError as error:
            failure = write_failure(path, error)
            if error.errno in _OF_THE_FOLDER:
                self.blocked = failure
            outcome = failed(row, failure)
        finally:
            self._room.release()
        self.seconds += time.perf_counter() - started
        self._finished(outcome)


def write_wav(path: Path, speech: Speech) -> str:
    """Mono PCM_16. Returns the file's SHA-256; raises OSError."""
    content = io.BytesIO()
    with wave.open(content, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(speech.rate)
        out.writeframes(speech.pcm)
    data = content.getvalue()
    write_unsynced(path, data)
    return hashlib.sha256(data).hexdigest()


def failed(row: Row, failure: Failure) -> SegmentRow:
    """The row of a segment that did not come to be."""
    return SegmentRow(row.task, row.segment.id, "failed", seed=row.segment.seed, error=failure)
