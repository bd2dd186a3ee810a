"""The run directory: its owner (the input file), its lock, and what is left of it after a run that failed."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import shutil
from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from voiceclone_cli.errors import InputError, PreflightError
from voiceclone_cli.files import write_text_atomic
from voiceclone_cli.rundir.manifest import (
    FOLDERS,
    MANIFEST,
    OWNER,
    RUN_SCHEMA,
    RUNNING,
    Manifest,
    RunPaths,
    json_object,
)
from voiceclone_cli.system import is_link
from voiceclone_worker.atomic import is_disk_full

LOCK_NAME, HOLDER_NAME = ".lock", ".lock-holder"

_OWN_NAMES = {
    *FOLDERS,
    *("diarization.rttm", "mix.wav", "run.json", "script.json", "script.srt", "report.html", "original.flac"),
    *("script.given.json", "script.given.srt", "corrections.json"),
    *("check.json", "consent.json", "output.mp4", "output.mkv"),
}

_TEMPORARY = re.compile(r"\..+\.part(\.[A-Za-z0-9]+)?|.+\.wav\.[0-9]+\.tmp|.+\.json\.tmp|task-[0-9]+\.json")
"""What a killed run may have left half written, and its task files."""


def refuse_links(root: Path, names: Iterable[str]) -> None:
    """Refuse links to folders at or below ``names``, which lie directly in ``root``; delete links to files there.

    ``names`` are folders, and files that are opened in place (a lock); they need not exist. ``root`` itself may be a
    link, as the user wants it. Other files need no check, because they are replaced and never written through; logs
    are appended to, so links in their place are deleted. This does not guard against changes at the same time.

    Raises InputError (``link_in_run_dir``), and OSError.
    """
    for name in names:
        path = root / name
        if is_link(path):
            raise _refusal(path)
        for parent, folders, files in os.walk(path):
            for entry in (Path(parent, folder) for folder in folders):
                if is_link(entry):
                    raise _refusal(entry)
            for entry in (Path(parent, file) for file in files):
                if entry.is_symlink():
                    entry.unlink()


def _refusal(link: Path) -> InputError:
    return InputError(
        f"{link} is a link, and a run does not write through links: remove it, or choose another folder with "
        "--out",
        code="link_in_run_dir",
    )


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock a run directory for the block.

    The lock is the system's (flock or similar), so that it ends with its process, however that ends. A file beside
    it names the process. Raises PreflightError (``run_in_progress``) that names the other process, and OSError
    where the folder cannot be written.
    """
    lock = FileLock(folder / LOCK_NAME, blocking=False)
    try:
        lock.acquire()
    except Timeout:
        raise PreflightError(
            f"{folder} is in use by {_holder(folder)}; wait for it, or choose another with --out",
            code="run_in_progress",
        ) from None
    holder = folder / HOLDER_NAME
    try:
        _write_holder(holder)
        yield
    finally:
        # The folder may be gone, or read-only by now: then the file is not needed.
        with contextlib.suppress(OSError):
            holder.unlink(missing_ok=True)
        lock.release()


def _write_holder(holder: Path) -> None:
    process = {
        "pid": os.getpid(),
        "machine": platform.node(),
        "since": f"{datetime.now().astimezone():%F %T %z}",
    }
    # Not through a link that lies there.
    holder.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # a full disk: the lock is valid without its file
        holder.write_text(json.dumps(process) + "\n", encoding="utf-8")


def _holder(folder: Path) -> str:
    process = json_object(folder / HOLDER_NAME)
    try:
        return f"another run (process {process['pid']} on {process['machine']}, since {process['since']})"
    except KeyError:
        return "another run"


class RunDir(RunPaths):
    """The directory of a run. Open it with :func:`open_run_dir`."""

    def __init__(self, root: Path, input_sha256: str, *, is_new: bool) -> None:
        super().__init__(root)
        self.input_sha256 = input_sha256
        self.is_new = is_new

    def claim(self, **request: Any) -> None:
        """Write the manifest of a run that has started, with what is known of its request.

        A run that is killed can then be repeated. Raises RunError and OSError.
        """
        source = {"sha256": self.input_sha256}
        write_text_atomic(self.root / OWNER, json.dumps({"schema": RUN_SCHEMA, "input": source}) + "\n")
        Manifest(RUNNING, str(self.root), input=source, **request).save(self.root)

    def delete_cache(self) -> None:
        """Make every result of earlier runs invalid."""
        for folder in (self.stages, self.segments):
            for note in folder.glob("*.json"):
                note.unlink()

    def has_results(self) -> bool:
        """Return whether a stage was finished here."""
        return any(self.stages.glob("*.json"))

    def running(self) -> Manifest | None:
        """Return what ``claim`` wrote; None where the manifest is that of a run that has ended, or is damaged."""
        manifest = self._load()
        return manifest if manifest and manifest.status == RUNNING else None

    def has_speech(self) -> bool:
        """Return whether the manifest is that of a run that synthesized at least one segment."""
        manifest = self._load()
        return manifest is not None and any(row["status"] == "done" for row in manifest.segments)

    def _load(self) -> Manifest | None:
        try:
            return Manifest.load(self.root)
        except InputError:
            return None

    def delete_mix(self) -> None:
        """Delete the mix of an earlier run. Raises OSError."""
        self.mix.unlink(missing_ok=True)
        if self.stems.is_dir():
            remove_temporary_files(self.stems, ())

    def discard(self) -> None:
        """Delete the directory if this run created it."""
        if self.is_new:
            shutil.rmtree(self.root, ignore_errors=True)


