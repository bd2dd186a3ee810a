"""The worked examples of docs/contributing.md do what the page says, followed word by word in a copy of the tree."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "contributing.md").read_text(encoding="utf-8")
EXAMPLES = re.split(r"^## An example: ", PAGE, flags=re.MULTILINE)[1:]
COPIED = ("src", "worker_env", "tests", "pyproject.toml")


def blocks(kind: str, text: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what the examples change."""
    folder = tmp_path / "tree"
    folder.mkdir()
    for name in COPIED:
        if (ROOT / name).is_dir():
            left_out = shutil.ignore_patterns("__pycache__", ".hypothesis", "corpus")
            shutil.copytree(ROOT / name, folder / name, ignore=left_out)
        else:
            shutil.copy(ROOT / name, folder / name)
    return folder


def run(tree: Path, *command: str) -> str:
    """What a command prints there. Raises AssertionError when it fails."""
    path = os.pathsep.join(str(tree / part) for part in ("src", "worker_env"))
    done = subprocess.run(
        command,
        cwd=tree,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda text: text.splitlines()[0])
def test_an_example_can_be_followed(tree: Path, example: str) -> None:
    written = []
    for content in blocks("python", example):
        path = tree / content.splitlines()[0].removeprefix("# ")
        path.write_text(content.split("\n", 1)[1], encoding="utf-8")
        written.append(str(path))
    for number, change in enumerate(blocks("diff", example)):
        patch = tree / f"{number}.diff"
        patch.write_text(change, encoding="utf-8")
        run(tree, "git", "apply", patch.name)
    for block in blocks("shell", example):
        for line in block.splitlines():
            program, *arguments = shlex.split(line)
            assert program == "python"
            assert " passed" in run(tree, sys.executable, *arguments, "-p", "no:cacheprovider")
    run(tree, sys.executable, "-m", "ruff", "check", "--no-cache", *written)
    run(tree, sys.executable, "-m", "ruff", "format", "--no-cache", "--check", *written)


def test_the_test_that_shall_fail_does(tree: Path) -> None:
    name, value, file = re.search(  # type: ignore[union-attr]
        r"change `(\w+)` in `([^`]+)` to `([^`]+)`", PAGE
    ).group(1, 3, 2)
    path = tree / file
    text, changed = re.subn(
        rf"^{name} = .*", f"{name} = {value}", path.read_text(encoding="utf-8"), flags=re.M
    )
    assert changed == 1
    path.write_text(text, encoding="utf-8")
    with pytest.raises(AssertionError, match=" failed"):
        run(
            tree,
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "tests/unit/test_script_parsers.py",
        )


def test_both_examples_are_there() -> None:
    assert [text.splitlines()[0] for text in EXAMPLES] == ["a script format", "an engine"]
