"""Runs of the command: wall time, output, and peak memory of its processes."""

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

SAMPLE_SECONDS = 0.1
KINDS = (("voiceclone_worker", "worker"), ("voiceclone_cli.analysis.worker", "analyzer"))
"""A part of the command line of child processes, and their kind."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One run of the command."""

    wall: float
    """Seconds, from the start of Python to its end."""
    document: dict[str, Any]
    """What ``--json`` printed."""
    peak_mb: dict[str, float]
    """Of the largest process of each kind: command, worker, analyzer."""


def run_command(arguments: Sequence[str], environ: Mapping[str, str] | None = None) -> Measurement:
    """Run `voiceclone run ARGUMENTS --json` quietly. Raises SystemExit when the command fails."""
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
        sampler = threading.Thread(target=_sample_memory, args=(process.pid, peaks, ended))
        sampler.start()
        process.wait()
        wall = time.perf_counter() - started
        ended.set()
        sampler.join()
        out.seek(0)
        errors.seek(0)
        if process.returncode != 0:
            raise SystemExit(
                f"{' '.join(command)} ended with exit code {process.returncode}: {errors.read().decode()[-2000:]}"
            )
        return Measurement(wall, json.load(out), {kind: round(mb) for kind, mb in peaks.items()})


def _sample_memory(pid: int, peaks: dict[str, float], ended: threading.Event) -> None:
    while not ended.wait(SAMPLE_SECONDS):
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
    """Return the load average of the last minute."""
    return os.getloadavg()[0]
