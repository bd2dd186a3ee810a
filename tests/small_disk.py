"""A disk of a few kilobytes, seen only by the commands that are run on it: a tmpfs in a mount namespace."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from command import Ended, voiceclone

_OWN_USERS = [] if os.name == "posix" and os.geteuid() == 0 else ["--user"]
"""Users other than root mount in a user namespace."""


class SmallDisk:
    """Made by :func:`small_disk`. Commands see it at ``path``; this process sees it at ``seen``."""

    def __init__(self, path: Path, holder: int) -> None:
        self.path = path
        self.seen = Path(f"/proc/{holder}/root{path}")
        kinds = ["--mount", *_OWN_USERS, *(["--preserve-credentials"] if _OWN_USERS else [])]
        self._enter = ["nsenter", "--target", str(holder), *kinds]

    def prefix(self) -> list[str]:
        """Return the arguments before a command that sees the disk."""
        return [*self._enter, f"--wd={Path.cwd()}"]

    def voiceclone(self, *arguments: object, timeout: float = 120) -> Ended:
        return voiceclone(*arguments, timeout=timeout, prefix=self.prefix())

    def resize(self, kilobytes: int) -> None:
        self._remount(f"size={kilobytes}k,rw")

    def make_read_only(self) -> None:
        self._remount("ro")

    def _remount(self, options: str) -> None:
        # With type and source, or mount repeats options of old that a user namespace may not set.
        command = ["mount", "-t", "tmpfs", "-o", f"remount,{options}", "small", str(self.path)]
        subprocess.run([*self._enter, *command], check=True)


@contextmanager
def small_disk(path: Path, kilobytes: int) -> Iterator[SmallDisk]:
    """Mount a disk of this size at ``path`` during the block. Skip the test where the system does not allow it."""
    if not (sys.platform == "linux" and shutil.which("unshare") and shutil.which("nsenter")):
        pytest.skip("a small disk needs Linux with unshare and nsenter")
    path.mkdir(parents=True, exist_ok=True)
    mount = 'mount -t tmpfs -o "size=$1k,mode=755" small "$2" && echo mounted && read -r _'
    names = ["--mount", *(["--map-root-user"] if _OWN_USERS else [])]
    holder = subprocess.Popen(
        ["unshare", *names, "sh", "-c", mount, "sh", str(kilobytes), str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    with holder:
        assert holder.stdin and holder.stdout and holder.stderr
        if holder.stdout.readline() != "mounted\n":
            pytest.skip(f"this system allows no mount of a small disk: {holder.stderr.read().strip()}")
        try:
            yield SmallDisk(path, holder.pid)
        finally:
            holder.stdin.close()
