"""The interface between the worker and its engines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from voiceclone_worker.protocol import EngineSpec, Failure, ReferenceSpec, SegmentSpec

Emit = Callable[..., None]
"""``emit(event, **fields)`` writes one event line; see ``protocol.event_line``. Two events are also part of the
result of the lease: ``note`` (``message``: a sentence for the user) and ``spent`` (``stage``, ``seconds``: time of
an engine's own stage within ``generate``, such as decoding)."""


class _CodedError(Exception):
    """An error with a stable code and a message of one sentence."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    @property
    def failure(self) -> Failure:
        """The error as part of a result."""
        return Failure(self.code, self.message)


class SegmentError(_CodedError):
    """A failure of one segment or reference; the others go on."""


class EngineError(_CodedError):
    """A failure of the engine as a whole (a missing checkpoint, a missing package); it ends the task."""


@dataclass(frozen=True)
class SpeechRow:
    """A segment with its speaker's encoded reference; ``task`` is the number of its task file."""

    task: int
    segment: SegmentSpec
    reference: ReferenceSpec


@dataclass(frozen=True)
class Speech:
    """Mono speech as 16-bit little-endian PCM at ``rate`` Hz."""

    pcm: bytes
    rate: int
    seed: int
    attempts: int = 1
    warnings: tuple[str, ...] = ()
    """Sentences on words of the text that are not in it."""

    @property
    def frames(self) -> int:
        """Number of samples."""
        return len(self.pcm) // 2


class Engine(Protocol):
    """An engine, loaded once per process. Rows may be of several speakers; the engine forms its own batches."""

    def encode(
        self, references: Sequence[ReferenceSpec]
    ) -> Iterator[tuple[ReferenceSpec, SegmentError | None]]:
        """Write the codes of each reference to its ``codes``; yield each when it is done. Raises EngineError."""
        ...

    def generate(self, rows: Sequence[SpeechRow]) -> Iterator[tuple[SpeechRow, Speech | SegmentError]]:
        """Synthesize the rows; yield each exactly once, as soon as it is done, in any order.

        Emits ``segment_started`` (task, id) for each row before its work begins: if the process dies, these are
        the rows that may have killed it.
        """
        ...


Load = Callable[[EngineSpec, Emit], Engine]
"""``load(spec, emit)`` of an engine's module. Raises EngineError."""
