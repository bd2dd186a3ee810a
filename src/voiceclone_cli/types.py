"""The types that pass between the stages of a run (see docs/architecture.md).

Times are seconds from the start of the input (of a film: from what a player shows first), positions are absolute sample indices.
"""

from __future__ import annotations

import hashlib
import typing
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

if typing.TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


ANALYSIS_RATE = 16_000
"""Hz, of the audio for diarization, transcription and speaker embeddings."""

Span = tuple[float, float]
"""Start and end in seconds."""


class Until(StrEnum):
    """The stages after which a run can end (--until); the values are those of the option."""

    DIARIZATION = "diarization"
    SCRIPT = "script"
    REFERENCES = "casting"
    SYNTHESIS = "speaking"


@dataclass(frozen=True, slots=True)
class AudioChoice:
    """The part of a file's sound that is read."""

    track: str | None = None
    """Number (from 1) or language of an audio track; None: the track that players choose."""
    channel: int | None = None
    """Index of the only channel to read where one signal is needed; None: the mean of all."""


@dataclass(frozen=True, slots=True)
class Recording:
    """An input file, decoded for analysis."""

    path: Path
    samples: NDArray[np.float32]
    """Mono, shape (samples,) at ANALYSIS_RATE."""
    source_rate: int
    """Hz, as in the file."""
    source_frames: int
    """Exact number of samples per channel at source_rate."""
    channels: int
    has_video: bool
    audio: AudioChoice = AudioChoice()
    """What was read, with the number of the track: reading it again gives the same."""
    moved_frames: int = 0
    """Samples at source_rate of silence that were inserted, plus those that were cut, for the times of a film."""
    notes: tuple[str, ...] = ()
    """Sentences for the user on what was chosen or changed."""

    @property
    def seconds(self) -> float:
        """Duration of the sound; of a film, from its start to the end of sound and pictures."""
        return self.source_frames / self.source_rate

    @property
    def identity(self) -> str:
        """What tells the sound from that of the first track as decoded; empty where it is the same."""
        is_plain = self.audio in (AudioChoice(), AudioChoice("1")) and not self.moved_frames
        return "" if is_plain else f"{self.audio} {self.source_frames} {self.moved_frames}"


UNCERTAIN_MARGIN = 0.1
"""A turn with a smaller margin may well be of another speaker (see docs/usage.md)."""


@dataclass(frozen=True, slots=True)
class Turn:
    """Speech of one speaker from ``start`` to ``end``, in seconds."""

    start: float
    end: float
    speaker: str
    margin: float | None = None
    """By how much the turn's voice is nearer to its speaker than to the next one, as a difference of cosines;
    0.0 where nothing in it can be compared. None: not measured, as by other diarizers and in RTTM."""

    @property
    def is_uncertain(self) -> bool:
        """Return whether the turn may well be of another speaker."""
        return self.margin is not None and self.margin < UNCERTAIN_MARGIN

    @property
    def seconds(self) -> float:
        """Duration of the turn."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Diarization:
    """Turns of a recording. ``turns`` may overlap; in ``exclusive`` at most one speaker speaks at a time."""

    turns: tuple[Turn, ...]
    exclusive: tuple[Turn, ...]
    diarizer: str
    """Origin of the turns: "embedded", "community-1", the model's folder, or "given" by the user."""
    why: str = ""
    """Reason for this diarizer."""
    notes: tuple[str, ...] = ()
    """Sentences for the user: a requested number of speakers that was not found."""

    @property
    def speakers(self) -> tuple[str, ...]:
        """Names of the speakers, sorted."""
        return tuple(sorted({turn.speaker for turn in self.turns}))


@dataclass(frozen=True, slots=True)
class Word:
    """A recognised word, from ``start`` to ``end`` in seconds. ``text`` keeps the leading blank of the recogniser;
    ``probability`` is within [0, 1]."""

    start: float
    end: float
    text: str
    probability: float


