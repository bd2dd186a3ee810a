"""Whether the machine has the memory and the disk that a run would take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from voiceclone_cli.machine.memory import Memory, machine_memory
from voiceclone_cli.rundir.directory import RunDir
from voiceclone_cli.steps.space import bytes_of_run, free_bytes
from voiceclone_cli.tasks import Job
from voiceclone_cli.types import Recording


@dataclass(frozen=True, slots=True)
class Room:
    """Bytes; None where the system does not tell."""

    disk_needed: int
    """At most, for a run that makes everything."""
    disk_free: int | None
    memory_needed: int
    memory: Memory | None

    def as_dict(self) -> dict[str, Any]:
        return {
            "disk": {"needed_bytes": self.disk_needed, "free_bytes": self.disk_free},
            "memory": {
                "needed_mb": round(self.memory_needed / 1e6),
                "free_mb": round(self.memory.available / 1e6) if self.memory else None,
                "total_mb": round(self.memory.total / 1e6) if self.memory else None,
            },
        }


def room_for(job: Job, recording: Recording, run_dir: RunDir, memory_mb: int) -> Room:
    """``run_dir`` is that of the run to come, ``memory_mb`` the peak of all its processes."""
    voices = len({segment.speaker for segment in job.script.segments})
    needed = bytes_of_run(recording, job.script.segments, job.slot_ends, voices)
    return Room(needed, free_bytes(run_dir.root), memory_mb * 1_000_000, machine_memory())


def memory_note(room: Room) -> str | None:
    """A sentence where the memory that is free may not suffice. (Of the disk, preparing tells.)"""
    if room.memory is None or room.memory_needed <= room.memory.available:
        return None
    return (
        f"the run takes about {room.memory_needed / 1e6:.0f} MB of memory and {room.memory.available / 1e6:.0f} MB "
        "are free: end other programs, or use fewer --workers or a smaller --batch-size"
    )
