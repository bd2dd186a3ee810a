"""The words of the house (docs/architecture.md) as types. Times are seconds from the start of the input."""

from __future__ import annotations

import typing
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

if typing.TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Samples = NDArray[np.float32]
    """Mono signal, shape (samples,), nominally within [-1, 1]."""


ANALYSIS_RATE = 16_000
"""Hz. Diarization, transcription and speaker embeddings all listen at this rate."""


class Until(StrEnum):
    """The stages after which a run can be told to stop."""

    DIARIZATION = "diarization"
    SCRIPT = "script"
    CASTING = "casting"
    SPEAKING = "speaking"


@dataclass(frozen=True, slots=True)
class Recording:
    """An input file, decoded for analysis."""

    path: Path
    samples: Samples
    """Mono at ANALYSIS_RATE."""
    source_rate: int
    """Hz, as in the file."""
    source_frames: int
    """Exact number of samples per channel at source_rate."""
    channels: int
    has_video: bool

    @property
    def seconds(self) -> float:
        return self.source_frames / self.source_rate


@dataclass(frozen=True, slots=True)
class Turn:
    """Who speaks from when to when."""

    start: float
    end: float
    speaker: str

    @property
    def seconds(self) -> float:
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Diarization:
    """What a diarizer found. ``turns`` may overlap; in ``exclusive`` one speaker at most is heard at a time."""

    turns: tuple[Turn, ...]
    exclusive: tuple[Turn, ...]
    diarizer: str
    """Whose turns these are: "embedded", "community-1", a folder's, or "given" where the user gave them."""
    why: str = ""
    """Why this stack and no other."""
    notes: tuple[str, ...] = ()
    """Sentences for the user: a number of speakers that the recording did not bear out."""

    @property
    def speakers(self) -> tuple[str, ...]:
        return tuple(sorted({turn.speaker for turn in self.turns}))


@dataclass(frozen=True, slots=True)
class Word:
    """A recognised word. ``text`` keeps the blank before it, as the recogniser wrote it."""

    start: float
    end: float
    text: str
    probability: float


@dataclass(frozen=True, slots=True)
class Transcript:
    words: tuple[Word, ...]
    language: str
    """ISO 639-1 code."""
    language_probability: float
    model: str


@dataclass(frozen=True, slots=True)
class Segment:
    """One line of the script."""

    id: str
    speaker: str
    start: float
    end: float
    text: str
    language: str
    seed: int | None = None
    """The line's own; None: made of the run's seed and the id."""


@dataclass(frozen=True, slots=True)
class Script:
    """The lines to speak, in the order of their start, and what had to be guessed while reading them."""

    segments: tuple[Segment, ...]
    notes: tuple[str, ...] = ()
    """Sentences for the user: a line that fitted no turn, a dropped empty cue."""

    @property
    def language(self) -> str | None:
        """That of most lines; None without lines."""
        counted = Counter(segment.language for segment in self.segments)
        return counted.most_common(1)[0][0] if counted else None


@dataclass(frozen=True, slots=True)
class Reference:
    """A speaker's own clean speech and its words."""

    speaker: str
    audio: Path
    """Mono wav at the original rate."""
    text: str
    seconds: float
    """Speech in it, without the pauses put between its pieces."""
    spans: tuple[tuple[float, float], ...]
    """Where in the recording the pieces were taken; empty when the user gave the file."""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a spoken segment ended up on the timeline."""

    segment_id: str
    start_frame: int
    """At the mix's rate."""
    frames: int
    stretch: float
    """1.0 = as spoken; 1.3 = 1.3 times as fast."""
    overflow_seconds: float
    """How far it runs past its slot after stretching; 0.0 when it fits."""
    gain_db: float
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ProgressEvent:
    """One step of a stage. ``total`` is None while it is not known; ``worker`` names a worker's own bar."""

    stage: str
    completed: float
    total: float | None = None
    worker: str | None = None
    note: str = ""
    input: str = ""
    """The short name of one of several inputs; empty where there is only one."""


INPUTS_STAGE = "files"
"""Stage that counts the inputs of a batch. An event of it with an input reports the end of that."""
SYNTHESIS_STAGE = "synthesis"
"""Stage of the workers' events."""

Progress = Callable[[ProgressEvent], None]
"""Handed in by the caller; the library itself never prints."""


def no_progress(event: ProgressEvent) -> None:
    """The Progress of a caller that does not look."""
