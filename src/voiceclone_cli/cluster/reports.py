"""What a slot's actor is told at its start, and what it tells the controller."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from voiceclone_worker.contract import Result


@dataclass(frozen=True, slots=True)
class Setup:
    """What an actor is told at its start."""

    name: str
    """Of the slot, for its diagnoses."""
    number: int
    engine: str
    hints: Mapping[str, str]
    """See ``here.settings_here``."""
    threads: int
    job: str
    """A name for the slots of this command, the same for all."""
    sharing: bool


@dataclass(frozen=True, slots=True)
class Started:
    """The worker runs."""

    pid: int
    """The actor's."""
    worker_pid: int


@dataclass(frozen=True, slots=True)
class Told:
    """An event of the worker's, in the controller's words; ``payload`` is the file of the row it tells of."""

    event: dict[str, Any]
    payload: bytes | None = None


@dataclass(frozen=True, slots=True)
class Logged:
    line: str


@dataclass(frozen=True, slots=True)
class Fetched:
    """So many contents were taken out of the object store."""

    contents: int


@dataclass(frozen=True, slots=True)
class Answered:
    result: Result
    peak_mb: int | None


@dataclass(frozen=True, slots=True)
class Ended:
    """The worker has ended, or could not be started; nothing follows. ``reason`` is one sentence."""

    reason: str


Report = Started | Told | Logged | Fetched | Answered | Ended
