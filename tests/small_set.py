"""The packages that are left when torch is, and the tests that are left then.

The whole environment is over a gigabyte for each Python and platform. Most of it is torch and what only packages that
need torch need. Windows' Python and the other versions of Python are checked without it: a test that imports a
package which was left out is skipped with its name, and no other test is.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[1]

PINS = ("requirements-ui.txt", "requirements-dev.txt")

LEFT_OUT_VARIABLE = "TESTS_LEFT_OUT"
"""Names the modules that an environment lacks on purpose, with commas between them (see conftest.py)."""

MADE_HERE = {"ruff", "mypy", "hatchling", "editables", "ast-serialize", "librt"}
"""Programs of developers, which check the sources where they are written."""

_MODULES = {
    "pyannote-audio": "pyannote",
    "scikit-learn": "sklearn",
    "asteroid-filterbanks": "asteroid_filterbanks",
}
"""Modules that have another name than their package."""


def pins() -> dict[str, str]:
    """Return the line of each package that the tests need, by its name; no programs of developers."""
    lines = [line.strip() for name in PINS for line in (ROOT / name).read_text(encoding="utf-8").splitlines()]
    found = {_name(line): line for line in lines if line and not line.startswith("#")}
    return {name: line for name, line in found.items() if name not in MADE_HERE}


def left_out() -> list[str]:
    """Return the packages that are needed for torch only, read from what is installed for this Python."""
    needs = {_name(found.name): _needed(found) for found in importlib.metadata.distributions()}

    def with_needs(names: Iterable[str]) -> set[str]:
        seen: set[str] = set()
        todo = [*names]
        while todo:
            if (name := todo.pop()) in needs and name not in seen:
                seen.add(name)
                todo += needs[name]
        return seen

    def is_torch(name: str) -> bool:
        # torchaudio and torchcodec do not say that they need it.
        return name.startswith("torch") or "torch" in with_needs([name])

    developers = (ROOT / "requirements-dev.txt").read_text(encoding="utf-8").splitlines()
    wanted = {*needs["voiceclone-cli"], *(_name(line) for line in developers if "==" in line)}
    kept = with_needs(name for name in wanted if not is_torch(name))
    return sorted(pins().keys() - kept)


def left_out_modules() -> str:
    """Return the value of the variable: the modules of the packages that are left out."""
    return ",".join(_MODULES.get(name, name.replace("-", "_")) for name in left_out())


def lacks(error: BaseException | None) -> str | None:
    """Return the package that was left out, where an import has failed for that; else None."""
    module = (error.name or "") if isinstance(error, ModuleNotFoundError) else ""
    top = module.partition(".")[0]
    return top if top and top in os.environ.get(LEFT_OUT_VARIABLE, "").split(",") else None


def _name(line: str) -> str:
    """Return the normal form of the name that a requirement begins with."""
    found = re.match(r"[A-Za-z0-9._-]+", line)
    assert found is not None, line
    return re.sub(r"[-_.]+", "-", found[0]).lower()


def _needed(found: importlib.metadata.Distribution) -> set[str]:
    from packaging.requirements import Requirement

    needed = map(Requirement, found.requires or [])
    return {_name(one.name) for one in needed if one.marker is None or one.marker.evaluate({"extra": ""})}
