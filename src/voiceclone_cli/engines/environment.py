"""The fish environment: the other interpreter, with fish-speech and its old protobuf, kept in step with
its lock file.

``interpreter`` is what the other rooms call; ``create``, ``status`` and ``remove`` are the command's.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, BinaryIO

from voiceclone_cli.config import Settings, models_home, redact
from voiceclone_cli.errors import InputError, PreflightError
from voiceclone_cli.files import locked_file, write_text_atomic
from voiceclone_cli.system import (
    BUILD_VARIABLES,
    INTERPRETER_VARIABLES,
    NETWORK_VARIABLES,
    PIP_FILES,
    PIP_PREFIXES,
    SYSTEM_VARIABLES,
    filter_environment,
)
from voiceclone_cli.types import Progress, ProgressEvent, no_progress
from voiceclone_cli.workers.process import worker_program

# The processes that build the environment: what they see, where their words go, how they end.


# Where packages go, and which have their dependencies, is decided here; pip's other settings stay.
_DECIDED_HERE = ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER", "PIP_PYTHON", "PIP_NO_DEPS")
_POLL_SECONDS = 0.2
_PATIENCE_SECONDS = 5.0


class ChildFailedError(Exception):
    """A step's process that did not end well; its text is the line that says why."""


def child_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variables of an interpreter that is asked or checked: nothing of another environment's paths,
    no secret."""
    return filter_environment(environ, (*SYSTEM_VARIABLES, *INTERPRETER_VARIABLES)) | {
        "PYTHONNOUSERSITE": "1",
        "PYTHONUTF8": "1",
    }


def pip_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variables of pip, which installs and compiles: also its settings, the way to its index (whose
    URL may hold a login) and a compiler's."""
    kept = filter_environment(environ, (*NETWORK_VARIABLES, *PIP_FILES, *BUILD_VARIABLES), PIP_PREFIXES)
    settings = {name: value for name, value in kept.items() if name not in _DECIDED_HERE}
    return child_environment(environ) | settings | {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}


def run_logged(
    command: Sequence[str], environment: Mapping[str, str], log: Path, heard: Callable[[str], None]
) -> None:
    """Run ``command`` and append all it writes to ``log``; ``heard`` gets each line as it comes. Secrets
    among our own variables are in neither.

    Raises ChildFailedError. Whatever makes the caller leave, ``errors.Stopped`` too, ends the process
    and those it started.
    """
    try:
        _run(command, environment, log, heard)
    finally:
        _without_secrets(log)


