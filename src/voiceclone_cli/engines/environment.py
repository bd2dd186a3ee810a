"""The fish environment: a virtual environment with fish-speech and its old protobuf, built from a lock file.

A folder's name carries the hash of its lock, so another lock is another folder. ``complete.json`` is written last:
without it nothing in the folder counts. The log of a build lies beside the folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, NamedTuple

from voiceclone_cli import system
from voiceclone_cli.children import end_child, run_child, start_child, wait_for_child
from voiceclone_cli.config import Settings, models_home, redact
from voiceclone_cli.engines.torch_build import AUTO, FISH_TORCH, TorchSource, torch_source
from voiceclone_cli.errors import PreflightError
from voiceclone_cli.files import folder_size, friendly_errors, locked_file, write_text_atomic
from voiceclone_cli.types import Progress, ProgressEvent, no_progress
from voiceclone_cli.workers.process import worker_program

FISH_PYTHONS = ((3, 12), (3, 11))
"""Versions that the fish environment works with, best first: scipy's pin begins at 3.11, numpy 1.26 and protobuf
3.19.6 end at 3.12."""

ENVIRONMENT_STAGE = "environment"

_RECORD = "complete.json"
_RECORD_KEYS = ("torch", "index", "python", "base", "lock", "created")
_PREFIX = "fish-"
_STEPS = 4
_PROBE_SECONDS = 60.0
_POLL_SECONDS = 0.2

# Where packages go, and which have their dependencies, is decided here; pip's other settings stay.
_DECIDED_HERE = ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER", "PIP_PYTHON", "PIP_NO_DEPS")

# Of each package that the engine imports, so that what a package needs on another platform is missed at once. dac and
# audiotools are imported with the engine alone: they ask for modules that synthesis never uses and the lock leaves
# out, which the worker provides.
_IMPORTS = (
    *(
        "antlr4",
        "argbind",
        "docstring_parser",
        "einops",
        "ffmpy",
        "fish_speech.models.dac",
        "fish_speech.tokenizer",
    ),
    *(
        "flatten_dict",
        "google.protobuf",
        "hydra",
        "importlib_resources",
        "julius",
        "loguru",
        "markdown_it",
        "numpy",
    ),
    *(
        "omegaconf",
        "packaging",
        "pygments",
        "randomname",
        "rich",
        "safetensors.torch",
        "scipy.signal",
        "soundfile",
    ),
    *("tiktoken", "tokenizers", "torch", "tqdm", "yaml"),
)
CHECK = """
import importlib, importlib.metadata, json, os, runpy, sys
pins, modules, worker = map(json.loads, sys.argv[1:])
for name, pinned in pins.items():
    found = importlib.metadata.version(name)
    if found != pinned:
        sys.exit(f"{name} is {found}, and {pinned} is pinned")
for module in modules:
    importlib.import_module(module)
if worker:
    runpy.run_path(os.path.join(worker, "__main__.py"))["register_package"]()
    checkpoint = importlib.import_module("voiceclone_worker.engines.fish.checkpoint")
    try:
        checkpoint.open_upstream()
    except Exception as error:
        sys.exit(str(error.__cause__ or error))
"""
"""Program for an environment's interpreter: its packages are the pinned ones, and can be imported. Arguments: pins,
modules and the worker's folder, as JSON."""

_PROBE = """
import json, sys
try:
    import ensurepip, venv
    able = True
except ImportError:
    able = False
base = getattr(sys, "_base_executable", None) or sys.executable
print(json.dumps([list(sys.version_info[:3]), sys.executable, base, able]))
"""


def version_list(versions: Sequence[tuple[int, int]]) -> str:
    """Return Python versions as text: "3.11 or 3.12"."""
    return " or ".join(f"{major}.{minor}" for major, minor in sorted(versions))


