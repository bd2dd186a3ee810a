"""What a stranger, or a failing disk, does to a run directory between two runs."""

from __future__ import annotations

import os
from pathlib import Path


def tamper(kind: str, run_dir: Path, luck: float) -> bool:
    """Damage one file that is there; False where there is none of this kind. ``luck`` in [0, 1) chooses."""
    victims = sorted(run_dir.glob(_VICTIMS[kind]))
    if not victims:
        return False
    victim = victims[int(luck * len(victims))]
    if kind == "segment replaced":
        other = victims[(victims.index(victim) + 1) % len(victims)]
        # Another segment's sound, or with only one segment there no sound at all.
        victim.write_bytes(other.read_bytes() if other != victim else b"RIFF of somebody else")
    else:
        os.truncate(victim, int(victim.stat().st_size * luck))
    return True


_VICTIMS = {
    "segment cut": "segments/*.wav",
    "segment replaced": "segments/*.wav",
    "note torn": "segments/*.json",
    "manifest torn": "run.json",
    "stage file torn": "stages/*.json",
}