@dataclass(frozen=True, slots=True)
class Transcript:
    """Recognised words of a recording, in the order of their start."""

    words: tuple[Word, ...]
    language: str
    """ISO 639-1 code."""
    language_probability: float
    model: str


@dataclass(frozen=True, slots=True)
class Segment:
    """One line of the script: ``text`` in the slot from ``start`` to ``end``, in seconds."""

    id: str
    speaker: str
    start: float
    end: float
    text: str
    language: str
    seed: int | None = None
    """Of this line; None: derived from the run's seed and the id."""
    original: str = ""
    """What the text is a translation of; empty for a text that is no translation."""


def segment_seed(run_seed: int, segment_id: str) -> int:
    """Return the seed of a segment without its own: the same in any mode, number of workers, batch size and order.

    31 bits of SHA-256 over the run's seed and the segment's id.
    """
    digest = hashlib.sha256(f"{run_seed}:{segment_id}".encode()).digest()
    return int.from_bytes(digest[:4], "big") & 0x7FFFFFFF


@dataclass(frozen=True, slots=True)
class OmittedText:
    """Text of a script that is not spoken, with the reason. Times in seconds; None where they cannot be read."""

    where: str
    """Position in the file: "cue 3"."""
    start: float | None
    end: float | None
    text: str
    reason: str


@dataclass(frozen=True, slots=True)
class Script:
    """The segments to synthesize, in the order of their start."""

    segments: tuple[Segment, ...]
    notes: tuple[str, ...] = ()
    """Sentences for the user on what was guessed while reading: a line that fitted no turn, a dropped empty cue."""
    omitted: tuple[OmittedText, ...] = ()
    """All other text of the file, in its order. A line can be spoken in part."""
    found_by: Mapping[str, int] = field(default_factory=dict)
    """Number of segments by the way to find their speaker: "label", "time", "dash", "nearest"."""
    named_language: str = ""
    """What a JSON document or the header of WebVTT says its language is, as it is written there."""

    @property
    def language(self) -> str | None:
        """Language of most segments; None without segments."""
        counted = Counter(segment.language for segment in self.segments)
        return counted.most_common(1)[0][0] if counted else None


@dataclass(frozen=True, slots=True)
class Reference:
    """A speaker's own clean speech and its words."""

    speaker: str
    audio: Path
    """Mono wav at the original rate."""
    text: str
    """The words in the audio."""
    seconds: float
    """Duration of the speech, without the pauses between its spans."""
    spans: tuple[Span, ...]
    """Start and end, in the recording, of the excerpts it consists of; empty when the user gave the file."""
    warnings: tuple[str, ...] = ()
    language: str = ""
    """BCP 47 tag of the speech; empty where it is not known."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Position of a synthesized segment on the timeline."""

    segment_id: str
    start_frame: int
    """At the rate of the mix."""
    frames: int
    """Length after stretching, at the rate of the mix."""
    stretch: float
    """Speed-up: 1.0 as synthesized, 1.3 for 1.3 times as fast."""
    overflow_seconds: float
    """Time past the end of its slot after stretching; 0.0 when it fits."""
    gain_db: float
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ProgressEvent:
    """Progress of a stage, in units of the stage. ``total`` is None while unknown; ``worker`` names the worker of a
    separate bar."""

    stage: str
    completed: float
    total: float | None = None
    worker: str | None = None
    note: str = ""
    input: str = ""
    """Short name of one of several inputs; empty where there is only one."""
    shared: bool = False
    """Whether every input of a batch reports the same, so that a batch shows it once."""


INPUTS_STAGE = "files"
"""Stage that counts the inputs of a batch. An event of it with an input reports the end of that."""
SYNTHESIS_STAGE = "synthesis"
"""Stage of the workers' events."""

Progress = Callable[[ProgressEvent], None]
"""Callback of the caller; the library itself never prints."""


def no_progress(event: ProgressEvent) -> None:
    """Ignore the event."""
