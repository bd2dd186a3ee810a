"""The command as a user gives it: how long it takes, what it prints, how much memory its processes hold."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.processes import living_descendants, memory_mb

LOOK_SECONDS = 0.1
KINDS = (("voiceclone_worker", "worker"), ("listening.child", "listener"))
"""What a child's command line holds, and what it is."""


@dataclass(frozen=True, slots=True)
class Measured:
    wall: float
    """Seconds, from the start of Python to its end."""
    document: dict[str, Any]
    """What ``--json`` printed."""
    peak_mb: dict[str, float]
    """Of the largest process of each kind: command, worker, listener."""


def run_command(arguments: Sequence[str], environ: Mapping[str, str] | None = None) -> Measured:
    """`voiceclone run ARGUMENTS --json`, quietly. Ends this program when the command does not succeed."""
    command = [
        *(sys.executable, "-m", "voiceclone_cli", "run", *arguments),
        *("--json", "--progress", "none", "--quiet"),
    ]
    peaks: dict[str, float] = {}
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        started = time.perf_counter()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=errors,
            env={**os.environ, **(environ or {})},
        )
        ended = threading.Event()
        looking = threading.Thread(target=_look_on, args=(process.pid, peaks, ended))
        looking.start()
        process.wait()
        wall = time.perf_counter() - started
        ended.set()
        looking.join()
        out.seek(0)
        errors.seek(0)
        if process.returncode != 0:
            raise SystemExit(
                f"{' '.join(command)} ended with exit code {process.returncode}: {errors.read().decode()[-2000:]}"
            )
        return Measured(wall, json.load(out), {kind: round(mb) for kind, mb in peaks.items()})


def _look_on(pid: int, peaks: dict[str, float], ended: threading.Event) -> None:
    while not ended.wait(LOOK_SECONDS):
        for process in [pid, *living_descendants(pid)]:
            kind = "command" if process == pid else _kind(process)
            if kind is not None:
                peaks[kind] = max(peaks.get(kind, 0.0), memory_mb(process, "VmHWM"))


def _kind(pid: int) -> str | None:
    try:
        line = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return None
    return next((kind for mark, kind in KINDS if mark in line), None)


def load() -> float:
    """Processes that wanted a core, over the last minute."""
    return os.getloadavg()[0]
