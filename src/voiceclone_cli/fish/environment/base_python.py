"""The interpreter that the fish environment is built with."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from voiceclone_cli.errors import PreflightError
from voiceclone_cli.fish.environment.child import child_environment

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
