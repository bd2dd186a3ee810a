"""The `voiceclone` command as a user starts it: a process of its own, its streams and exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.main import get_command

from voiceclone_cli.cli.app import app

ROOT = Path(__file__).parents[1]

TONES = {
    "VOICECLONE_ENGINE": "echo",
    "MIN_SIMILARITY": "-1",
    "MIN_MARGIN": "-2",
    "MAX_WER": "99",
    "MIN_MOS": "1",
}
"""For examples that name no engine, and what of them tones can be asked for: no likeness, no words."""


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        parsed: dict[str, Any] = json.loads(self.out)
        return parsed


def voiceclone(
    *arguments: object,
    cwd: Path | None = None,
    timeout: float = 900,
    prefix: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Ended:
    """Run `voiceclone` with these variables besides; ``prefix`` comes before the command, as `nice` would."""
    command = [*prefix, sys.executable, "-m", "voiceclone_cli", *map(str, arguments)]
    return _ended(command, cwd, timeout, {**os.environ, **(environment or {})})


def benchmark(module: str, *arguments: object, timeout: float = 900) -> Ended:
    """Run `python -m benchmarks.MODULE`, as from the repository's root."""
    command = [sys.executable, "-m", f"benchmarks.{module}", *map(str, arguments)]
    return _ended(command, None, timeout, benchmark_environment())


def benchmark_environment() -> dict[str, str]:
    """Return this process's environment, and in it the folder that holds ``benchmarks``."""
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def _ended(
    command: Sequence[str], cwd: Path | None, timeout: float, environment: Mapping[str, str] | None = None
) -> Ended:
    done = subprocess.run(
        command,
        cwd=cwd,
        capture_output=True,
        encoding="utf-8",
        timeout=timeout,
        stdin=subprocess.DEVNULL,
        env=environment,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def path_with_the_command() -> str:
    """A PATH on which scripts find this `voiceclone`."""
    return str(Path(sys.executable).parent) + os.pathsep + os.environ["PATH"]


def expect_understood(*words: str) -> None:
    """Raises where a verb or an option is unknown or a value cannot be read; nothing is run."""
    command: Any = get_command(app)
    rest = list(words)
    while hasattr(command, "commands"):
        command = command.commands[rest.pop(0)]
    command.make_context(command.name, rest)


@dataclass(frozen=True)
class Run:
    """A finished `voiceclone run --json`."""

    ended: Ended
    folder: Path

    @property
    def segments(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.ended.document["segments"]
        return rows

    def sounds(self) -> dict[str, bytes]:
        """The bytes of every segment."""
        return {path.name: path.read_bytes() for path in (self.folder / "segments").glob("*.wav")}
