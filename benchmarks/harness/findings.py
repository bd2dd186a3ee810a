"""Checks of a run directory: sounds, manifest, and files that must not be there."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

_LEFT = re.compile(r".*\.part(\..*)?|.*\.tmp|task-.*\.json|\.lock-holder")


def sounds(run_dir: Path) -> dict[str, str]:
    """Return the SHA-256 of every segment, every stem and the mix by path in the run directory."""
    return {
        str(path.relative_to(run_dir)): hashlib.sha256(path.read_bytes()).hexdigest()
        for pattern in ("segments/*.wav", "stems/*.wav", "mix.wav")
        for path in run_dir.glob(pattern)
    }


def differing(expected: Mapping[str, str], run_dir: Path) -> list[str]:
    """Return the sounds that are missing, different or unexpected."""
    found = sounds(run_dir)
    return sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))


def leftovers(*folders: Path) -> list[str]:
    """Return temporary files and task files in all subfolders."""
    return sorted(
        str(path.relative_to(folder))
        for folder in folders
        for path in _files(folder)
        if _LEFT.fullmatch(path.name) or path.parent.name == "tasks"
    )


def all_files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in _files(folder))


def unaccounted(run_dir: Path, planned: Collection[str]) -> list[str]:
    """Return the planned segments that a finished manifest has neither as done, with a file, nor as failed with a reason.

    Empty where the run was killed before it wrote one, and where it failed with a reason before its script.
    """
    try:
        document = json.loads((run_dir / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    if document["status"] == "running":
        return []
    rows = {row["id"]: row for row in document["segments"]}
    if not rows and any(error["message"] for error in document["errors"]):
        return []
    return [name for name in planned if not _accounted(rows.get(name))]


def _accounted(row: Mapping[str, object] | None) -> bool:
    match row:
        case {"status": "done", "file": str()}:
            return True
        case {"status": "failed", "error": {"code": str(), "message": str(message)}}:
            return bool(message)
    return False


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if not path.is_dir())
