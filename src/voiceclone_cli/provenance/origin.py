"""Whether a file is what a run wrote: its hash against those in the run's manifest."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from voiceclone_cli.errors import InputError
from voiceclone_cli.rundir.manifest import read_manifest

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

    Raises InputError for a ``run_dir`` without a manifest, as ``read_manifest`` does.
    """
    if run_dir is not None:
        return _looked_up(file, sha256, run_dir.absolute(), read_manifest(run_dir))
    for parent in list(file.absolute().parents)[:_PARENTS]:
        with suppress(InputError):
            return _looked_up(file, sha256, parent, read_manifest(parent))
    return Origin(OriginState.UNKNOWN)


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
