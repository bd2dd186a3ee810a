"""What the pool leases to, wherever it is: a worker process here, or one on another machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from voiceclone_cli.workers.leases import Lease
from voiceclone_worker.contract import Result


class Slot(Protocol):
    """Holds one lease at a time. All that comes of it is put into the inbox it was started with."""

    name: str
    """For people; one elsewhere tells where."""
    last_event: float
    """When it last gave a sign of life, in monotonic seconds."""

    @property
    def ready(self) -> bool:
        """Whether it may be given a lease: a worker elsewhere is there when its machine has started it."""

    def give(self, lease: Lease) -> int:
        """Hand over a lease: its number, counted from 1. Raises OSError where it cannot be written. One that
        has just died is reported by its GoneMessage, so that is no error here."""

    def answered(self) -> None:
        """The lease is over: what was written for it can go."""

    def taken(self, message: Message) -> None:
        """The reader of the inbox has taken a message of this slot's out of it."""

    def peak_mb(self) -> int | None:
        """Peak resident memory of its worker; None where that is not known."""

    def finish(self) -> None:
        """No more leases: it ends by itself when it has answered what it holds."""

    def kill(self, reason: str) -> None:
        """End it, and whatever it started, at once; ``reason`` becomes its diagnosis."""

    def wait(self, seconds: float) -> bool:
        """True when it has ended within ``seconds``."""


class Launcher(Protocol):
    """Starts slots, in one place or in many."""

    def room(self) -> int:
        """How many slots there may be now: machines come and go. Cheap."""

    def start(self, name: str, number: int, inbox: Inbox) -> Slot:
        """A new slot, perhaps not ready yet: this does not wait. ``number``: its place among the slots, from
        1; who replaces a dead one takes it over. Raises PreflightError where there can be none."""

    def close(self) -> None:
        """All slots have ended; nothing of them stays."""


@dataclass(frozen=True, slots=True)
class EventMessage:
    slot: Slot
    event: dict[str, Any]
    payload: bytes | None = None
    """Of a slot on another machine: the contents of the file that the event tells of."""


@dataclass(frozen=True, slots=True)
class LogMessage:
    """A line for people; it stands in the log file too."""

    slot: Slot
    line: str


@dataclass(frozen=True, slots=True)
class ResultMessage:
    slot: Slot
    result: Result


@dataclass(frozen=True, slots=True)
class GoneMessage:
    """The slot has ended and has nothing more to say. ``reason`` is one sentence."""

    slot: Slot
    reason: str
    blameless: bool = False
    """Its machine was lost, not its worker: nothing that it did is to blame."""


@dataclass(frozen=True, slots=True)
class WakeMessage:
    """Nothing has been said; the reader of the inbox shall look up."""


Message = EventMessage | LogMessage | ResultMessage | GoneMessage | WakeMessage


class Inbox(Protocol):
    """Where slots put what they have to say, from any thread."""

    def put(self, message: Message, /) -> None: ...
