"""Building the fish environment: venv, torch, the lock's packages, a check, the mark."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from voiceclone_cli.errors import InputError, PreflightError
from voiceclone_cli.fish.environment import folders
from voiceclone_cli.fish.environment.base_python import BasePython, find_base
from voiceclone_cli.fish.environment.child import (
    ChildFailedError,
    child_environment,
    pip_environment,
    run_logged,
)
from voiceclone_cli.fish.environment.recipe import Recipe
from voiceclone_cli.machine.file_lock import waited_for
from voiceclone_cli.settings import Settings
from voiceclone_cli.types import Progress, ProgressEvent

STAGE = "environment"
_STEPS = 4
_CHECK = """
import importlib, importlib.metadata, json, sys
pins, modules = map(json.loads, sys.argv[1:])
for name, pinned in pins.items():
    found = importlib.metadata.version(name)
    if found != pinned:
        sys.exit(f"{name} is {found}, and {pinned} is pinned")
for module in modules:
    importlib.import_module(module)
"""


@dataclass(frozen=True, slots=True)
class _Site:
    """A build under way."""

    folder: Path
    recipe: Recipe
    base: BasePython
    torch: str
    """The requirement for pip."""
    pip_options: Sequence[str]
    progress: Progress

    @property
    def python(self) -> str:
        return str(folders.python_of(self.folder))

    def step(
        self, number: int, what: str, command: Sequence[str], environment: Mapping[str, str], advice: str
    ) -> None:
        """Run one step of the build. Raises PreflightError with ``advice``."""
        log = folders.log_of(self.folder)
        with log.open("a", encoding="utf-8") as words:
            words.write(f"== {what}\n")
        self.progress(ProgressEvent(STAGE, number, _STEPS, note=what))
        try:
            run_logged(command, environment, log, self._listener(number))
        except ChildFailedError as error:
            full = "No space left on device" in str(error)
            advice = "make room there, or set VOICECLONE_HOME to another folder" if full else advice
            raise PreflightError(
                f"The fish environment in {self.folder} could not be built: {what} failed ({error}); {advice}, "
                f"and run `voiceclone env create` again. All that was said is in {log}.",
                code="environment_failed",
            ) from error

    def _listener(self, number: int) -> Callable[[str], None]:
        def heard(line: str) -> None:
            self.progress(ProgressEvent(STAGE, number, _STEPS, note=line))

        return heard


def build(
    settings: Settings,
    recipe: Recipe,
    progress: Progress,
    torch: str | None,
    python: str | None,
    pip_options: Sequence[str],
) -> bool:
    """See ``create`` in this package."""
    wanted = None if torch is None else torch_requirement(torch)
    folder = folders.folder_of(settings, recipe)
    with folders.told_plainly(folder.parent):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with alone(folder.parent, progress):
            mark = folders.read_mark(folder, recipe)
            named = find_base(python, recipe.pythons) if python else None
            if mark and wanted in (None, mark.torch) and (named is None or named.base == mark.base):
                return False
            base = named or find_base(None, recipe.pythons)
            folders.clear(folder)
            _build(_Site(folder, recipe, base, wanted or recipe.torch, pip_options, progress))
    return True


def torch_requirement(text: str) -> str:
    """What pip is to install for a version, a requirement or a wheel's path. Raises InputError."""
    if re.fullmatch(r"\d[\w.+!]*", text):
        return f"torch=={text}"
    if not text.strip() or text.startswith("-"):
        raise InputError(
            f"--torch must be a version, a requirement such as torch==2.13.0 or a wheel's path, not {text!r}.",
            code="bad_setting",
        )
    # Absolute, since the mark keeps it and the next create may start elsewhere.
    return str(Path(text).absolute()) if Path(text).is_file() else text


def alone(place: Path, progress: Progress) -> AbstractContextManager[None]:
    """Hold the lock of the folder of all environments."""
    waiting = ProgressEvent(STAGE, 0, note="waiting for another voiceclone that builds in this folder")
    return waited_for(place / "environments.lock", lambda: progress(waiting))


def _build(site: _Site) -> None:
    pip = [site.python, "-I", "-m", "pip", "install", "--progress-bar=off", *site.pip_options]
    lock, pins = site.recipe.lock, site.recipe.pins
    network = "check the network, the proxy or pip's index, which `voiceclone env create -- --index-url URL` can name"
    check = [site.python, "-I", "-c", _CHECK, json.dumps(pins), json.dumps(site.recipe.imports)]
    site.step(
        0,
        f"venv with Python {site.base.spoken_version}",
        [site.base.path, "-I", "-m", "venv", str(site.folder)],
        child_environment(),
        "name another interpreter with --python",
    )
    site.step(1, f"installing {site.torch}", [*pip, site.torch], pip_environment(), network)
    locked = [*pip, "--no-deps", "-r", str(lock)]
    site.step(2, f"installing {len(pins)} packages", locked, pip_environment(), network)
    site.step(
        3, "checking what was installed", check, child_environment(), "choose another --torch or --python"
    )
    created = datetime.now(UTC).isoformat(timespec="seconds")
    mark = folders.Mark(site.torch, site.base.spoken_version, site.base.base, site.recipe.digest, created)
    folders.write_mark(site.folder, mark)
    site.progress(ProgressEvent(STAGE, _STEPS, _STEPS, note="complete"))
