"""The fish environment: the other interpreter, with fish-speech and its old protobuf, kept in step with
its lock file.

``interpreter`` is what the other rooms call; ``create``, ``status`` and ``remove`` are the command's.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from voiceclone_cli.fish.environment import folders
from voiceclone_cli.fish.environment.folders import EnvironmentState, EnvironmentStatus, Mark, SizedFolder
from voiceclone_cli.fish.environment.recipe import Recipe, fish_recipe, lock_file
from voiceclone_cli.settings import Settings
from voiceclone_cli.types import Progress, no_progress

__all__ = [
    "EnvironmentState",
    "EnvironmentStatus",
    "Mark",
    "Recipe",
    "SizedFolder",
    "create",
    "fish_recipe",
    "interpreter",
    "lock_file",
    "remove",
    "status",
]


def interpreter(settings: Settings, recipe: Recipe | None = None) -> Path | None:
    """The python of the complete environment, None when there is none. Reads two small files."""
    return folders.interpreter(settings, recipe or fish_recipe())


def create(
    settings: Settings,
    progress: Progress = no_progress,
    *,
    torch: str | None = None,
    python: str | None = None,
    pip_options: Sequence[str] = (),
    recipe: Recipe | None = None,
) -> bool:
    """Build the environment; False when a complete one is there that fits ``torch`` and ``python``.

    ``torch`` is a version, a requirement or a wheel's path (None: the one that is there, else the
    recipe's), ``python`` the interpreter to build with (None: this one, or one on PATH).
    ``pip_options`` go to every call of pip. What a broken or interrupted build left is removed first.
    Several processes may call it at once: one builds, the others wait.

    Progress stage "environment". Raises InputError for a ``torch`` that pip would take for an option,
    PreflightError when there is no interpreter to build with, or a step fails; the log then lies
    beside the environment's folder.
    """
    from voiceclone_cli.fish.environment.building import build

    return build(settings, recipe or fish_recipe(), progress, torch, python, pip_options)


def status(settings: Settings, recipe: Recipe | None = None) -> EnvironmentStatus:
    """What is there. Walks the folders for their size, so it takes a moment."""
    return folders.status(settings, recipe or fish_recipe())


def remove(
    settings: Settings,
    progress: Progress = no_progress,
    *,
    stale_too: bool = False,
    recipe: Recipe | None = None,
) -> tuple[SizedFolder, ...]:
    """Remove the environment, complete or not, and its log; what was removed.

    With ``stale_too`` those of older locks go as well. Waits for a build that is under way. Raises
    PreflightError when the file system does not allow it.
    """
    from voiceclone_cli.fish.environment.building import alone

    chosen = recipe or fish_recipe()
    place = folders.place(settings)
    with folders.told_plainly(place):
        if not place.is_dir():
            return ()
        with alone(place, progress):
            return folders.remove(settings, chosen, stale_too=stale_too)
