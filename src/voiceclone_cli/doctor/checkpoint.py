"""The checkpoint of the fish engine, file by file."""

from __future__ import annotations

from pathlib import Path

from voiceclone_cli.doctor.rows import Row, State
from voiceclone_cli.errors import PreflightError
from voiceclone_cli.fish.checkpoint import PUBLISHED, REQUIRED_FILES, is_generated

CHECK = "checkpoint"


def checkpoint_row(checkpoint: Path | PreflightError | None, trouble: State) -> Row:
    """``checkpoint`` is a whole one of the S1 generation, None where a run would fetch the published
    one, or why there is none."""
    if checkpoint is None:
        found = f"{PUBLISHED} is not here; a run with fish fetches it (3.6 GB)"
        return Row(CHECK, State.NOTE, found, f"`voiceclone models pull {PUBLISHED}` fetches it now")
    if isinstance(checkpoint, PreflightError):
        found = (
            "not complete"
            if checkpoint.code == "checkpoint_incomplete"
            else "none"
            if checkpoint.code == "checkpoint_missing"
            else "cannot be used"
        )
        return Row(CHECK, trouble, found, checkpoint.message)
    sizes = ", ".join(f"{name} {_size(checkpoint / name)}" for name in REQUIRED_FILES)
    found = f"{checkpoint}, S1 generation: {sizes}"
    if is_generated(checkpoint):
        advice = f"for speech, take {PUBLISHED}: this one was generated and speaks no words"
        return Row(CHECK, State.NOTE, f"{found}; generated, not trained", advice)
    return Row(CHECK, State.OK, found)


def _size(path: Path) -> str:
    size = path.stat().st_size
    for unit, bytes_each in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= bytes_each:
            return f"{size / bytes_each:.1f} {unit}"
    return f"{size} B"
