"""The checkpoint of the fish engine, file by file."""

from __future__ import annotations

from pathlib import Path

from voiceclone_cli import models
from voiceclone_cli.doctor.rows import Row, State
from voiceclone_cli.errors import PreflightError
from voiceclone_cli.fish.checkpoint import PUBLISHED, REQUIRED_FILES, is_generated
from voiceclone_cli.models.hub_source import is_offline
from voiceclone_cli.settings import Settings

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


def can_be_downloaded(settings: Settings) -> bool:
    """Return whether the hub, or its local cache where it must not be asked, may give the published checkpoint."""
    if not is_offline():
        return models.has_hub_access(settings.token)
    from huggingface_hub import try_to_load_from_cache

    (entry,) = (entry for entry in models.entries() if entry.name == PUBLISHED)
    assert entry.hub is not None
    repo, revision = entry.hub.repo, entry.hub.revision
    cached = (try_to_load_from_cache(repo, file.path, revision=revision) for file in entry.files)
    return all(isinstance(path, str) for path in cached)


def _size(path: Path) -> str:
    size = path.stat().st_size
    for unit, bytes_each in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= bytes_each:
            return f"{size / bytes_each:.1f} {unit}"
    return f"{size} B"
