"""Generator of docs/cli.md from the help of every command. `make docs` runs it, and a test compares the result."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from typer.main import get_command

from voiceclone_cli.cli.app import app
from voiceclone_cli.files import write_text_atomic

TARGET = Path(__file__).parents[1] / "cli.md"
WIDTH = 78
"""Columns of the help, independent of the terminal."""

HEAD = """# Every command and option

Generated from `--help` by `make docs`. For an introduction see [usage.md](usage.md).
"""


def reference() -> str:
    """Return the whole page."""
    root = get_command(app)
    pages = [f"## {name}\n\n```text\n{text}\n```\n" for name, text in _helps(_context(root, "voiceclone"))]
    return "\n".join([HEAD, *pages])


def _helps(context: typer.Context) -> Iterator[tuple[str, str]]:
    """Yield a command's name and help, then those of its subcommands."""
    command = context.command
    text = "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
    yield context.command_path, text
    for name, below in getattr(command, "commands", {}).items():
        yield from _helps(_context(below, name, context))


def _context(command: Any, name: str, parent: typer.Context | None = None) -> typer.Context:
    settings = {"terminal_width": WIDTH, **command.context_settings}
    return typer.Context(command, parent=parent, info_name=name, **settings)


if __name__ == "__main__":
    write_text_atomic(TARGET, reference())
