"""Whether a file is what a run wrote: its hash against those in the run's manifest."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from voiceclone_cli.errors import InputError
from voiceclone_cli.rundir.directory import RUN_SCHEMA

_PARENTS = 3
"""How far above a file its run directory may be: segments/0001.wav is one below."""


class OriginState(StrEnum):
    KNOWN = "known"
    """The run wrote exactly this."""
    CHANGED = "changed"
    """The run wrote another file under this name."""
    INPUT = "input"
    """It is the recording that the run was made from."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Origin:
    """What a run's manifest says of a file."""

    state: OriginState
    run_dir: Path | None = None
    name: str | None = None
    """The file's name in the run directory, where the manifest has it."""


def find_origin(file: Path, sha256: str, run_dir: Path | None) -> Origin:
    """Look a file's hash up in the manifest of ``run_dir``; None: of the run directory that it lies in, if
    it lies in one.

    Raises InputError (``not_a_run_directory``) for a ``run_dir`` without a manifest.
    """
    found = _manifest(run_dir) if run_dir is not None else None
    if run_dir is not None and found is None:
        raise InputError(
            f"{run_dir} holds no readable run.json: name the directory that `voiceclone run` made.",
            code="not_a_run_directory",
        )
    if run_dir is None:
        for parent in list(file.absolute().parents)[:_PARENTS]:
            if found := _manifest(parent):
                run_dir = parent
                break
    if run_dir is None or found is None:
        return Origin(OriginState.UNKNOWN)
    return _looked_up(file, sha256, run_dir.absolute(), found)


def _looked_up(file: Path, sha256: str, run_dir: Path, manifest: dict[str, Any]) -> Origin:
    hashes, source = manifest.get("hashes"), manifest.get("input")
    hashes = hashes if isinstance(hashes, dict) else {}
    for name, known in hashes.items():
        if known == sha256:
            return Origin(OriginState.KNOWN, run_dir, name)
    if isinstance(source, dict) and source.get("sha256") == sha256:
        return Origin(OriginState.INPUT, run_dir)
    path = file.absolute()
    name = path.relative_to(run_dir).as_posix() if path.is_relative_to(run_dir) else ""
    if name in hashes:
        return Origin(OriginState.CHANGED, run_dir, name)
    return Origin(OriginState.UNKNOWN, run_dir)


def _manifest(run_dir: Path) -> dict[str, Any] | None:
    try:
        content = json.loads((run_dir / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) and content.get("schema") == RUN_SCHEMA else None
