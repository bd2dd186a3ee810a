"""What the stages of earlier runs came to, so that a run that goes on does not do them again.

A stage is remembered under a fingerprint of everything it was made from. Another input, model or setting
gives another fingerprint, and the stage is done again; so it is when its file is torn or was edited.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from errno import ENOENT
from pathlib import Path
from types import MappingProxyType
from typing import Any

from voiceclone_cli.files import (
    file_sha256,
    fingerprint,
    friendly_errors,
    write_error,
    write_text_atomic,
    write_text_unsynced,
)
from voiceclone_cli.rundir.directory import RunDir
from voiceclone_cli.rundir.manifest import json_object
from voiceclone_cli.types import Progress, ProgressEvent, no_progress
from voiceclone_worker.validation import dump_json

# Whether a segment that lies there is what would be spoken now: the note beside its wav.


def note_segment(run_dir: RunDir, segment_id: str, inputs: str, details: Mapping[str, Any]) -> None:
    """Put the fingerprint beside a segment that has just been written. ``details`` are its row's,
    with the wav's sha256. Raises OSError, and RunError when the run directory is gone: half a directory
    that is made anew would be taken for a foreign one."""
    if not run_dir.manifest.exists():
        raise write_error(run_dir.root, FileNotFoundError(ENOENT, "it is gone"))
    note = {"fingerprint": inputs, **details}
    # Replaced, but not flushed to the disk: after a power cut the segment is simply made again.
    write_text_unsynced(run_dir.segment_note(segment_id), json.dumps(note, indent=1) + "\n")


def noted_segment(run_dir: RunDir, segment_id: str, inputs: str) -> dict[str, Any] | None:
    """What an earlier run noted of this segment, if it was made from the same inputs and its wav
    is the one that was written then; None when it has to be made (again)."""
    note = json_object(run_dir.segment_note(segment_id))
    try:
        same = note["fingerprint"] == inputs and note["sha256"] == file_sha256(
            run_dir.segment_wav(segment_id)
        )
    except (OSError, KeyError):
        return None
    return note if same else None


NO_FILES: Mapping[Path, str] = MappingProxyType({})


class StageCache:
    """The memory of one run directory (None: nothing is remembered), one file a stage.

    ``progress`` hears (as "log") why what is remembered of a stage is not used.
    """

    def __init__(self, root: Path | None, input_sha256: str = "", progress: Progress = no_progress) -> None:
        self._root = root
        self._input = input_sha256
        self._progress = progress
        self.reused: list[str] = []
        """The stages that were taken over from an earlier run, in order."""

    def recall(self, stage: str, inputs: Mapping[str, Any]) -> dict[str, Any] | None:
        """What ``keep`` was given, if it was made from the same; else None.

        Files that it rests on must be as they were then.
        """
        if self._root is None:
            return None
        path = _path(self._root, stage)
        try:
            note = json.loads(path.read_text(encoding="utf-8"))
            value: dict[str, Any] = note["value"]
            why_not = self._why_not(self._root, note, inputs)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            why_not = f"{path.name} cannot be read"
        if why_not is not None:
            self._progress(
                ProgressEvent("log", 1, 1, note=f"{stage}: what was kept is not used, because {why_not}")
            )
            return None
        self.reused.append(stage)
        return value

    def keep(
        self,
        stage: str,
        inputs: Mapping[str, Any],
        value: Mapping[str, Any],
        files: Mapping[Path, str] = NO_FILES,
        large_files: Iterable[Path] = (),
    ) -> None:
        """Remember ``value``, which holds for as long as each of ``files``, all in the run directory, has
        its SHA-256. ``large_files`` are known again by size and time. Raises what ``friendly_errors``
        does.
        """
        if self._root is None:
            return
        root = self._root
        with friendly_errors(root):
            note = {
                "fingerprint": self._print(inputs),
                "made_from": _parts(inputs),
                "check": fingerprint(value),
                "files": {path.relative_to(root).as_posix(): sha256 for path, sha256 in files.items()},
                "large_files": {path.relative_to(root).as_posix(): _mark(path) for path in large_files},
                "value": value,
            }
            write_text_atomic(_path(root, stage), dump_json(note) + "\n")

    def moved(self, old: Path, new: Path) -> None:
        """A folder in the run directory has another name: what rests on files in it holds on. Raises what
        ``friendly_errors`` does."""
        if self._root is None:
            return
        before, after = (f"{folder.relative_to(self._root).as_posix()}/" for folder in (old, new))
        with friendly_errors(self._root):
            for path in sorted((self._root / "stages").glob("*.json")):
                note = json_object(path)
                known = note.get("files")
                if not isinstance(known, dict):  # torn
                    continue
                files = {_renamed(name, before, after): sha256 for name, sha256 in known.items()}
                if files != known:
                    write_text_atomic(path, dump_json({**note, "files": files}) + "\n")

    def _why_not(self, root: Path, note: Mapping[str, Any], inputs: Mapping[str, Any]) -> str | None:
        """Why what is noted does not hold (any more); None where it does."""
        if note["fingerprint"] != self._print(inputs):
            then = note.get("made_from", {})
            changed = [name for name, part in _parts(inputs).items() if then.get(name) != part]
            return f"what it is made from has changed: {', '.join(changed) or 'another version made it'}"
        if note["check"] != fingerprint(note["value"]):
            return "its note was edited"
        for name, sha256 in note["files"].items():
            if not _is(file_sha256, root / name, sha256):
                return f"{name} has changed or is gone"
        for name, mark in note["large_files"].items():
            if not _is(_mark, root / name, mark):
                return f"{name} has changed or is gone"
        return None

    def _print(self, inputs: Mapping[str, Any]) -> str:
        return fingerprint({"input": self._input, **inputs})


def _path(root: Path, stage: str) -> Path:
    return root / "stages" / f"{stage}.json"


def _renamed(name: str, before: str, after: str) -> str:
    return after + name.removeprefix(before) if name.startswith(before) else name


def _parts(inputs: Mapping[str, Any]) -> dict[str, str]:
    """What tells a person which of many inputs has changed."""
    return {name: fingerprint(value)[:16] for name, value in inputs.items()}


def _is(measure: Callable[[Path], Any], path: Path, expected: Any) -> bool:
    try:
        return bool(measure(path) == expected)
    except OSError:
        return False


def _mark(path: Path) -> list[int]:
    found = path.stat()
    return [found.st_size, found.st_mtime_ns]


NULL_CACHE = StageCache(None)
"""For whoever has no run directory."""
