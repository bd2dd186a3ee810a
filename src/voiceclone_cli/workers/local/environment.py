"""How a worker is started: which interpreter, which program, which variables."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import util
from pathlib import Path

from voiceclone_cli.machine.child_variables import COMPUTING, COMPUTING_PREFIXES, SYSTEM, passed_on
from voiceclone_cli.machine.telemetry import OFFLINE, SILENCE


@dataclass(frozen=True, slots=True)
class WorkerCommand:
    """All it takes to start a worker."""

    python: str
    program: Path
    environment: Mapping[str, str]

    @property
    def arguments(self) -> list[str]:
        return [self.python, "-X", "utf8", str(self.program), "--serve"]

    def numbered(self, number: int) -> WorkerCommand:
        """The command of one of several workers; an engine that has several devices shares them out by it."""
        return replace(self, environment={**self.environment, "VOICECLONE_WORKER": str(number)})


def worker_command(
    python: str | None, *, threads: int, environ: Mapping[str, str] = os.environ
) -> WorkerCommand:
    """The command of a worker in ``python`` (None: this interpreter) that computes on ``threads`` threads."""
    return WorkerCommand(python or sys.executable, worker_program(), worker_environment(threads, environ))


def worker_program() -> Path:
    """The worker's folder: beside the package in a checkout, inside site-packages when installed."""
    spec = util.find_spec("voiceclone_worker")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("voiceclone is installed without its worker; install it again")
    return Path(next(iter(spec.submodule_search_locations)))


def worker_environment(threads: int, environ: Mapping[str, str]) -> dict[str, str]:
    """All that a worker sees: no token, no PYTHON* that leads to the other environment's site-packages,
    no proxy. It is given every file it needs, so its libraries are told that there is no hub."""
    return passed_on(environ, (*SYSTEM, *COMPUTING), COMPUTING_PREFIXES) | {
        "VOICECLONE_COORDINATED": "1",
        "PYTHONUTF8": "1",
        "PYTHONUNBUFFERED": "1",
        "PYTHONNOUSERSITE": "1",
        "PYTHONDONTWRITEBYTECODE": environ.get("PYTHONDONTWRITEBYTECODE", ""),
        # Threads that spin while they wait cost ten times their work on a busy machine.
        "OMP_WAIT_POLICY": "PASSIVE",
        **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads)),
        **SILENCE,
        **OFFLINE,
    }
