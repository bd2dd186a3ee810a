"""docs/troubleshooting.md quotes messages: each is one that the command can print."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "troubleshooting.md"
GAP = "…"
"""Stands for what differs from case to case."""


def quoted() -> list[str]:
    """The messages of the page, a line each that begins with >."""
    return re.findall(r"^> (.+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)


def sentences(source: Path) -> Iterator[str]:
    """Every text in a module's code, with a gap for each value that is put into it."""
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.JoinedStr):
            parts = [part.value if isinstance(part, ast.Constant) else GAP for part in node.values]
            yield "".join(str(part) for part in parts)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


@pytest.fixture(scope="module")
def printable() -> set[str]:
    folders = (ROOT / "src" / "voiceclone_cli", ROOT / "worker_env" / "voiceclone_worker")
    return {text for folder in folders for path in folder.rglob("*.py") for text in sentences(path)}


def test_the_page_tells_of_the_usual_troubles() -> None:
    assert len(quoted()) >= 20


@pytest.mark.parametrize("message", quoted())
def test_a_message_is_one_that_the_command_prints(message: str, printable: set[str]) -> None:
    assert len(message.replace(GAP, "").strip()) > 12, "a quotation must be long enough to be found"
    pattern = re.compile(".*".join(re.escape(part) for part in message.split(GAP)), re.DOTALL)
    assert any(pattern.search(text) for text in printable), message
