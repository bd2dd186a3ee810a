"""Wav files, written beside the computing."""

from __future__ import annotations

import hashlib
import io
import os
import threading
import time
import wave
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

from voiceclone_worker.contract import Failure, SegmentRow
from voiceclone_worker.engines.base import Row, Speech

BACKLOG = 32
"""Finished segments that may wait for the disk before the engine has to."""


class Writer:
    """Writes each segment's wav in a thread of its own. ``finished`` hears of every outcome."""

    def __init__(self, finished: Callable[[SegmentRow], None]) -> None:
        self._finished = finished
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="writer")
        self._room = threading.BoundedSemaphore(BACKLOG)
        self._jobs: list[Future[None]] = []
        self.seconds = 0.0

    def submit(self, row: Row, speech: Speech, path: str) -> None:
        self._room.acquire()
        self._jobs.append(self._thread.submit(self._write, row, speech, path))

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(wait=True)
        for job in self._jobs:
            job.result()

    def _write(self, row: Row, speech: Speech, path: str) -> None:
        started = time.perf_counter()
        try:
            sha256 = write_wav(path, speech)
            outcome = SegmentRow(
                task=row.task,
                id=row.segment.id,
                status="done",
                file=path,
                seconds=round(speech.frames / speech.rate, 6),
                frames=speech.frames,
                seed=speech.seed,
                attempts=speech.attempts,
                sha256=sha256,
            )
        except OSError as error:
            outcome = failed(row, "write_failed", f"{path} could not be written: {error.strerror or error}")
        finally:
            self._room.release()
        self.seconds += time.perf_counter() - started
        self._finished(outcome)


def write_wav(path: str, speech: Speech) -> str:
    """Mono PCM_16 under a temporary name, then replaced. Returns its SHA-256; raises OSError."""
    content = io.BytesIO()
    with wave.open(content, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(speech.rate)
        out.writeframes(speech.pcm)
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        with open(temporary, "wb") as stream:
            stream.write(content.getbuffer())
        os.replace(temporary, path)
        return hashlib.sha256(content.getbuffer()).hexdigest()
    except OSError:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise


def failed(row: Row, code: str, message: str) -> SegmentRow:
    """The row of a segment that did not come to be."""
    return SegmentRow(
        task=row.task,
        id=row.segment.id,
        status="failed",
        seed=row.segment.seed,
        error=Failure(code, message),
    )
