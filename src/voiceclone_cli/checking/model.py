"""What a check comes to, as types. Times in seconds, levels in dB; None is what could not be measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any


class Flag(StrEnum):
    """What is wrong with a row, whatever the gates; the limits stand in ``flags.py``."""

    FAILED = "failed"
    """The run did not speak it."""
    UNREADABLE = "unreadable"
    """Its wav is not there, or is none."""
    ALTERED = "altered"
    """Its wav is not the one that the run wrote."""
    SILENT = "silent"
    CLIPPED = "clipped"
    WRONG_SPEAKER = "wrong_speaker"
    WRONG_WORDS = "wrong_words"
    TOO_LONG = "too_long"
    TOO_SHORT = "too_short"
    OFF_LEVEL = "off_level"


class Against(StrEnum):
    """Which voice a clone is compared with."""

    AUTO = "auto"
    """The speaker's own in the recording; a given reference where one was given, unless it is plainly
    the voice of another speaker of the recording."""
    RECORDING = "recording"
    REFERENCE = "reference"


@dataclass(frozen=True, slots=True)
class Gates:
    """What a run has to reach; None asks for nothing."""

    min_similarity: float | None = None
    min_margin: float | None = None
    max_wer: float | None = None
    min_mos: float | None = None
    baseline: Path | None = None
    """check.json of an earlier run, or the run directory or run.json beside it."""

    @property
    def are_set(self) -> bool:
        return any(
            wanted is not None
            for wanted in (self.min_similarity, self.min_margin, self.max_wer, self.min_mos, self.baseline)
        )


@dataclass(frozen=True, slots=True)
class Row:
    """One segment, measured; as it is before anything is."""

    id: str
    speaker: str
    text: str
    words: int
    """Words of the text, as they are compared."""
    flags: tuple[Flag, ...]
    sha256: str | None = None
    """Of the wav that was measured."""
    similarity: float | None = None
    """Cosine of CAM++ embeddings to the speaker's voice: real speech has .9 to itself, .4 to others."""
    margin: float | None = None
    """Similarity to the own speaker less that to the nearest other; below 0 it sounds like the other."""
    nearest_other: str | None = None
    wer: float | None = None
    word_errors: int | None = None
    heard: str | None = None
    mos: float | None = None
    """DNSMOS P.835, overall: 1 (bad) to 5 (excellent)."""
    duration_ratio: float | None = None
    """Spoken, as it was placed, over the original's time."""
    loudness_db: float | None = None
    """Level in the mix over the original's in the same place."""
    peak_db: float | None = None
    clipped_samples: int | None = None
    seconds: float | None = None
    judged: bool = False
    """Whether it is long enough for its measures to tell something; a shorter one misses no gate by them."""
    error: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Voice:
    """What the clones of one speaker are compared with, and how all of them together fare."""

    speaker: str
    source: Against
    """RECORDING or REFERENCE."""
    seconds: float
    """Of speech that it was measured on."""
    similarity: float | None
    margin: float | None
    nearest_other: str | None
    judged: bool


@dataclass(frozen=True, slots=True)
class Summary:
    """The run as a whole. Means are over the rows that are long enough, weighted by their seconds."""

    segments: int
    done: int
    judged: int
    flagged: int
    similarity: float | None
    margin: float | None
    wer: float | None
    """All word errors over all words."""
    mos: float | None
    duration_ratio: float | None
    """Median."""


@dataclass(frozen=True, slots=True)
class Offence:
    """A gate that was missed. ``segment`` is None for a speaker's lines, or the whole run."""

    gate: str
    segment: str | None
    speaker: str | None
    message: str
    """What was wanted and what was measured."""


@dataclass(frozen=True, slots=True)
class Check:
    """A run directory, checked."""

    run_dir: Path
    rows: tuple[Row, ...]
    voices: tuple[Voice, ...]
    summary: Summary
    gates: Gates
    offences: tuple[Offence, ...]
    models: Mapping[str, str]
    """Which model measured what."""
    notes: Sequence[str]

    @property
    def passed(self) -> bool:
        return not self.offences
