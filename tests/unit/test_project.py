"""What holds for the tree as a whole."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def pins(path: Path) -> list[str]:
    """The requirements of a pip file, or of the pip part of a conda file."""
    lines = (line.strip().removeprefix("- ") for line in path.read_text(encoding="utf-8").splitlines())
    return sorted(line for line in lines if re.fullmatch(r"[\w.-]+==[\w.+!]+(; .+)?", line))


def test_the_conda_file_of_the_ui_mirrors_the_pinned_requirements_and_installs_the_package() -> None:
    import yaml

    path = ROOT / "environment-ui.yml"
    assert pins(path) == pins(ROOT / "requirements-ui.txt") != []
    (listed,) = (
        entry["pip"]
        for entry in yaml.safe_load(path.read_text(encoding="utf-8"))["dependencies"]
        if isinstance(entry, dict)
    )
    assert listed == [*(pin for pin in listed if "==" in pin), "."]


def test_the_lines_of_the_conda_file_of_fish_work_in_every_shell_and_name_what_is_here() -> None:
    from voiceclone_cli.engines.environment import FISH_TORCH

    text = (ROOT / "environment-fish.yml").read_text(encoding="utf-8")
    lines = re.findall(r"^#   (conda .+)", text, re.MULTILINE)
    # No variable before the command, no quotes that cmd or PowerShell read in another way.
    assert len(lines) == 4 and not [
        line for line in lines[:3] if re.search(r"[$'\"=]+(?<!==)(?=[A-Za-z])", line)
    ]
    assert lines[0].endswith("-f environment-fish.yml") and FISH_TORCH in lines[1]
    assert lines[2].split()[-3:] == ["--no-deps", "-r", "worker_env/requirements-fish.txt"]
    assert (ROOT / "worker_env" / "requirements-fish.txt").is_file()


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


def test_every_direct_dependency_stands_in_the_docs_with_its_version() -> None:
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    page = (ROOT / "docs/dependencies.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([\w.-]+) \| (\d[\w.]*) \|", page, re.M)
    told = {canonicalize_name(name): version for name, version in rows}
    ours, fish = pins(ROOT / "requirements-ui.txt"), pins(ROOT / "worker_env/requirements-fish.txt")
    assert f"is {len(ours)} packages" in page
    pinned = [*ours, *fish]
    versions = {
        (canonicalize_name(name), version)
        for name, version in (pin.partition(";")[0].split("==") for pin in pinned)
    }
    assert set(told.items()) <= versions
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {canonicalize_name(Requirement(each).name) for each in project["dependencies"]} <= told.keys()


def test_the_tables_that_are_shipped_are_named_in_notice() -> None:
    notice = (ROOT / "NOTICE").read_text(encoding="utf-8")
    for path in (ROOT / "worker_env").rglob("*.npz"):
        assert path.name in notice
