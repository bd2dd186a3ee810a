"""Where the fish environments lie, and which of them are complete.

A folder's name carries the hash of its lock, so another lock is another folder. The mark is written
last: without it nothing in the folder counts.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from voiceclone_cli.atomic import write_text_atomic
from voiceclone_cli.errors import PreflightError
from voiceclone_cli.fish.environment.recipe import Recipe
from voiceclone_cli.settings import Settings, models_home

_MARK = "complete.json"
_PREFIX = "fish-"


class EnvironmentState(StrEnum):
    COMPLETE = "complete"
    BROKEN = "broken"
    """A build that failed or was interrupted, or one whose base interpreter is gone."""
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Mark:
    """What a complete environment says of itself."""

    torch: str
    """The requirement, as pip was given it."""
    python: str
    """Version of the interpreter."""
    base: str
    """The interpreter that it was built with."""
    lock: str
    """sha256 of the lock's text, in hex."""
    created: str
    """ISO 8601, UTC."""


@dataclass(frozen=True, slots=True)
class SizedFolder:
    """An environment's folder, of whatever lock and state."""

    folder: Path
    size: int
    """Bytes on disk; of a removed one, those it held."""


@dataclass(frozen=True, slots=True)
class EnvironmentStatus:
    """What is there. ``python`` and ``mark`` are None unless the state is complete."""

    folder: Path
    state: EnvironmentState
    python: Path | None
    mark: Mark | None
    lock: str
    """sha256 of the lock's text as it is now, in hex."""
    size: int
    """Bytes on disk."""
    log: Path
    """What venv and pip said when it was built; may be absent."""
    stale: tuple[SizedFolder, ...]
    """Environments of other locks."""


def place(settings: Settings) -> Path:
    """The folder of all environments: under VOICECLONE_HOME, else in the platform's data folder."""
    home = models_home(settings)
    if home is None:
        from platformdirs import user_data_path

        home = user_data_path("voiceclone", appauthor=False)
    return home / "environments"


def folder_of(settings: Settings, recipe: Recipe) -> Path:
    return place(settings) / f"{_PREFIX}{recipe.digest[:12]}"


def log_of(folder: Path) -> Path:
    """The build's log, beside the folder so that it outlives what it tells of."""
    return folder.with_name(f"{folder.name}.log")


def python_of(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def interpreter(settings: Settings, recipe: Recipe) -> Path | None:
    folder = folder_of(settings, recipe)
    return python_of(folder) if read_mark(folder, recipe) else None


def read_mark(folder: Path, recipe: Recipe) -> Mark | None:
    """The mark of a complete environment; None when it has none that can be believed, or its
    interpreter is gone."""
    try:
        mark = Mark(**json.loads((folder / _MARK).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    # A python of a venv is a link: it leads nowhere when the base interpreter was removed.
    return mark if mark.lock == recipe.digest and python_of(folder).is_file() else None


def write_mark(folder: Path, mark: Mark) -> None:
    write_text_atomic(folder / _MARK, json.dumps(asdict(mark), ensure_ascii=False, indent=1) + "\n")


def status(settings: Settings, recipe: Recipe) -> EnvironmentStatus:
    folder = folder_of(settings, recipe)
    with told_plainly(folder):
        mark = read_mark(folder, recipe)
        state = EnvironmentState.BROKEN if folder.exists() else EnvironmentState.ABSENT
        return EnvironmentStatus(
            folder,
            EnvironmentState.COMPLETE if mark else state,
            python_of(folder) if mark else None,
            mark,
            recipe.digest,
            _bytes_under(folder),
            log_of(folder),
            tuple(SizedFolder(other, _bytes_under(other)) for other in _others(folder)),
        )


def remove(settings: Settings, recipe: Recipe, *, stale_too: bool) -> tuple[SizedFolder, ...]:
    """The caller holds the lock of the folder of all environments."""
    folder = folder_of(settings, recipe)
    going = [folder] if folder.exists() else []
    if stale_too:
        going += _others(folder)
    removed = tuple(SizedFolder(one, _bytes_under(one)) for one in going)
    for one in going:
        clear(one)
    log_of(folder).unlink(missing_ok=True)
    return removed


def clear(folder: Path) -> None:
    """Remove an environment and its log. Its mark goes first: half a removal leaves no complete one."""
    (folder / _MARK).unlink(missing_ok=True)
    if folder.exists():
        shutil.rmtree(folder)
    log_of(folder).unlink(missing_ok=True)


@contextmanager
def told_plainly(folder: Path) -> Iterator[None]:
    """Turn what the file system says about ``folder`` into a PreflightError."""
    try:
        yield
    except OSError as error:
        raise PreflightError(
            f"The environment folder {folder} cannot be used ({error.strerror or error}): check its free "
            "space and permissions, or set VOICECLONE_HOME to another folder.",
            code="environment_unwritable",
        ) from error


def _others(folder: Path) -> list[Path]:
    if not folder.parent.is_dir():
        return []
    found = sorted(folder.parent.glob(f"{_PREFIX}*"))
    return [other for other in found if other.is_dir() and other != folder]


def _bytes_under(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(parent) / name).lstat().st_size
            except FileNotFoundError:
                # A build that is under way moves its files while they are counted.
                continue
    return total
