"""A run directory as it is checked: wherever it was moved to, with the manifest's word for what it holds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voiceclone_cli.diarization import read_rttm
from voiceclone_cli.errors import InputError
from voiceclone_cli.fingerprints import file_sha256
from voiceclone_cli.names import are_safe
from voiceclone_cli.rundir.manifest import damaged, read_manifest
from voiceclone_cli.rundir.paths import MANIFEST, RunPaths
from voiceclone_cli.types import Turn

_MAX_MANIFEST = 200 * 2**20


@dataclass(frozen=True, slots=True)
class Line:
    """A segment, as the manifest has it."""

    id: str
    speaker: str
    start: float
    end: float
    text: str
    language: str
    wav: Path
    is_done: bool
    sha256: str | None
    """Of its wav when the run wrote it; None in manifests that do not say."""
    placed_seconds: float | None
    """How long it is in the mix."""
    overflow_seconds: float
    gain_db: float | None
    error: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Finished:
    """What a run left."""

    root: Path
    input_sha256: str
    lines: tuple[Line, ...]
    turns: tuple[Turn, ...]
    references: Mapping[str, Path]
    given: frozenset[str]
    """Speakers whose reference the user gave."""
    recording: Path | None
    """The original's sound; None where it is not at hand any more."""


def read_finished(root: Path) -> Finished:
    """What stands in a run directory. Raises InputError for a folder that is none, whose run has not ended,
    or in which no segment was spoken."""
    root = root.absolute()
    manifest = _manifest(root)
    if not manifest.get("segments"):
        raise _nothing_spoken(root)
    try:
        lines = tuple(_line(row, root) for row in manifest["segments"])
        speakers = {str(row["name"]): row for row in manifest["speakers"]}
        if not are_safe({line.id for line in lines}) or not are_safe(
            {*speakers, *(x.speaker for x in lines)}
        ):
            raise ValueError("it holds a name that cannot be that of a file")
        given = {*(manifest.get("request") or {}).get("references", {})}
        given |= {name for name, row in speakers.items() if not row.get("reference_spans", True)}
        finished = Finished(
            root=root,
            input_sha256=str(manifest["input"]["sha256"]),
            lines=lines,
            turns=_turns(manifest, root),
            references={name: RunPaths(root).speakers / name / "reference.wav" for name in speakers},
            given=frozenset(given & speakers.keys()),
            recording=_recording(manifest, root),
        )
    except (KeyError, TypeError, ValueError, AttributeError, OSError) as error:
        raise damaged(root, error) from error
    if not any(line.is_done for line in lines):
        raise _nothing_spoken(root)
    return finished


def _nothing_spoken(root: Path) -> InputError:
    return InputError(
        f"no segment was spoken in {root}: give its `voiceclone run` again first", code="nothing_to_check"
    )


def _manifest(root: Path) -> dict[str, Any]:
    with suppress(OSError):  # where it cannot be looked at, `read_manifest` says so
        if (root / MANIFEST).stat().st_size > _MAX_MANIFEST:
            raise damaged(root, ValueError("it is larger than 200 MB"))
    manifest = read_manifest(root)
    if "status" not in manifest:
        raise damaged(root, KeyError("status"))
    if manifest["status"] == "running":
        raise InputError(
            f"the run in {root} has not ended: wait for it, or give its command again", code="run_not_ended"
        )
    return manifest


def _line(row: Mapping[str, Any], root: Path) -> Line:
    return Line(
        id=str(row["id"]),
        speaker=str(row["speaker"]),
        start=_finite(row["start"]),
        end=_finite(row["end"]),
        text=str(row["text"]),
        language=str(row["language"]),
        wav=RunPaths(root).segment_wav(str(row["id"])),
        is_done=row["status"] == "done",
        sha256=row.get("sha256"),
        placed_seconds=_placed_seconds(row),
        overflow_seconds=_finite(row.get("overflow_seconds") or 0.0),
        gain_db=None if row.get("gain_db") is None else _finite(row["gain_db"]),
        error=row.get("error"),
    )


def _placed_seconds(row: Mapping[str, Any]) -> float | None:
    if row.get("placed_seconds") is not None:
        return _finite(row["placed_seconds"])
    if row.get("seconds") is None or not row.get("stretch"):
        return None
    return _finite(row["seconds"]) / _finite(row["stretch"])


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{number} is no time or level")
    return number


def _turns(manifest: Mapping[str, Any], root: Path) -> tuple[Turn, ...]:
    """The manifest's; in those that have none the RTTM beside it."""
    if "turns" in manifest:
        return tuple(
            Turn(_finite(row["start"]), _finite(row["end"]), str(row["speaker"])) for row in manifest["turns"]
        )
    try:
        return tuple(read_rttm(RunPaths(root).rttm.read_text(encoding="utf-8")))
    except InputError as error:
        raise ValueError(error.message) from error


def _recording(manifest: Mapping[str, Any], root: Path) -> Path | None:
    """The copy in the run directory, else the input where it lay, if it is still the same."""
    if (copy := RunPaths(root).original).is_file():
        return copy
    path = Path(str(manifest["input"]["path"]))
    try:
        return path if file_sha256(path) == manifest["input"]["sha256"] else None
    except OSError:
        return None
