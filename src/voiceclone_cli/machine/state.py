"""What is remembered of this machine from run to run: how fast it is, and what its user was told."""

from __future__ import annotations

from pathlib import Path

from voiceclone_cli.atomic import write_text_atomic


def state_file(name: str) -> Path:
    """Where such a thing is kept: in the platform's folder for state, not with the models, which several
    machines may share."""
    from platformdirs import user_state_path

    return user_state_path("voiceclone", appauthor=False) / name


def remember(path: Path, text: str) -> bool:
    """Write it, whole or not at all. A run does not fail for its memory: False where it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text_atomic(path, text)
    except OSError:
        return False
    return True
