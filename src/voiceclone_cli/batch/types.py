"""Many recordings in one command, as types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from voiceclone_cli.errors import Stopped
from voiceclone_cli.settings import Settings
from voiceclone_cli.steps.request import RunRequest

FILES = "files"
"""The stage that counts recordings. An event of it that names one tells of its end."""


@dataclass(frozen=True, slots=True)
class BatchItem:
    """One recording of a batch."""

    request: RunRequest
    """Its ``out`` is its own run directory under the batch's root."""
    name: str
    """Short, and unique in the batch: that of the run directory."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What one command was asked to do, in order."""

    items: tuple[BatchItem, ...]
    root: Path
    """The folder of all run directories, and of batch.json."""
    settings: Settings
    """Those that hold for all: engine, mode, workers, executor."""
    earlier: Mapping[str, str] = field(default_factory=dict)
    """Name by input, of inputs that an earlier batch in this root had and this one has not."""
    notes: tuple[str, ...] = ()
    """Sentences for the user: a file that was named twice."""


@dataclass(frozen=True, slots=True)
class ItemEnd:
    """What one recording came to."""

    item: BatchItem
    document: Mapping[str, Any] | None
    """Of its run (``voiceclone.run/1``); None when it came to nothing."""
    exit_code: int
    error: Mapping[str, str] | None
    """``code`` and ``message`` of what ended it without a document."""
    seconds: float


@dataclass(frozen=True, slots=True)
class BatchOutcome:
    """What the whole came to."""

    ends: tuple[ItemEnd, ...]
    """In the order of the items; those that were not begun when the batch was stopped are missing."""
    stopped: Stopped | None
    timing: Mapping[str, float]
    """Seconds: total, slots_busy, slots_idle."""
    peak_mb: int
    """Of the largest worker."""
    slots: int
    """How many there were at most at a time."""