class EnvironmentState(StrEnum):
    """Whether an environment can be used."""

    COMPLETE = "complete"
    BROKEN = "broken"
    """A build that failed or was interrupted, or one whose base interpreter was removed."""
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Recipe:
    """What an environment is built from: a lock, its torch, and what must be importable in the end."""

    lock: Path
    """A pip requirements file of ``name==version`` lines, perhaps with markers, installed without dependencies."""
    torch: str = FISH_TORCH
    imports: tuple[str, ...] = _IMPORTS
    pythons: tuple[tuple[int, int], ...] = FISH_PYTHONS
    worker: Path | None = None
    """Folder of the worker, whose engine must open there."""

    @property
    def digest(self) -> str:
        """sha256 of the lock's text, in hex. Line ends do not count: they differ between checkouts."""
        return hashlib.sha256(self.lock.read_text(encoding="utf-8").encode("utf-8")).hexdigest()

    def pins(self, variables: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return version by package, of the lines whose markers hold; ``variables`` of markers that are given count
        instead of this interpreter's."""
        from packaging.requirements import Requirement

        lines = (line.split("#")[0].strip() for line in self.lock.read_text(encoding="utf-8").splitlines())
        requirements = [Requirement(line) for line in lines if line]
        return {
            each.name: next(iter(each.specifier)).version
            for each in requirements
            if each.marker is None or each.marker.evaluate(dict(variables or {}))
        }


@dataclass(frozen=True, slots=True)
class EnvironmentStatus:
    """State of the environment on disk."""

    folder: Path
    state: EnvironmentState
    python: Path | None
    """Its interpreter; None unless the state is complete."""
    record: Mapping[str, str]
    """What it was built from (``torch``, ``index``, ``python``, ``base``, ``lock``, ``created``); empty unless
    complete."""
    lock: str
    """sha256 of the lock's text as it is now, in hex."""
    size: int
    """Bytes on disk."""
    log: Path
    """Output of venv and pip when it was built; may be absent."""
    stale: Mapping[Path, int]
    """Environments of other locks: bytes on disk by folder."""


def fish_recipe(worker: Path | None = None) -> Recipe:
    """Return the recipe of requirements-fish.txt: beside the ``worker`` (None: the one that runs here) in a
    checkout, inside it when installed from a wheel. Raises PreflightError."""
    worker = worker or worker_program()
    for folder in (worker, worker.parent):
        if (folder / "requirements-fish.txt").is_file():
            return Recipe(folder / "requirements-fish.txt", worker=worker)
    raise PreflightError(
        f"requirements-fish.txt is missing beside {worker}: install voiceclone again.",
        code="environment_lock",
    )


def environments_folder(settings: Settings) -> Path:
    """Return the folder of all environments: under VOICECLONE_HOME, else in the platform's data folder."""
    home = models_home(settings)
    if home is None:
        from platformdirs import user_data_path

        home = user_data_path("voiceclone", appauthor=False)
    return home / "environments"


def environment_folder(settings: Settings, recipe: Recipe) -> Path:
    """Return the folder of the environment that ``recipe`` makes."""
    return environments_folder(settings) / f"{_PREFIX}{recipe.digest[:12]}"


def environment_log(folder: Path) -> Path:
    """Return the build's log, beside the folder so that it outlives it."""
    return folder.with_name(f"{folder.name}.log")


def environment_interpreter(folder: Path) -> Path:
    """Return the interpreter of an environment, whether it exists or not."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def environment_python(settings: Settings, recipe: Recipe | None = None) -> Path | None:
    """Return the python of the complete environment, None when there is none. Reads two small files."""
    recipe = recipe or fish_recipe()
    folder = environment_folder(settings, recipe)
    return environment_interpreter(folder) if _read_record(folder, recipe) else None


def environment_status(settings: Settings, recipe: Recipe | None = None) -> EnvironmentStatus:
    """Return the state of the environment on disk. Walks the folders for their size, so it takes a moment."""
    recipe = recipe or fish_recipe()
    folder = environment_folder(settings, recipe)
    with friendly_errors(folder, _environment_error):
        record = _read_record(folder, recipe)
        state = EnvironmentState.BROKEN if folder.exists() else EnvironmentState.ABSENT
        return EnvironmentStatus(
            folder,
            EnvironmentState.COMPLETE if record else state,
            environment_interpreter(folder) if record else None,
            record,
            recipe.digest,
            folder_size(folder),
            environment_log(folder),
            {other: folder_size(other) for other in _stale_folders(folder)},
        )


def create_environment(
    settings: Settings,
    progress: Progress = no_progress,
    *,
    torch: str | None = None,
    python: str | None = None,
    pip_options: Sequence[str] = (),
    recipe: Recipe | None = None,
) -> bool:
    """Build the environment; return False when a complete one that fits ``torch`` and ``python`` exists.

    ``torch`` is what ``torch_source`` takes (None: that of the existing environment, else "auto"), ``python`` the
    interpreter to build with (None: this one, or one that is found). ``pip_options`` go to every call of pip. What a
    broken or interrupted build left is removed first. Several processes may call it at once: one builds, the others
    wait.

    Progress stage "environment". Raises InputError for a ``torch`` that pip would take for an option,
    PreflightError when there is no interpreter to build with, or a step fails; the log then lies beside the
    environment's folder.
    """
    recipe = recipe or fish_recipe()
    wanted = None if torch is None else torch_source(torch, recipe.torch)
    folder = environment_folder(settings, recipe)
    with friendly_errors(folder.parent, _environment_error):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _build_lock(folder.parent, progress):
            record = _read_record(folder, recipe)
            named = find_base(python, recipe.pythons) if python else None
            is_same_python = named is None or named.base == record.get("base")
            built = TorchSource(record["torch"], record["index"]) if record else None
            # A login in the address is not recorded.
            if (
                built
                and is_same_python
                and (wanted is None or wanted._replace(index_url=redact(wanted.index_url)) == built)
            ):
                return False
            base = named or find_base(None, recipe.pythons)
            _remove_folder(folder)
            source = wanted or built or torch_source(AUTO, recipe.torch)
            _build(folder, recipe, base, source, pip_options, progress)
    return True


def remove_environment(
    settings: Settings,
    progress: Progress = no_progress,
    *,
    stale_too: bool = False,
    recipe: Recipe | None = None,
) -> dict[Path, int]:
    """Remove the environment, complete or not, and its log; return the bytes that each folder had.

    With ``stale_too`` those of older locks are removed as well. Waits for a build that is under way. Raises
    PreflightError when the file system does not allow it.
    """
    folder = environment_folder(settings, recipe or fish_recipe())
    with friendly_errors(folder.parent, _environment_error):
        if not folder.parent.is_dir():
            return {}
        with _build_lock(folder.parent, progress):
            folders = [folder] if folder.exists() else []
            folders += _stale_folders(folder) if stale_too else []
            removed = {each: folder_size(each) for each in folders}
            for each in folders:
                _remove_folder(each)
            environment_log(folder).unlink(missing_ok=True)
            return removed


def _read_record(folder: Path, recipe: Recipe) -> dict[str, str]:
    """Return the record of a complete environment; empty when it cannot be read or the interpreter is missing."""
    try:
        record = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
        record = {key: str(record[key]) for key in _RECORD_KEYS}
    except (OSError, ValueError, TypeError, KeyError):
        return {}
    # A python of a venv is a link: it leads nowhere when the base interpreter was removed.
    return record if record["lock"] == recipe.digest and environment_interpreter(folder).is_file() else {}


def _stale_folders(folder: Path) -> list[Path]:
    """Return the environments of other locks."""
    return [
        other for other in sorted(folder.parent.glob(f"{_PREFIX}*")) if other.is_dir() and other != folder
    ]


def _remove_folder(folder: Path) -> None:
    """Remove an environment and its log. Its record goes first: half a removal leaves no complete one."""
    (folder / _RECORD).unlink(missing_ok=True)
    if folder.exists():
        shutil.rmtree(folder)
    environment_log(folder).unlink(missing_ok=True)


@contextmanager
def _build_lock(folder: Path, progress: Progress) -> Iterator[None]:
    waiting = ProgressEvent(
        ENVIRONMENT_STAGE, 0, note="waiting for another voiceclone that builds in this folder"
    )
    with locked_file(folder / "environments.lock", lambda: progress(waiting)):
        yield


def _environment_error(folder: Path, error: OSError) -> PreflightError:
    return PreflightError(
        f"The environment folder {folder} cannot be used ({error.strerror or error}): check its free "
        "space and permissions, or set VOICECLONE_HOME to another folder.",
        code="environment_unwritable",
    )


# Building: venv, torch, the lock's packages, a check, the record


def _build(
    folder: Path,
    recipe: Recipe,
    base: BasePython,
    torch: TorchSource,
    pip_options: Sequence[str],
    progress: Progress,
) -> None:
    python = str(environment_interpreter(folder))
    worker = None if recipe.worker is None else str(recipe.worker)
    pins = recipe.pins(
        {"python_version": "{}.{}".format(*base.version), "python_full_version": base.version_text}
    )
    pip = [python, "-I", "-m", "pip", "install", "--progress-bar=off", *pip_options]
    network = "check the network, the proxy or pip's index, which `voiceclone env create -- --index-url URL` can name"
    steps = (
        (
            f"venv with Python {base.version_text}",
            [base.path, "-I", "-m", "venv", str(folder)],
            child_environment(),
            "name another interpreter with --python",
        ),
        (
            f"installing {torch.requirement}" + f" from {redact(torch.index_url)}" * bool(torch.index_url),
            [*pip, *torch.options, torch.requirement],
            pip_environment(),
            network
            + ", or choose another --torch (cpu, cu126, cu130 or the address of a mirror)"
            * bool(torch.index_url),
        ),
        (
            f"installing {len(pins)} packages",
            [*pip, "--no-deps", "-r", str(recipe.lock)],
            pip_environment(),
            network,
        ),
        (
            "checking what was installed",
            [python, "-I", "-c", CHECK, *map(json.dumps, (pins, recipe.imports, worker))],
            child_environment(),
            "choose another --torch or --python",
        ),
    )
    log = environment_log(folder)
    for number, (title, command, environment, advice) in enumerate(steps):

        def show(line: str, number: int = number) -> None:
            progress(ProgressEvent(ENVIRONMENT_STAGE, number, _STEPS, note=line))

        with log.open("a", encoding="utf-8") as file:
            file.write(f"== {title}\n")
        show(title)
        try:
            run_logged(command, environment, log, show)
        except ChildFailedError as error:
            if "No space left on device" in str(error):
                advice = "make room there, or set VOICECLONE_HOME to another folder"
            raise PreflightError(
                f"The fish environment in {folder} could not be built: {title} failed ({error}); {advice}, "
                f"and run `voiceclone env create` again. The whole output is in {log}.",
                code="environment_failed",
            ) from error
    created = datetime.now(UTC).isoformat(timespec="seconds")
    values = (
        torch.requirement,
        redact(torch.index_url),
        base.version_text,
        base.base,
        recipe.digest,
        created,
    )
    record = dict(zip(_RECORD_KEYS, values, strict=True))
    write_text_atomic(folder / _RECORD, json.dumps(record, ensure_ascii=False, indent=1) + "\n")
    progress(ProgressEvent(ENVIRONMENT_STAGE, _STEPS, _STEPS, note="complete"))


# The interpreter that the environment is built with


class BasePython(NamedTuple):
    """An interpreter that was started."""

    path: str
    """As it was named; that which a launcher found."""
    base: str
    """The installed interpreter behind it: the same for all virtual environments made of it."""
    version: tuple[int, ...]
    has_venv: bool
    """Debian ships its Python without ensurepip."""

    @property
    def version_text(self) -> str:
        """The version with dots: "3.12.4"."""
        return ".".join(map(str, self.version))


class UnusablePythonError(Exception):
    """An interpreter that cannot be the base; its text is the predicate of a sentence about it."""


def find_base(named: str | None, versions: Sequence[tuple[int, int]]) -> BasePython:
    """Return ``named``, or where it is None this interpreter if it fits, else the first of ``versions`` that runs, on
    PATH or by the launcher ``py``: on Windows installed ones are not on PATH. Raises PreflightError."""
    if named:
        try:
            return _probe([shutil.which(named) or named], versions)
        except UnusablePythonError as error:
            raise PreflightError(
                f"--python {named} {error}: name a Python {version_list(versions)} that has venv.",
                code="environment_python",
            ) from error
    refused = []
    launcher = shutil.which("py")
    candidates: list[tuple[str, list[str] | None]] = [("this one", [sys.executable])]
    for major, minor in versions:
        path = shutil.which(f"python{major}.{minor}")
        candidates.append((f"python{major}.{minor}", [path] if path else None))
        if launcher:
            candidates.append((f"py -{major}.{minor}", [launcher, f"-{major}.{minor}"]))
    for name, command in candidates:
        try:
            if command is None:
                raise UnusablePythonError("is not on the PATH")
            return _probe(command, versions)
        except UnusablePythonError as error:
            # A shim on the PATH may stand for an interpreter that is not installed: the next is tried.
            refused.append(f"{name} {error}")
    raise PreflightError(
        f"The fish environment needs Python {version_list(versions)}, and {', '.join(refused)}: install one, "
        "or name it with `voiceclone env create --python PATH`.",
        code="environment_python",
    )


def _probe(command: Sequence[str], versions: Sequence[tuple[int, int]]) -> BasePython:
    """Start an interpreter by this command. Raises UnusablePythonError."""
    try:
        program = [*command, "-I", "-c", _PROBE]
        done = run_child(program, environment=child_environment(), seconds=_PROBE_SECONDS)
        version, path, base, has_venv = json.loads(done.stdout)
        # A launcher only finds the interpreter.
        found = BasePython(command[0] if len(command) == 1 else path, base, tuple(version), has_venv)
    except OSError as error:
        raise UnusablePythonError(f"cannot be started ({error.strerror or error})") from error
    except subprocess.TimeoutExpired as error:
        raise UnusablePythonError("does not answer") from error
    except (ValueError, TypeError) as error:
        raise UnusablePythonError("does not answer as a Python does") from error
    if found.version[:2] not in versions:
        raise UnusablePythonError(f"is Python {found.version_text}")
    if not found.has_venv:
        raise UnusablePythonError("has no ensurepip (on Debian and Ubuntu install its -venv package)")
    return found


# The processes of a build: their variables, their output, their end


class ChildFailedError(Exception):
    """A process of a build that failed; its text is the line of its output that gives the reason."""


def child_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the variables of an interpreter that is probed or checked: no path of another environment, no
    secret."""
    variables = system.filter_environment(environ, (*system.SYSTEM_VARIABLES, *system.INTERPRETER_VARIABLES))
    return variables | {"PYTHONNOUSERSITE": "1", "PYTHONUTF8": "1"}


def pip_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the variables of pip, which installs and compiles: also its settings, the way to its index (whose
    URL may hold a login) and a compiler's."""
    names = (*system.NETWORK_VARIABLES, *system.PIP_FILES, *system.BUILD_VARIABLES)
    settings = system.filter_environment(environ, names, system.PIP_PREFIXES)
    for name in _DECIDED_HERE:
        settings.pop(name, None)
    return child_environment(environ) | settings | {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}


def run_logged(
    command: Sequence[str], environment: Mapping[str, str], log: Path, on_line: Callable[[str], None]
) -> None:
    """Run ``command``, append its output to ``log`` and pass each line to ``on_line``, without secrets.

    Raises ChildFailedError. Any exception in the caller's thread, ``errors.Stopped`` too, ends the process and
    those it started.
    """
    try:
        _run(command, environment, log, on_line)
    finally:
        # Pip hides logins, but not those of a proxy whose URL is malformed.
        text = log.read_text(encoding="utf-8", errors="replace")
        if redact(text) != text:
            write_text_atomic(log, redact(text))


def _run(
    command: Sequence[str], environment: Mapping[str, str], log: Path, on_line: Callable[[str], None]
) -> None:
    # The process writes the file itself, so that there is no pipe to be drained and no line is lost.
    with log.open("ab") as sink, log.open("rb") as source:
        source.seek(0, os.SEEK_END)
        process = start_child(command, environment=environment, stdout=sink, stderr=subprocess.STDOUT)
        lines: list[str] = []
        try:
            while not wait_for_child(process, _POLL_SECONDS):
                lines += _new_lines(source, on_line)
            lines += _new_lines(source, on_line)
        finally:
            end_child(process)
    if process.returncode != 0:
        raise ChildFailedError(_reason(lines) or f"it ended with exit code {process.returncode}")


def _new_lines(source: BinaryIO, on_line: Callable[[str], None]) -> list[str]:
    text = source.read().decode("utf-8", errors="replace")
    lines = [redact(line.strip()) for line in text.splitlines() if line.strip()]
    for line in lines:
        on_line(line)
    return lines


def _reason(lines: Sequence[str]) -> str:
    """Return the last line that pip calls an error, else the last line: hints and notices follow errors, and
    ResolutionImpossible follows the error that names the packages."""
    errors = [
        line for line in lines if line.lower().startswith("error:") and "ResolutionImpossible" not in line
    ]
    last = (errors or lines or [""])[-1]
    return (last[len("error:") :] if errors else last).strip()[:300]
