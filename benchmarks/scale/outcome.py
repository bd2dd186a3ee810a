"""What a simulated batch came to."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

GOOD = 0.9
"""From this efficiency on it is the workers that limit: more of them would make it faster."""


NEARLY_ALWAYS = 0.8
"""Who works for this share of the time has a queue."""


@dataclass(slots=True)
class SlotSeconds:
    """Where the time of all workers went; together it is workers times wall time."""

    start: float = 0.0
    """Before the first lease: the command, reading and analysis of the first file, the start of the workers."""
    loading: float = 0.0
    encoding: float = 0.0
    speaking: float = 0.0
    answering: float = 0.0
    """Between a result and the next lease: the coordinator's loop and the transport."""
    network: float = 0.0
    """In the line for the coordinator's network."""
    starved: float = 0.0
    """Nothing to lease, though more was to come."""
    tail: float = 0.0
    """Nothing to lease any more, while others still spoke."""
    finish: float = 0.0
    """After the last line: marking, mixing, the end of the command."""
    lost: float = 0.0
    """Work of dead workers, and lost workers."""

    @property
    def total(self) -> float:
        return float(sum(getattr(self, field.name) for field in fields(self)))

    @property
    def idle(self) -> dict[str, float]:
        """What keeps workers from speaking."""
        names = ("start", "loading", "encoding", "answering", "network", "starved", "tail", "finish", "lost")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True)
class Outcome:
    workers: int
    segments: int
    files: int
    wall: float
    """Seconds of the whole command."""
    spoken: float
    """Seconds until the last line was there."""
    perfect: float
    """Seconds that the speaking alone would take, divided without a rest."""
    leases: int
    seconds: SlotSeconds
    busy: dict[str, float]
    """Share of the wall time for which these worked: the coordinator's loop and network, its threads that mark and
    those that read, cast and mix files; and who listens."""
    deaths: int
    losses: int

    @property
    def efficiency(self) -> float:
        return self.perfect / self.wall

    @property
    def limit(self) -> str:
        """What keeps the batch from being faster."""
        if self.efficiency >= GOOD:
            return "workers"
        name = max(self.seconds.idle.items(), key=lambda item: item[1])[0]
        busiest, share = max(self.busy.items(), key=lambda item: item[1])
        if name == "starved" and share < NEARLY_ALWAYS:
            return "open files"  # nothing is overloaded: too few recordings are in progress at a time
        if name in ("starved", "finish"):
            return busiest
        return {"answering": "loop"}.get(name, name)

    def document(self) -> dict[str, Any]:
        total = self.workers * self.wall
        return {
            "workers": self.workers,
            "segments": self.segments,
            "files": self.files,
            "wall_seconds": round(self.wall, 3),
            "perfect_seconds": round(self.perfect, 3),
            "efficiency": round(self.efficiency, 4),
            "limit": self.limit,
            "leases": self.leases,
            "shares_of_worker_time": {
                field.name: round(getattr(self.seconds, field.name) / total, 5)
                for field in fields(self.seconds)
            },
            "busy": {name: round(share, 4) for name, share in self.busy.items()},
            "tail_worker_seconds": round(self.seconds.tail, 1),
            "deaths": self.deaths,
            "node_losses": self.losses,
        }
