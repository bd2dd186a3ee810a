"""Results of earlier runs in a run directory: whole stages, and single segments.

An entry is valid for the fingerprint of everything that it was made from and for the version of the algorithm that
made it. With another input, model, setting or version the stage runs again; so it does when a file that belongs
to the entry, or the entry itself, was changed or is gone.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from errno import ENOENT
from pathlib import Path
from typing import Any, TypeVar

from voiceclone_cli.files import (
    file_sha256,
    fingerprint,
    friendly_errors,
    write_error,
    write_text_atomic,
)
from voiceclone_cli.rundir.directory import RunDir
from voiceclone_cli.rundir.manifest import json_object
from voiceclone_cli.types import Progress, ProgressEvent, no_progress
from voiceclone_worker.validation import dump_json

Result = TypeVar("Result")


class StageCache:
    """Cached stages of one run directory, a file each.

    ``root`` None: nothing is cached. ``progress`` gets an event of the stage when its result is reused, and one of
    "log" that says why an entry is not used.
    """

    def __init__(self, root: Path | None, input_sha256: str = "", progress: Progress = no_progress) -> None:
        self._root = root
        self._input = input_sha256
        self._progress = progress
        self.reused: list[str] = []
        """The stages whose results were reused, in order."""

    def moved_to(self, root: Path) -> StageCache:
        """Return the cache of the same input in another folder."""
        return StageCache(root, self._input, self._progress)

    def cached(
        self,
        stage: str,
        version: int,
        inputs: Mapping[str, Any],
        function: Callable[[], Result],
        *,
        parse: Callable[[dict[str, Any]], Result],
        serialize: Callable[[Result], Mapping[str, Any]],
        files: Callable[[Result], Mapping[Path, str]] = lambda result: {},
        large_files: Callable[[Result], Iterable[Path]] = lambda result: (),
    ) -> Result:
        """Return the result of an earlier run, else call ``function`` and save what it returns.

        ``serialize`` and ``parse`` convert a result to JSON data and back; ``files`` and ``large_files`` are those
        of ``save``. Raises what ``function`` and ``save`` raise.
        """
        entry = self.load(stage, version, inputs)
        if entry is not None:
            self._progress(ProgressEvent(stage, 1, 1, note="kept from before"))
            return parse(entry)
        result = function()
        self.save(stage, version, inputs, serialize(result), files(result), large_files(result))
        return result

    def load(self, stage: str, version: int, inputs: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return what ``save`` was given with the same arguments; None where there is no valid entry.

        ``version`` is that of the stage's algorithm. Changes nothing.
        """
        value, reason = self._find(stage, version, inputs)
        if reason:
            self._progress(
                ProgressEvent("log", 1, 1, note=f"{stage}: what was kept is not used, because {reason}")
            )
        if value is not None:
            self.reused.append(stage)
        return value

    def holds(self, stage: str, version: int, inputs: Mapping[str, Any]) -> bool:
        """Return whether ``load`` would find an entry; nothing is counted as reused, or shown."""
        return self.peek(stage, version, inputs) is not None

    def peek(self, stage: str, version: int, inputs: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return what ``load`` would; nothing is counted as reused, or shown."""
        return self._find(stage, version, inputs)[0]

    def _find(
        self, stage: str, version: int, inputs: Mapping[str, Any]
    ) -> tuple[dict[str, Any] | None, str | None]:
        """Return the value of a valid entry, or None and why there is none; without a reason where no file is."""
        if self._root is None:
            return None, None
        path = _entry_path(self._root, stage)
        try:
            entry = json.loads(path.read_text(encoding="utf-8"))
            value: dict[str, Any] = entry["value"]
            reason = self._why_invalid(self._root, entry, version, inputs)
        except FileNotFoundError:
            return None, None
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None, f"{path.name} cannot be read"
        return (value, None) if reason is None else (None, reason)

    def save(
        self,
        stage: str,
        version: int,
        inputs: Mapping[str, Any],
        value: Mapping[str, Any],
        files: Mapping[Path, str] | None = None,
        large_files: Iterable[Path] = (),
    ) -> None:
        """Save ``value``, JSON data, as the result of a stage.

        It is valid for as long as each of ``files``, all in the run directory, has its SHA-256, and each of
        ``large_files`` its size and time. Raises what ``friendly_errors`` raises.
        """
        if self._root is None:
            return
        root = self._root
        with friendly_errors(root):
            entry = {
                "version": version,
                "fingerprint": self._fingerprint(inputs),
                "made_from": _fingerprint_each(inputs),
                "check": fingerprint(value),
                "files": {
                    path.relative_to(root).as_posix(): sha256 for path, sha256 in (files or {}).items()
                },
                "large_files": {
                    path.relative_to(root).as_posix(): _size_and_time(path) for path in large_files
                },
                "value": value,
            }
            write_text_atomic(_entry_path(root, stage), dump_json(entry) + "\n")

    def rename_folder(self, old: Path, new: Path) -> None:
        """Keep entries valid whose files lie in a folder of the run directory that was renamed.

        Raises what ``friendly_errors`` raises.
        """
        if self._root is None:
            return
        before, after = (f"{folder.relative_to(self._root).as_posix()}/" for folder in (old, new))
        with friendly_errors(self._root):
            for path in sorted((self._root / "stages").glob("*.json")):
                entry = json_object(path)
                known = entry.get("files")
                if not isinstance(known, dict):  # torn
                    continue
                files = {
                    after + name.removeprefix(before) if name.startswith(before) else name: sha256
                    for name, sha256 in known.items()
                }
                if files != known:
                    write_text_atomic(path, dump_json({**entry, "files": files}) + "\n")

    def _why_invalid(
        self, root: Path, entry: Mapping[str, Any], version: int, inputs: Mapping[str, Any]
    ) -> str | None:
        """Return why an entry cannot be used; None where it can."""
        if entry.get("version") != version:  # the first releases wrote none
            return "it was made by another version"
        if entry["fingerprint"] != self._fingerprint(inputs):
            then = entry["made_from"]
            changed = [name for name, part in _fingerprint_each(inputs).items() if then.get(name) != part]
            return f"what it is made from has changed: {', '.join(changed) or 'the input'}"
        if entry["check"] != fingerprint(entry["value"]):
            return "its note was edited"
        for name, sha256 in entry["files"].items():
            if not _is(file_sha256, root / name, sha256):
                return f"{name} has changed or is gone"
        for name, size_and_time in entry["large_files"].items():
            if not _is(_size_and_time, root / name, size_and_time):
                return f"{name} has changed or is gone"
        return None

    def _fingerprint(self, inputs: Mapping[str, Any]) -> str:
        return fingerprint({"input": self._input, **inputs})


def copy_stages(source: Path, target: Path, stages: Iterable[str]) -> None:
    """Copy stages of a run directory, with their files, into another one of the same input that has none of them yet.

    Each is checked when it is used, as any other. Raises what ``friendly_errors`` raises.
    """
    with friendly_errors(target):
        for stage in stages:
            entry = json_object(_entry_path(source, stage))
            files = [name for key in ("files", "large_files") for name in entry.get(key, ())]
            if not entry or _entry_path(target, stage).exists():
                continue
            for name in files:
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source / name, target / name)
            write_text_atomic(_entry_path(target, stage), dump_json(entry) + "\n")


NULL_CACHE = StageCache(None)
"""The cache of a caller without a run directory."""


def _entry_path(root: Path, stage: str) -> Path:
    return root / "stages" / f"{stage}.json"


def _fingerprint_each(inputs: Mapping[str, Any]) -> dict[str, str]:
    """Tell apart later which of many inputs has changed."""
    return {name: fingerprint(value)[:16] for name, value in inputs.items()}


def _is(measure: Callable[[Path], Any], path: Path, expected: Any) -> bool:
    try:
        return bool(measure(path) == expected)
    except OSError:
        return False


def _size_and_time(path: Path) -> list[int]:
    found = path.stat()
    return [found.st_size, found.st_mtime_ns]


def save_segment_note(run_dir: RunDir, segment_id: str, inputs: str, details: Mapping[str, Any]) -> None:
    """Write the note of a segment whose wav has just been written.

    ``inputs`` is the fingerprint of everything that decides how it sounds; ``details`` are its result's, with the
    wav's sha256. Raises OSError, and RunError when the run directory is gone: half a directory that is made anew
    would be taken for one of another program.
    """
    if not run_dir.manifest.exists():
        raise write_error(run_dir.root, FileNotFoundError(ENOENT, "it is gone"))
    note = {"fingerprint": inputs, **details}
    # Replaced, but not flushed to the disk: after a power cut the segment is simply made again.
    write_text_atomic(run_dir.segment_note(segment_id), json.dumps(note, indent=1) + "\n", sync=False)


def load_segment_note(run_dir: RunDir, segment_id: str, inputs: str) -> dict[str, Any] | None:
    """Return the note of a segment that an earlier run made from the same inputs and whose wav is unchanged.

    None where the segment has to be made (again).
    """
    note = json_object(run_dir.segment_note(segment_id))
    try:
        same = note["fingerprint"] == inputs and note["sha256"] == file_sha256(
            run_dir.segment_wav(segment_id)
        )
    except (OSError, KeyError):
        return None
    return note if same else None
