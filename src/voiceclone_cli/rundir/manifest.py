"""run.json: what a run directory says of its run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voiceclone_cli.errors import InputError
from voiceclone_cli.files import friendly_errors, write_text_atomic
from voiceclone_worker.validation import dump_json

# Where everything lies that a run leaves.


MANIFEST = "run.json"
OWNER = ".owner"
"""Whose directory it is, should the manifest be damaged."""
CHECK_SCHEMA = "voiceclone.check/1"
"""Of check.json, which the check writes and the report reads."""
FOLDERS = ("logs", "segments", "speakers", "stages", "stems", "tasks")


@dataclass(frozen=True, slots=True)
class RunPaths:
    """The paths of a run directory, whether or not there is something."""

    root: Path

    @property
    def manifest(self) -> Path:
        return self.root / MANIFEST

    @property
    def rttm(self) -> Path:
        return self.root / "diarization.rttm"

    @property
    def script_json(self) -> Path:
        return self.root / "script.json"

    @property
    def script_srt(self) -> Path:
        return self.root / "script.srt"

    def script_given(self, suffix: str) -> Path:
        """What ``script_json`` or ``script_srt`` held when it was fed back. ``suffix``: theirs, with its dot."""
        return self.root / f"script.given{suffix}"

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
    def report(self) -> Path:
        return self.root / "report.html"

    @property
    def original(self) -> Path:
        """The recording's audio, for the report to play."""
        return self.root / "original.flac"

    @property
    def check(self) -> Path:
        return self.root / "check.json"

    @property
    def corrections(self) -> Path:
        return self.root / "corrections.json"

    @property
    def consent(self) -> Path:
        return self.root / "consent.json"

    def video(self, suffix: str) -> Path:
        """``suffix``: that of the container, with its dot."""
        return self.root / f"output{suffix}"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def tasks(self) -> Path:
        return self.root / "tasks"

    @property
    def stages(self) -> Path:
        return self.root / "stages"

    def segment_wav(self, segment_id: str) -> Path:
        return self.segments / f"{segment_id}.wav"

    def segment_note(self, segment_id: str) -> Path:
        return self.segments / f"{segment_id}.json"


RUN_SCHEMA = "voiceclone.run/1"


def write_manifest(root: Path, content: Mapping[str, Any]) -> None:
    """Raises RunError when it cannot be written."""
    with friendly_errors(root):
        write_text_atomic(root / MANIFEST, dump_json(content, indent=1) + "\n")


def read_manifest(root: Path) -> dict[str, Any]:
    """An object of RUN_SCHEMA; what else it holds is the caller's to look at, since a hand may have edited it.

    Raises InputError: ``not_a_run_directory``, ``manifest_damaged``, ``run_schema``.
    """
    try:
        content = json.loads((root / MANIFEST).read_text(encoding="utf-8"))
        schema = content["schema"]
    except OSError as error:
        raise InputError(
            f"{root} is not a run directory: there is no {MANIFEST} in it that can be read "
            f"({error.strerror}); give the folder that `voiceclone run` wrote",
            code="not_a_run_directory",
        ) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise damaged(root, error) from error
    if schema != RUN_SCHEMA:
        raise InputError(
            f"{root} was written by another version ({schema!r:.40}): give its `voiceclone run` again with this one",
            code="run_schema",
        )
    return dict(content)


def damaged(root: Path, error: Exception) -> InputError:
    """For whoever finds out that the manifest does not hold what it should."""
    return InputError(
        f"{root / MANIFEST} is damaged ({type(error).__name__}: {error}): give its `voiceclone run` again",
        code="manifest_damaged",
    )


def json_object(path: Path) -> dict[str, Any]:
    """What a file of the run directory holds; empty where there is none, or it is torn."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
