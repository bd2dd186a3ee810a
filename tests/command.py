"""The `voiceclone` command as a user starts it: a process of its own, its streams and exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any


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


def voiceclone(*arguments: object, cwd: Path | None = None, timeout: float = 900) -> Ended:
    done = subprocess.run(
        [sys.executable, "-m", "voiceclone_cli", *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        encoding="utf-8",
        timeout=timeout,
        stdin=subprocess.DEVNULL,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


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
