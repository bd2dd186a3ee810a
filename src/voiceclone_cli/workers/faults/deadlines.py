"""How long a worker may take, and whether it has taken longer.

Two clocks run for each. Silence: a worker's heartbeat comes every second whatever its engine does, so a
process that is silent is stopped or hung beyond help. Progress: an engine may hang while the heart
beats on; how long is too long depends on the phase. The limits are wide, since an 860 M model on a
CPU may take most of a second for a character, and a healthy worker must never be ended: they find what
would wait for ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from voiceclone_cli.workers.held import Held

SILENT_SECONDS = 60.0
LOADING_SECONDS = 900.0
ENCODING_SECONDS, SECONDS_PER_REFERENCE = 300.0, 120.0
GENERATING_SECONDS, SECONDS_PER_CHARACTER = 300.0, 2.0
LOAD_TIMES = 10.0
"""A machine that is slow to load is slow at all: so many times its loading is added to what comes after."""

LEAST_SILENCE, LEAST_SILENCE_AT_START = 3.0, 15.0
"""However little patience is asked for, a heartbeat may be late, and an interpreter takes time to start."""


@dataclass(frozen=True, slots=True)
class Deadlines:
    """The limits in seconds, ``patience`` times what they usually are."""

    patience: float = 1.0

    def silence(self, *, greeted: bool) -> float:
        """Between two signs of life; ``greeted``: the worker's program has said that it runs."""
        return max(SILENT_SECONDS * self.patience, LEAST_SILENCE if greeted else LEAST_SILENCE_AT_START)

    def loading(self) -> float:
        return LOADING_SECONDS * self.patience

    def encoding(self, references: int, load_seconds: float) -> float:
        """Between two steps of encoding so many references."""
        own = ENCODING_SECONDS + SECONDS_PER_REFERENCE * references
        return (own + LOAD_TIMES * load_seconds) * self.patience

    def generating(self, characters: int, load_seconds: float) -> float:
        """Between two steps of speaking so many characters at a time."""
        own = GENERATING_SECONDS + SECONDS_PER_CHARACTER * characters
        return (own + LOAD_TIMES * load_seconds) * self.patience


class Watch:
    """What a worker was last heard of doing, and when. ``now`` is a monotonic time in seconds."""

    def __init__(self, deadlines: Deadlines, now: float) -> None:
        self._deadlines = deadlines
        self._heard = self._progressed = now
        self._greeted = self._loaded = False
        self._load_seconds = 0.0

    def begin_lease(self, now: float) -> None:
        self._heard = self._progressed = now

    def end_lease(self) -> None:
        """Whoever has answered has loaded its engine."""
        self._loaded = True

    def hear(self, event: Mapping[str, Any], now: float, *, of_lease: bool) -> None:
        """An event; a step forward when it is news of the lease that the worker holds."""
        self._greeted = True
        if not of_lease or event["event"] == "heartbeat":
            return
        self._progressed = now
        if event["event"] == "loading":
            self._loaded = False
        elif event["event"] == "ready":
            self._loaded = True
            seconds = event.get("seconds")
            if isinstance(seconds, (int, float)) and 0 <= seconds <= LOADING_SECONDS:
                self._load_seconds = float(seconds)

    def forgive(self, seconds: float) -> None:
        """This process itself was suspended for so long: it could not listen."""
        self._heard += seconds
        self._progressed += seconds

    def overdue(self, held: Held, last_event: float, now: float) -> str | None:
        """Why the worker has to be ended; None while it does not. ``last_event`` is when one was read,
        whether or not anybody has had the time to look at it."""
        limit = self._deadlines.silence(greeted=self._greeted)
        self._heard = max(self._heard, last_event)
        if now - self._heard > limit:
            return f"it gave no sign of life for {limit:.0f} s"
        limit, doing = self._phase(held)
        if now - self._progressed > limit:
            return f"it made no progress for {limit:.0f} s while {doing}"
        return None

    def _phase(self, held: Held) -> tuple[float, str]:
        if not self._loaded:
            return self._deadlines.loading(), "loading its engine"
        references = len(held.references) - len(held.encoded)
        if references and not held.in_flight:
            return self._deadlines.encoding(references, self._load_seconds), "encoding references"
        characters = sum(held.in_flight.values())
        return self._deadlines.generating(characters, self._load_seconds), "speaking"
