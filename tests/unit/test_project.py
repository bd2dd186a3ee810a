"""What holds for the tree as a whole."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def pins(path: Path) -> list[str]:
    """The requirements of a pip file, or of the pip part of a conda file."""
    lines = (line.strip().removeprefix("- ") for line in path.read_text(encoding="utf-8").splitlines())
    return sorted(line for line in lines if re.fullmatch(r"[\w.-]+==\S+", line))


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@pytest.mark.parametrize(
    "conda, pip",
    [
        ("environment-ui.yml", "requirements-ui.txt"),
        ("environment-fish.yml", "worker_env/requirements-fish.txt"),
    ],
)
def test_conda_files_mirror_the_pinned_requirements(conda: str, pip: str) -> None:
    assert pins(ROOT / conda) == pins(ROOT / pip) != []


@pytest.mark.parametrize(
    "name",
    [
        "requirements-ui.txt",
        "requirements-ray.txt",
        "requirements-dev.txt",
        "worker_env/requirements-fish.txt",
    ],
)
def test_every_requirement_is_pinned_exactly(name: str) -> None:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    assert len(pins(ROOT / name)) == sum(bool(line) and not line.startswith("#") for line in lines)


def test_the_project_asks_for_what_is_pinned() -> None:
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pinned = {
        canonicalize_name(p.split("==")[0]): p.split("==")[1] for p in pins(ROOT / "requirements-ui.txt")
    }
    for requirement in map(Requirement, project["dependencies"]):
        assert requirement.specifier.contains(pinned[canonicalize_name(requirement.name)]), requirement


def test_the_worker_imports_nothing_of_the_ui_package() -> None:
    for path in (ROOT / "worker_env").rglob("*.py"):
        assert not [name for name in imports(path) if name.split(".")[0] == "voiceclone_cli"], path


SHARED = {f"voiceclone_worker.{name}" for name in ("contract", "telemetry", "lifeline", "channel", "atomic")}
"""Standard library only: what is said, and how a child of either environment behaves."""


def test_the_ui_package_imports_nothing_of_the_worker_but_what_is_made_to_be_shared() -> None:
    for path in (ROOT / "src").rglob("*.py"):
        reached = {name for name in imports(path) if name.split(".")[0] == "voiceclone_worker"}
        assert reached <= SHARED, path


def test_the_library_does_not_import_the_command() -> None:
    for path in (ROOT / "src" / "voiceclone_cli").rglob("*.py"):
        if (
            "cli" not in path.relative_to(ROOT / "src" / "voiceclone_cli").parts[:1]
            and path.name != "__main__.py"
        ):
            assert not [name for name in imports(path) if name.startswith("voiceclone_cli.cli")], path


def test_what_is_shared_needs_only_the_standard_library() -> None:
    import sys

    worker = ROOT / "worker_env" / "voiceclone_worker"
    for path in [worker / "telemetry.py", *(worker / "contract").rglob("*.py")]:
        for name in imports(path):
            own = (name + ".").startswith("voiceclone_worker.contract.")
            assert own or name.split(".")[0] in sys.stdlib_module_names, path


def test_the_tables_that_are_shipped_are_named_in_notice() -> None:
    notice = (ROOT / "NOTICE").read_text(encoding="utf-8")
    for path in (ROOT / "worker_env").rglob("*.npz"):
        assert path.name in notice
