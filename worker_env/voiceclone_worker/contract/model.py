"""The words of the contract: tasks, and the rows and results that answer them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

TASK_SCHEMA = "voiceclone.task/1"
RESULT_SCHEMA = "voiceclone.result/1"
TOOL_SCHEMA = "voiceclone.tool/1"

MAX_SEGMENTS = 100_000
"""Of a task, and rows of a result."""
MAX_REFERENCES = 10_000
MAX_SEED = 2**63 - 1


@dataclass(frozen=True)
class EngineSpec:
    """Which engine speaks, and how. ``options`` are the engine's own settings."""

    name: str
    checkpoint: str = ""
    device: str = "auto"
    precision: str = "auto"
    batch_size: int = 5
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ReferenceSpec:
    """A speaker's reference; ``codes`` is what the engine made of it, or shall make of it."""

    speaker: str
    audio: str
    text: str
    codes: str


@dataclass(frozen=True)
class SegmentSpec:
    """A line to speak. ``max_seconds`` is its slot; None where it may take its time.

    ``take``: 0 is an engine's plainest reading, every other number another one. For engines that do not
    sample, and so have no use for the seed.
    """

    id: str
    text: str
    language: str
    seed: int
    max_seconds: float | None = None
    take: int = 0


@dataclass(frozen=True)
class SynthesisTask:
    """One speaker's segments (or a run of them)."""

    speaker: str
    engine: EngineSpec
    reference: ReferenceSpec
    output_dir: str
    segments: tuple[SegmentSpec, ...]


@dataclass(frozen=True)
class EncodeTask:
    """The references of all speakers of a recording, to be encoded together."""

    engine: EngineSpec
    references: tuple[ReferenceSpec, ...]


Task = SynthesisTask | EncodeTask


@dataclass(frozen=True)
class Failure:
    """Why a row failed: a stable code and one sentence."""

    code: str
    message: str


@dataclass(frozen=True)
class SegmentRow:
    """The outcome of one segment. ``task`` counts the task files of the lease from 0; ``sha256`` is
    the file's, so that nobody has to read it back to know it again."""

    task: int
    id: str
    status: str
    file: str | None = None
    seconds: float | None = None
    frames: int | None = None
    seed: int | None = None
    attempts: int = 1
    sha256: str | None = None
    error: Failure | None = None


@dataclass(frozen=True)
class ReferenceRow:
    """The outcome of encoding one reference."""

    task: int
    speaker: str
    status: str
    file: str | None = None
    seconds: float | None = None
    error: Failure | None = None


@dataclass(frozen=True)
class Result:
    """Everything a lease came to: a row for every segment and reference of its tasks."""

    segments: tuple[SegmentRow, ...] = ()
    references: tuple[ReferenceRow, ...] = ()
    timing: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    """What the user should know although nothing failed (a batch halved for want of memory), a sentence each."""
    error: Failure | None = None
    lease: int = 0
    """Which of the worker's leases this answers, counted from 1; 0 where nobody counts."""
