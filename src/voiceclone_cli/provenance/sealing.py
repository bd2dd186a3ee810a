"""What is done to a spoken segment before it counts: it is watermarked, and says what it is.

The worker writes plain speech; this end seals it while the worker speaks on, so that the worker's environment
needs nothing of it. A segment that a killed run left unsealed has no note and is made again.
"""

from __future__ import annotations

import contextlib
import time
import typing
import wave
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

from voiceclone_cli.atomic import atomic_path_unsynced, write_error
from voiceclone_cli.media.wav import open_wav, to_pcm16
from voiceclone_cli.provenance.tags import wav_info
from voiceclone_cli.provenance.watermark import Watermark, load_watermark, why_unmarkable
from voiceclone_worker.contract import Failure, SegmentRow

if typing.TYPE_CHECKING:
    from voiceclone_cli.types import Samples

Settle = Callable[[SegmentRow, str | None], None]
"""Called with a row that has its outcome, and why it could not be marked (None: it is, or nobody wanted it)."""

_IDS_TOLD = 5


@dataclass(frozen=True, slots=True)
class Seal:
    """What the segments of one engine get."""

    engine: str
    model: Path | None
    """Folder of the watermark's model; None: tags alone."""


class Sealer:
    """Seals rows in a thread of its own.

    Use as a context manager: when it ends, also early, every row that was taken is settled.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sealer")
        self._jobs: deque[Future[None]] = deque()
        self._loaded: dict[Path, Watermark] = {}
        self.seconds = 0.0

    def take(self, row: SegmentRow, seal: Seal | None, settle: Settle) -> None:
        """Hand over a row of a worker. ``settle`` hears of its outcome from the thread; at once where the row
        failed or there is no ``seal``. What it raises is raised by a later ``take``, or at the end."""
        while self._jobs and self._jobs[0].done():  # one thread: they end in order
            self._jobs.popleft().result()
        if seal is None or row.status != "done":
            settle(row, None)
        else:
            self._jobs.append(self._thread.submit(self._seal, row, seal, settle))

    def __enter__(self) -> Sealer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(wait=True)
        if kind is None:
            for job in self._jobs:
                job.result()

    def _seal(self, row: SegmentRow, seal: Seal, settle: Settle) -> None:
        started = time.perf_counter()
        path = Path(row.file or "")
        try:
            watermark = None if seal.model is None else self._watermark(seal.model)
            sha256, unmarked = seal_file(path, seal.engine, watermark)
            row = replace(row, sha256=sha256)
        except Exception as error:
            unmarked = None
            row = SegmentRow(row.task, row.id, "failed", seed=row.seed, error=_failure(path, error))
            # What is not sealed must not be taken for what is.
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
        self.seconds += time.perf_counter() - started
        settle(row, unmarked)

    def _watermark(self, folder: Path) -> Watermark:
        """Loaded for the first segment: where nothing is to be marked, torch is not even imported."""
        if folder not in self._loaded:
            self._loaded[folder] = load_watermark(folder, threads=1)
        return self._loaded[folder]


def seal_file(path: Path, engine: str, watermark: Watermark | None) -> tuple[str, str | None]:
    """Mark a mono 16-bit wav and tag it, in place, whole or not at all: its SHA-256, and why it could not
    be marked (None where it was, or nobody wanted it). Raises OSError, and whatever stands in the way."""
    samples, rate = _read(path)
    unmarked = None
    if watermark is not None:
        unmarked = why_unmarkable(samples, rate)
        samples = watermark.mark(samples, rate)
    with (
        atomic_path_unsynced(path) as temporary,
        open_wav(temporary, rate, len(samples), info=wav_info(engine)) as file,
    ):
        file.write(to_pcm16(samples))
    return file.sha256, unmarked


def _read(path: Path) -> tuple[Samples, int]:
    import numpy as np

    with wave.open(str(path), "rb") as file:
        if (file.getnchannels(), file.getsampwidth()) != (1, 2):
            raise ValueError(f"{path.name} is not mono with 16 bits")
        pcm = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        return pcm.astype(np.float32) / np.float32(32768), file.getframerate()


def _failure(path: Path, error: Exception) -> Failure:
    if isinstance(error, FileNotFoundError) and path.parent.is_dir():
        return Failure("output_vanished", f"{path} was written, and is gone")
    if isinstance(error, OSError):
        explained = write_error(path.parent, error)
        return Failure(explained.code, explained.message)
    return Failure(
        "watermark_failed",
        f"{path.name} could not be watermarked ({error}): give the same command again, or do without by "
        "--no-watermark",
    )


def unmarked_notes(unmarked: Mapping[str, str]) -> list[str]:
    """A sentence for each reason why segments carry no mark."""
    notes = []
    for reason in sorted(set(unmarked.values())):
        ids = sorted(id for id, why in unmarked.items() if why == reason)
        more = f" and {len(ids) - _IDS_TOLD} more" if len(ids) > _IDS_TOLD else ""
        told = ", ".join(ids[:_IDS_TOLD]) + more
        notes.append(f"no watermark is on {told}: {reason}")
    return notes