def _run(
    command: Sequence[str], environment: Mapping[str, str], log: Path, heard: Callable[[str], None]
) -> None:
    # The process writes the file itself, so that there is no pipe to be drained and no word is lost.
    with log.open("ab") as sink, log.open("rb") as source:
        source.seek(0, os.SEEK_END)
        process = subprocess.Popen(
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        said: list[str] = []
        try:
            while not _ended(process):
                said += _new_lines(source, heard)
            said += _new_lines(source, heard)
        finally:
            _end(process)
    if process.returncode != 0:
        raise ChildFailedError(_reason(said) or f"it ended with exit code {process.returncode}")


def _without_secrets(log: Path) -> None:
    """Write the log anew where a secret got into it. Pip hides logins, but not those of a proxy whose URL
    is malformed."""
    text = log.read_text(encoding="utf-8", errors="replace")
    clean = redact(text)
    if clean != text:
        write_text_atomic(log, clean)


def _ended(process: subprocess.Popen[Any]) -> bool:
    try:
        process.wait(_POLL_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return True


def _new_lines(source: BinaryIO, heard: Callable[[str], None]) -> list[str]:
    text = source.read().decode("utf-8", errors="replace")
    lines = [redact(line.strip()) for line in text.splitlines() if line.strip()]
    for line in lines:
        heard(line)
    return lines


def _reason(said: Sequence[str]) -> str:
    """The last line that pip calls an error, else the last line: hints and notices follow errors, and
    ResolutionImpossible follows the error that names the packages."""
    errors = [
        line for line in said if line.lower().startswith("error:") and "ResolutionImpossible" not in line
    ]
    last = (errors or said or [""])[-1]
    return (last[len("error:") :] if errors else last).strip()[:300]


def _end(process: subprocess.Popen[Any]) -> None:
    """End the process if it still runs, with the builds that pip starts: they are of its group."""
    if process.poll() is not None:
        return
    _signal_group(process, signal.SIGTERM)
    try:
        process.wait(_PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        _signal_group(process, signal.SIGKILL if os.name != "nt" else signal.SIGTERM)
        process.wait()


def _signal_group(process: subprocess.Popen[Any], number: signal.Signals) -> None:
    if not hasattr(os, "killpg"):
        process.terminate()
        return
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        # It ended between the look and the signal.
        return


# The interpreter that the fish environment is built with.


_PROBE = """
import json, sys
try:
    import ensurepip, venv
    able = True
except ImportError:
    able = False
base = getattr(sys, "_base_executable", None) or sys.executable
print(json.dumps([list(sys.version_info[:3]), base, able]))
"""
_PROBE_SECONDS = 60.0

Versions = Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class BasePython:
    """An interpreter that answered."""

    path: str
    """As it was named."""
    base: str
    """The installed interpreter behind it: the same for all virtual environments made of it."""
    version: tuple[int, ...]
    has_venv: bool
    """Debian ships its Python without ensurepip."""

    @property
    def spoken_version(self) -> str:
        return ".".join(map(str, self.version))


class NoPythonError(Exception):
    """An interpreter that cannot be asked; its text says why, as an end of a sentence about it."""


def find_base(named: str | None, versions: Versions) -> BasePython:
    """``named``, or where it is None this interpreter if it fits, else the first of ``versions`` on
    PATH that runs. Raises PreflightError."""
    return _ask_named(named, versions) if named else _search(versions)


def _ask_named(named: str, versions: Versions) -> BasePython:
    try:
        found = _ask(shutil.which(named) or named)
        _require(found, versions)
    except NoPythonError as error:
        raise PreflightError(
            f"--python {named} {error}: name a Python {_spoken(versions)} that has venv.",
            code="environment_python",
        ) from error
    return found


def _search(versions: Versions) -> BasePython:
    refused: list[str] = []
    on_path = [f"python{major}.{minor}" for major, minor in versions]
    for name, path in [("this one", sys.executable), *((name, shutil.which(name)) for name in on_path)]:
        try:
            if path is None:
                raise NoPythonError("is not on the PATH")
            found = _ask(path)
            _require(found, versions)
        except NoPythonError as error:
            # A shim on the PATH may stand for an interpreter that is not installed: the next is tried.
            refused.append(f"{name} {error}")
        else:
            return found
    raise PreflightError(
        f"The fish environment needs Python {_spoken(versions)}, and {', '.join(refused)}: install one, "
        "or name it with `voiceclone env create --python PATH`.",
        code="environment_python",
    )


def _ask(path: str) -> BasePython:
    """What the interpreter at ``path`` says of itself. Raises NoPythonError."""
    try:
        done = subprocess.run(
            [path, "-I", "-c", _PROBE],
            env=child_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_PROBE_SECONDS,
        )
        version, base, has_venv = json.loads(done.stdout)
        return BasePython(path, base, tuple(version), has_venv)
    except OSError as error:
        raise NoPythonError(f"cannot be started ({error.strerror or error})") from error
    except subprocess.TimeoutExpired as error:
        raise NoPythonError("does not answer") from error
    except (ValueError, TypeError) as error:
        raise NoPythonError("does not answer as a Python does") from error


def _require(found: BasePython, versions: Versions) -> None:
    if found.version[:2] not in versions:
        raise NoPythonError(f"is Python {found.spoken_version}")
    if not found.has_venv:
        raise NoPythonError("has no ensurepip (on Debian and Ubuntu install its -venv package)")


def _spoken(versions: Versions) -> str:
    return " or ".join(f"{major}.{minor}" for major, minor in sorted(versions))


# What the fish environment is made of, and of which interpreters it can be made.


DEFAULT_TORCH = "torch==2.13.0"
PYTHONS = ((3, 12), (3, 11))
"""Best first. scipy's pin begins at 3.11; numpy 1.26 and protobuf 3.19.6 end at 3.12."""
_IMPORTS = (
    "torch",
    "google.protobuf",
    "fish_speech.models.dac",
    "fish_speech.tokenizer",
    "hydra",
    "omegaconf",
    "tiktoken",
    "soundfile",
    "julius",
    "scipy.signal",
)
"""What imports plainly when all is well. dac and audiotools do not: they ask for modules that speaking
never uses and the lock leaves out, which the worker provides."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """An environment to be: its exact pins, its torch, and what must be importable in the end."""

    lock: Path
    """A pip requirements file of ``name==version`` lines, installed without dependencies."""
    torch: str = DEFAULT_TORCH
    imports: tuple[str, ...] = _IMPORTS
    pythons: tuple[tuple[int, int], ...] = PYTHONS

    @property
    def digest(self) -> str:
        """sha256 of the lock's text, in hex. Line ends do not count: they differ between checkouts."""
        return hashlib.sha256(self.lock.read_text(encoding="utf-8").encode("utf-8")).hexdigest()

    @property
    def pins(self) -> dict[str, str]:
        """Version by package."""
        lines = (line.split("#")[0].strip() for line in self.lock.read_text(encoding="utf-8").splitlines())
        return {name: version for name, _, version in (line.partition("==") for line in lines) if version}


def fish_recipe() -> Recipe:
    return Recipe(lock_file())


def lock_file(worker: Path | None = None) -> Path:
    """requirements-fish.txt: beside the ``worker`` (None: the one that runs here) in a checkout, inside
    it when installed from a wheel. Raises PreflightError."""
    worker = worker or worker_program()
    for folder in (worker, worker.parent):
        if (folder / "requirements-fish.txt").is_file():
            return folder / "requirements-fish.txt"
    raise PreflightError(
        f"requirements-fish.txt is missing beside {worker}: install voiceclone again.",
        code="environment_lock",
    )


# Where the fish environments lie, and which of them are complete.
#
# A folder's name carries the hash of its lock, so another lock is another folder. The mark is written
# last: without it nothing in the folder counts.


_MARK = "complete.json"
_PREFIX = "fish-"


class EnvironmentState(StrEnum):
    COMPLETE = "complete"
    BROKEN = "broken"
    """A build that failed or was interrupted, or one whose base interpreter is gone."""
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class EnvironmentMark:
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
    mark: EnvironmentMark | None
    lock: str
    """sha256 of the lock's text as it is now, in hex."""
    size: int
    """Bytes on disk."""
    log: Path
    """What venv and pip said when it was built; may be absent."""
    stale: tuple[SizedFolder, ...]
    """Environments of other locks."""


def environments_folder(settings: Settings) -> Path:
    """The folder of all environments: under VOICECLONE_HOME, else in the platform's data folder."""
    home = models_home(settings)
    if home is None:
        from platformdirs import user_data_path

        home = user_data_path("voiceclone", appauthor=False)
    return home / "environments"


def environment_folder(settings: Settings, recipe: Recipe) -> Path:
    return environments_folder(settings) / f"{_PREFIX}{recipe.digest[:12]}"


def environment_log(folder: Path) -> Path:
    """The build's log, beside the folder so that it outlives what it tells of."""
    return folder.with_name(f"{folder.name}.log")


def environment_interpreter(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def complete_python(settings: Settings, recipe: Recipe) -> Path | None:
    folder = environment_folder(settings, recipe)
    return environment_interpreter(folder) if read_environment_mark(folder, recipe) else None


def read_environment_mark(folder: Path, recipe: Recipe) -> EnvironmentMark | None:
    """The mark of a complete environment; None when it has none that can be believed, or its
    interpreter is gone."""
    try:
        mark = EnvironmentMark(**json.loads((folder / _MARK).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    # A python of a venv is a link: it leads nowhere when the base interpreter was removed.
    return mark if mark.lock == recipe.digest and environment_interpreter(folder).is_file() else None


def write_environment_mark(folder: Path, mark: EnvironmentMark) -> None:
    write_text_atomic(folder / _MARK, json.dumps(asdict(mark), ensure_ascii=False, indent=1) + "\n")


def folder_status(settings: Settings, recipe: Recipe) -> EnvironmentStatus:
    folder = environment_folder(settings, recipe)
    with explain_environment_errors(folder):
        mark = read_environment_mark(folder, recipe)
        state = EnvironmentState.BROKEN if folder.exists() else EnvironmentState.ABSENT
        return EnvironmentStatus(
            folder,
            EnvironmentState.COMPLETE if mark else state,
            environment_interpreter(folder) if mark else None,
            mark,
            recipe.digest,
            _bytes_under(folder),
            environment_log(folder),
            tuple(SizedFolder(other, _bytes_under(other)) for other in _others(folder)),
        )


def remove_folders(settings: Settings, recipe: Recipe, *, stale_too: bool) -> tuple[SizedFolder, ...]:
    """The caller holds the lock of the folder of all environments."""
    folder = environment_folder(settings, recipe)
    going = [folder] if folder.exists() else []
    if stale_too:
        going += _others(folder)
    removed = tuple(SizedFolder(one, _bytes_under(one)) for one in going)
    for one in going:
        clear_folder(one)
    environment_log(folder).unlink(missing_ok=True)
    return removed


def clear_folder(folder: Path) -> None:
    """Remove an environment and its log. Its mark goes first: half a removal leaves no complete one."""
    (folder / _MARK).unlink(missing_ok=True)
    if folder.exists():
        shutil.rmtree(folder)
    environment_log(folder).unlink(missing_ok=True)


@contextmanager
def explain_environment_errors(folder: Path) -> Iterator[None]:
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


# Building the fish environment: venv, torch, the lock's packages, a check, the mark.


ENVIRONMENT_STAGE = "environment"
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
        return str(environment_interpreter(self.folder))

    def step(
        self, number: int, what: str, command: Sequence[str], environment: Mapping[str, str], advice: str
    ) -> None:
        """Run one step of the build. Raises PreflightError with ``advice``."""
        log = environment_log(self.folder)
        with log.open("a", encoding="utf-8") as words:
            words.write(f"== {what}\n")
        self.progress(ProgressEvent(ENVIRONMENT_STAGE, number, _STEPS, note=what))
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
            self.progress(ProgressEvent(ENVIRONMENT_STAGE, number, _STEPS, note=line))

        return heard


def build_environment(
    settings: Settings,
    recipe: Recipe,
    progress: Progress,
    torch: str | None,
    python: str | None,
    pip_options: Sequence[str],
) -> bool:
    """See ``create`` in this package."""
    wanted = None if torch is None else torch_requirement(torch)
    folder = environment_folder(settings, recipe)
    with explain_environment_errors(folder.parent):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with build_lock(folder.parent, progress):
            mark = read_environment_mark(folder, recipe)
            named = find_base(python, recipe.pythons) if python else None
            if mark and wanted in (None, mark.torch) and (named is None or named.base == mark.base):
                return False
            base = named or find_base(None, recipe.pythons)
            clear_folder(folder)
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


def build_lock(place: Path, progress: Progress) -> AbstractContextManager[None]:
    """Hold the lock of the folder of all environments."""
    waiting = ProgressEvent(
        ENVIRONMENT_STAGE, 0, note="waiting for another voiceclone that builds in this folder"
    )
    return locked_file(place / "environments.lock", lambda: progress(waiting))


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
    mark = EnvironmentMark(site.torch, site.base.spoken_version, site.base.base, site.recipe.digest, created)
    write_environment_mark(site.folder, mark)
    site.progress(ProgressEvent(ENVIRONMENT_STAGE, _STEPS, _STEPS, note="complete"))


def environment_python(settings: Settings, recipe: Recipe | None = None) -> Path | None:
    """The python of the complete environment, None when there is none. Reads two small files."""
    return complete_python(settings, recipe or fish_recipe())


def create_environment(
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

    return build_environment(settings, recipe or fish_recipe(), progress, torch, python, pip_options)


def environment_status(settings: Settings, recipe: Recipe | None = None) -> EnvironmentStatus:
    """What is there. Walks the folders for their size, so it takes a moment."""
    return folder_status(settings, recipe or fish_recipe())


def remove_environment(
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

    chosen = recipe or fish_recipe()
    place = environments_folder(settings)
    with explain_environment_errors(place):
        if not place.is_dir():
            return ()
        with build_lock(place, progress):
            return remove_folders(settings, chosen, stale_too=stale_too)
