"""The run directory: its paths, its fingerprints, and to whom it belongs."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voiceclone_cli.atomic import write_text_atomic
from voiceclone_cli.errors import InputError, PreflightError

RUN_SCHEMA = "voiceclone.run/1"


@dataclass(frozen=True, slots=True)
class RunDir:
    """Everything a run leaves. Open it with :func:`open_run_dir`."""

    root: Path
    is_new: bool

    @property
    def manifest(self) -> Path:
        return self.root / "run.json"

    @property
    def rttm(self) -> Path:
        return self.root / "diarization.rttm"

    @property
    def script_json(self) -> Path:
        return self.root / "script.json"

    @property
    def script_srt(self) -> Path:
        return self.root / "script.srt"

    @property
    def speakers(self) -> Path:
        return self.root / "speakers"

    @property
    def segments(self) -> Path:
        return self.root / "segments"

    @property
    def stems(self) -> Path:
        return self.root / "stems"

    @property
    def mix(self) -> Path:
        return self.root / "mix.wav"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def tasks(self) -> Path:
        return self.root / "tasks"

    def segment_wav(self, segment_id: str) -> Path:
        return self.segments / f"{segment_id}.wav"

    def segment_note(self, segment_id: str) -> Path:
        return self.segments / f"{segment_id}.json"

    def discard(self) -> None:
        """Take back a directory that this run made and that came to nothing."""
        if self.is_new:
            shutil.rmtree(self.root, ignore_errors=True)


def open_run_dir(root: Path, input_sha256: str) -> RunDir:
    """Make the run directory, or take up that of an earlier run on the same input.

    Raises InputError when it belongs to another input, to a newer version, or to nobody we know;
    PreflightError when it cannot be made.
    """
    taken = root.exists() and (not root.is_dir() or any(root.iterdir()))
    if taken:
        _check_owner(root, input_sha256)
    run_dir = RunDir(root.absolute(), is_new=not taken)
    try:
        for folder in (run_dir.speakers, run_dir.segments, run_dir.logs, run_dir.tasks):
            folder.mkdir(parents=True, exist_ok=True)
        if run_dir.is_new:
            # Says whose directory it is from the first moment: a run that is killed can go on later.
            claim = {"schema": RUN_SCHEMA, "status": "running", "input": {"sha256": input_sha256}}
            write_text_atomic(run_dir.manifest, json.dumps(claim) + "\n")
    except OSError as error:
        raise PreflightError(
            f"the run directory {root} cannot be made ({error.strerror}); choose another with --out",
            code="output_unwritable",
        ) from error
    return run_dir


def _check_owner(root: Path, input_sha256: str) -> None:
    advice = "choose another with --out"
    try:
        manifest = json.loads((root / "run.json").read_text(encoding="utf-8"))
        schema, owner = manifest["schema"], manifest["input"]["sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{root} exists and is not a run directory; {advice}", code="not_a_run_directory"
        ) from error
    if schema != RUN_SCHEMA:
        raise InputError(f"{root} was written by another version ({schema}); {advice}", code="run_schema")
    if owner != input_sha256:
        raise InputError(f"{root} holds the run of another input; {advice}", code="run_of_another_input")


def file_sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def fingerprint(parts: Mapping[str, Any]) -> str:
    """A name for exactly these inputs."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def note_segment(run_dir: RunDir, segment_id: str, made_from: str, details: Mapping[str, Any]) -> None:
    """Put the fingerprint beside a segment that has just been written. ``details`` are its row's,
    with the wav's sha256."""
    note = {"fingerprint": made_from, **details}
    # Replaced, but not flushed to the disk: after a power cut the segment is simply made again.
    temporary = run_dir.segments / f"{segment_id}.json.tmp"
    temporary.write_text(json.dumps(note, indent=1) + "\n", encoding="utf-8")
    temporary.replace(run_dir.segment_note(segment_id))


def noted_segment(run_dir: RunDir, segment_id: str, made_from: str) -> dict[str, Any] | None:
    """What an earlier run noted of this segment, if it was made from the same inputs and its wav
    is the one that was written then; None when it has to be made (again)."""
    try:
        note = json.loads(run_dir.segment_note(segment_id).read_text(encoding="utf-8"))
        same = note["fingerprint"] == made_from and note["sha256"] == file_sha256(
            run_dir.segment_wav(segment_id)
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return note if same else None


def sweep(folder: Path, keep: Collection[str]) -> None:
    """Remove the files that earlier runs left in a folder of ours and that are not to be kept."""
    for path in folder.iterdir():
        if path.name not in keep and path.is_file():
            path.unlink()
