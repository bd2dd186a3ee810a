"""Damage to a run directory between two runs."""

from __future__ import annotations

import os
from pathlib import Path


def tamper(kind: str, run_dir: Path, choice: float) -> bool:
    """Damage one file; return False if there is none of this kind. ``choice`` in [0, 1) selects it."""
    targets = sorted(run_dir.glob(_TARGETS[kind]))
    if not targets:
        return False
    target = targets[int(choice * len(targets))]
    if kind == "segment replaced":
        other = targets[(targets.index(target) + 1) % len(targets)]
        # The sound of another segment, or invalid data if there is only one.
        target.write_bytes(other.read_bytes() if other != target else b"RIFF, but no sound")
    else:
        os.truncate(target, int(target.stat().st_size * choice))
    return True


_TARGETS = {
    "segment cut": "segments/*.wav",
    "segment replaced": "segments/*.wav",
    "note torn": "segments/*.json",
    "manifest torn": "run.json",
    "stage file torn": "stages/*.json",
}
