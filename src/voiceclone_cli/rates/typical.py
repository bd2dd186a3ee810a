"""What a machine without a history is taken for: two cores of a server, measured there.

The numbers are the shape that a machine's own measures are laid over: how much of a stage is spent whatever
there is to do, and how much more with each unit of work.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_REFERENCE_THREADS = 2
_S1_MINI_BYTES = 1.74e9
"""Of model.pth of openaudio-s1-mini."""


@dataclass(frozen=True, slots=True)
class Typical:
    fixed: float
    """Seconds that it takes at least."""
    each: float
    """Seconds for each unit of work."""
    memory_mb: int
    """Peak of the process, 10^6 bytes."""

    def seconds(self, work: float) -> float:
        return self.fixed + self.each * work


MEDIA = Typical(0.1, 0.002, 110)
CASTING = Typical(0.05, 0.002, 150)
VIDEO = Typical(0.3, 0.01, 300)
ORIGINAL = Typical(0.1, 0.004, 200)
REPORT = Typical(0.3, 0.002, 200)


def diarization(stack: str, threads: int) -> Typical:
    """A unit is a second of audio."""
    return Typical(5.0, _threaded(0.2 if stack == "embedded" else 0.5, threads), 1200)


def transcription(threads: int) -> Typical:
    """A unit is a second of audio."""
    return Typical(1.5, _threaded(0.3, threads), 1300)


def timeline(background: str, threads: int) -> Typical:
    """A unit is a second of audio."""
    if background == "keep":
        return Typical(0.5, _threaded(0.12, threads), 900)
    return Typical(0.05, 0.002 if background == "none" else 0.005, 200)


def loading(engine: str, checkpoint: str) -> Typical:
    """A unit is a start of the workers; memory is that of one worker, as it is for all that they do."""
    if engine == "fish":
        return Typical(0.0, 3.0 + 4.0 * _size(checkpoint), _worker_mb(engine, checkpoint))
    return Typical(0.0, 1.2 if engine == "kokoro" else 0.01, _worker_mb(engine, checkpoint))


def encoding(engine: str, checkpoint: str, threads: int) -> Typical:
    """A unit is a reference."""
    each = {"kokoro": 7.0, "fish": 8.0}.get(engine, 0.01)
    return Typical(0.0, _threaded(each, threads), _worker_mb(engine, checkpoint))


def speech(engine: str, checkpoint: str, workers: int, threads: int) -> Typical:
    """A unit is a second of speech."""
    each = {"kokoro": 0.65, "fish": 4.2 * _size(checkpoint)}.get(engine, 0.01)
    if engine == "fish" and _has_graphics():
        each = 0.3
    return Typical(0.6, _threaded(each, threads) / workers, _worker_mb(engine, checkpoint))


def _threaded(seconds: float, threads: int) -> float:
    """Twice the threads do not halve the time."""
    return float(seconds * (_REFERENCE_THREADS / threads) ** 0.7)


def _worker_mb(engine: str, checkpoint: str) -> int:
    if engine == "fish":
        # float32 in memory, 16 bits on the disk; codec, cache and torch beside them.
        return round(2800 + 2 * _size(checkpoint) * _S1_MINI_BYTES / 1e6)
    return 1100 if engine == "kokoro" else 30


def _size(checkpoint: str) -> float:
    """Times openaudio-s1-mini."""
    try:
        return (Path(checkpoint) / "model.pth").stat().st_size / _S1_MINI_BYTES
    except OSError:
        return 1.0


def _has_graphics() -> bool:
    return Path("/proc/driver/nvidia/gpus").is_dir()