@contextmanager
def open_run_dir(root: Path, input_sha256: str) -> Iterator[RunDir]:
    """Create the run directory, or continue that of an earlier run on the same input; it is locked for the block.

    Raises InputError when it belongs to another input or version, or is no run directory; PreflightError when it
    cannot be created, or another run is using it.
    """
    root = root.absolute()
    with _friendly_errors(root):
        _check_owner(root, input_sha256)  # before the lock, which leaves a file
    with ExitStack() as unlocked, ExitStack() as stack:
        with _friendly_errors(root):
            root.mkdir(parents=True, exist_ok=True)
            refuse_links(root, (LOCK_NAME,))
            stack.enter_context(locked(root))
        run_dir = resume_directory(root, input_sha256)
        try:
            yield run_dir
        finally:
            # On Windows the lock file, which is open, outlives ``discard``.
            if run_dir.is_new and root.exists() and not run_dir.manifest.exists():
                unlocked.callback(_remove_lock, root)


def _remove_lock(root: Path) -> None:
    """Delete a directory that has at most its lock file."""
    with contextlib.suppress(OSError):
        if {path.name for path in root.iterdir()} <= {LOCK_NAME}:
            (root / LOCK_NAME).unlink(missing_ok=True)
            root.rmdir()


def resume_directory(root: Path, input_sha256: str) -> RunDir:
    """Open a run directory that is locked. What a killed run left half written is deleted."""
    has_run = _check_owner(root, input_sha256)
    is_new = not has_run and not any((root / name).exists() for name in _OWN_NAMES)
    run_dir = RunDir(root.absolute(), input_sha256, is_new=is_new)
    with _friendly_errors(root):
        refuse_links(root, FOLDERS)
        if not run_dir.manifest.exists():
            # Before anything else, so that a run that is killed right now can be continued.
            run_dir.claim()
        for folder in (run_dir.speakers, run_dir.segments, run_dir.logs, run_dir.tasks, run_dir.stages):
            folder.mkdir(exist_ok=True)
        _remove_leftovers(run_dir)
    return run_dir


@contextmanager
def _friendly_errors(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if is_disk_full(error):
            raise PreflightError(
                f"the disk of {root} is full: make room there, or choose another with --out", code="disk_full"
            ) from error
        raise PreflightError(
            f"the run directory {root} cannot be made ({error.strerror}); choose another with --out",
            code="output_unwritable",
        ) from error


def _check_owner(root: Path, input_sha256: str) -> bool:
    """Return whether there is an earlier run on this input; False where there is nothing yet. Raises InputError."""
    advice = "choose another with --out"
    found = _owner(root / MANIFEST) or _owner(root / OWNER)
    if found is None:
        if _is_unused(root):
            return False
        raise InputError(f"{root} exists and is not a run directory; {advice}", code="not_a_run_directory")
    schema, owner = found
    if schema != RUN_SCHEMA:
        raise InputError(
            f"{root} was written by another version ({schema!r:.40}); {advice}", code="run_schema"
        )
    if owner != input_sha256:
        raise InputError(f"{root} holds the run of another input; {advice}", code="run_of_another_input")
    return True


def _owner(path: Path) -> tuple[Any, Any] | None:
    """Return the schema and the input that a file names; None where it names none."""
    try:
        document = json_object(path)
        return document["schema"], document["input"]["sha256"]
    except (KeyError, TypeError):
        return None


def _is_unused(root: Path) -> bool:
    """Return whether nothing is there, or only what a killed run leaves.

    That is a run that was killed in its first moment, or whose directory was deleted meanwhile (then its lock shows
    that the other files are those of a run).
    """
    if not root.exists():
        return not is_link(root)
    if not root.is_dir():
        return False
    names = {path.name for path in root.iterdir()}
    others = {name for name in names if not _TEMPORARY.fullmatch(name)} - {LOCK_NAME, HOLDER_NAME, OWNER}
    return not others or (LOCK_NAME in names and others <= _OWN_NAMES)


def remove_temporary_files(folder: Path, keep: Collection[str]) -> None:
    """Delete the files of earlier runs in a folder, except ``keep``."""
    for path in folder.iterdir():
        if path.name not in keep and path.is_file():
            path.unlink()


def _remove_leftovers(run_dir: RunDir) -> None:
    speakers = [path for path in run_dir.speakers.iterdir() if path.is_dir() and not is_link(path)]
    folders = (run_dir.root, run_dir.segments, run_dir.stems, run_dir.tasks, run_dir.stages, *speakers)
    for folder in folders:
        if folder.is_dir():
            for path in folder.iterdir():
                if _TEMPORARY.fullmatch(path.name) and not path.is_dir():
                    path.unlink(missing_ok=True)
