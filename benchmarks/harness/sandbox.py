"""The sandbox of one faulty run: folders, disk, command and environment."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ECHO_FAULTS = Path(__file__).parents[2] / "tests" / "echo_faults.py"
"""Module that the echo engine imports to cause faults in its worker."""

ROOM = 1 << 30
"""Bytes of a disk that is not full."""


@dataclass(frozen=True, slots=True)
class ReferenceRun:
    """Time, size and sounds of a run without faults in the same mode."""

    seconds: float
    size: int
    """Of the whole run directory, in bytes."""
    sounds: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Sandbox:
    """Folders and parameters of one run."""

    scratch: Path
    fixtures: Path
    """The folder of harness.fixtures' files."""
    workers: int
    reference: ReferenceRun
    bound: float
    """Seconds after which a command that has not ended is hung."""

    @property
    def disk(self) -> Path:
        return self.scratch / "disk"

    @property
    def run_dir(self) -> Path:
        return self.disk / "run"

    @property
    def faults(self) -> Path:
        return self.scratch / "faults"

    @property
    def tmp(self) -> Path:
        return self.scratch / "tmp"

    def create_folders(self) -> None:
        for folder in (self.disk, self.faults, self.tmp):
            folder.mkdir(parents=True)

    def command(self, *, on_terminal: bool = False) -> list[str]:
        """Return the command, which is the same in every round."""
        return [
            *(sys.executable, "-m", "voiceclone_cli", "run", str(self.fixtures / "input.wav")),
            *("--turns", str(self.fixtures / "turns.rttm"), "--script", str(self.fixtures / "script.json")),
            *("--engine", "echo", "--language", "en", "--out", str(self.run_dir)),
            *(("--mode", "parallel", "--workers", str(self.workers)) if self.workers else ()),
            *(() if on_terminal else ("--json", "--progress", "plain")),
        ]

    def environment(self) -> dict[str, str]:
        kept = ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH", "PYTHONPATH")
        return {key: os.environ[key] for key in kept if key in os.environ} | {
            "TMPDIR": str(self.tmp),
            "TERM": "xterm",
            "VOICECLONE_ECHO": json.dumps(
                {"delay": 0.02, "import": str(ECHO_FAULTS), "faults_dir": str(self.faults)}
            ),
            # A hang is noticed in seconds rather than minutes.
            "VOICECLONE_TIMEOUT_SCALE": "0.01",
            "VOICECLONE_THREADS": "2",
        }

    # ----------------------------------------------------------------------- the disk

    def mount_disk(self) -> None:
        """Mount a separate file system, for runs with a full disk. Requires a mount namespace."""
        mount("-t", "tmpfs", "-o", f"size={ROOM}", "none", str(self.disk))

    def shrink_disk(self, choice: float) -> None:
        """Leave space for a part of what a run writes; at least 4 KiB, since a tmpfs counts in pages."""
        taken = shutil.disk_usage(self.disk).used
        left = max(0, self.reference.size - taken)
        mount("-o", f"remount,size={taken + max(4096, int(choice * left))}", str(self.disk))

    def enlarge_disk(self) -> None:
        mount("-o", f"remount,size={ROOM}", str(self.disk))

    def make_read_only(self) -> None:
        """Mount the disk again, read-only: a mount with files open for writing cannot be made read-only.

        Raises CalledProcessError, and leaves all as it was, when a file was opened through it already.
        """
        mount("--bind", str(self.disk), str(self.disk))
        try:
            mount("-o", "remount,bind,ro", str(self.disk))
        except subprocess.CalledProcessError:
            self.make_writable()
            raise

    def make_writable(self) -> None:
        subprocess.run(["umount", "-l", str(self.disk)], check=True)

    def empty(self) -> None:
        shutil.rmtree(self.run_dir)


def mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, capture_output=True)


def namespace() -> list[str] | None:
    """Return the prefix of a command that allows mounting; None where the system refuses it."""
    for prefix in (["unshare", "--mount"], ["unshare", "--map-root-user", "--mount"]):
        tried = [*prefix, "mount", "-t", "tmpfs", "none", "/mnt"]
        try:
            if subprocess.run(tried, capture_output=True).returncode == 0:
                return prefix
        except OSError:
            return None
    return None
