"""What the worker asks of an engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from voiceclone_worker.protocol import EngineSpec, ReferenceSpec, SegmentSpec

Emit = Callable[..., None]
"""``emit(event, **fields)`` writes one event line; see contract.event_line. Two events also stand in the
result of the lease: ``note`` (``message``: a sentence for the user) and ``spent`` (``stage``, ``seconds``:
time of an engine's own stage within ``generate``, the codec's for one)."""


class SegmentError(Exception):
    """One row that cannot be made; the others go on. ``code`` is stable, the message one sentence."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class EngineError(Exception):
    """The engine cannot work at all (a missing checkpoint, a missing package). Ends the task."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True)
class SpeechRow:
    """A segment together with its speaker's encoded reference."""

    task: int
    segment: SegmentSpec
    reference: ReferenceSpec


@dataclass(frozen=True)
class Speech:
    """Mono speech: 16-bit little-endian PCM at ``rate`` Hz."""

    pcm: bytes
    rate: int
    seed: int
    attempts: int = 1

    @property
    def frames(self) -> int:
        return len(self.pcm) // 2


class Engine(Protocol):
    """Loaded once per process. Rows may come from several speakers; the engine forms its own batches."""

    def encode(
        self, references: Sequence[ReferenceSpec]
    ) -> Iterator[tuple[ReferenceSpec, SegmentError | None]]:
        """Write what the engine makes of each reference to its ``codes``; yield each as it is done."""
        ...

    def generate(self, rows: Sequence[SpeechRow]) -> Iterator[tuple[SpeechRow, Speech | SegmentError]]:
        """Speak the rows; yield each exactly once, as soon as it is done, in any order.

        Emits ``segment_started`` (task, id) for each before its work begins: should the process die,
        these are the rows that may have killed it.
        """
        ...


Load = Callable[[EngineSpec, Emit], Engine]
"""``load(spec, emit)`` of an engine's module. Raises EngineError."""
