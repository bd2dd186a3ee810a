"""A coordinator that is killed leaves no worker behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from echo_pool import EchoPool
from processes import gone

COORDINATOR = """
import json, sys
from pathlib import Path
from voiceclone_cli.workers.pool import Pool
from voiceclone_cli.workers.process import LocalLauncher, worker_command
from voiceclone_cli.workers.protocol import one_lease
from voiceclone_worker.protocol import read_task

python, task, folder = sys.argv[1:]
def report(worker, event):
    print(json.dumps(event), flush=True)
with Pool(LocalLauncher(worker_command(python or None, threads=1), 1, Path(folder)), on_event=report) as pool:
    pool.run(one_lease([read_task(task)]))
"""


class Orphanage:
    """A coordinator in a process of its own, to be killed, and the worker it leaves."""

    def __init__(self, echo_pool: EchoPool, python: str = "") -> None:
        from voiceclone_worker.protocol import task_to_json

        path = echo_pool.folder / "task.json"
        path.write_text(task_to_json(echo_pool.task), encoding="utf-8")
        self._coordinator = subprocess.Popen(
            [sys.executable, "-c", COORDINATOR, python, str(path), str(echo_pool.tasks)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )
        assert self._coordinator.stdout is not None
        self.events: Iterator[dict[str, Any]] = map(json.loads, self._coordinator.stdout)
        self.worker = int(next(self.events)["pid"])

    def wait_for(self, *, fault: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 20
        while not fault():
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def stop_coordinator(self) -> None:
        self._coordinator.send_signal(signal.SIGSTOP)

    def worker_ends_with_the_coordinator(self) -> bool:
        """Kill the coordinator; whether within two seconds the worker is gone (if not, it is killed too)."""
        self._coordinator.kill()
        self._coordinator.wait()
        assert self._coordinator.stdout is not None
        self._coordinator.stdout.close()
        if not (ended := gone([self.worker], 2.0)):
            psutil.Process(self.worker).kill()
        return ended


@pytest.fixture
def echo_pool(tmp_path: Path) -> EchoPool:
    """On Windows too: what waits there needs no signal."""
    return EchoPool(tmp_path / "echo_pool")


STOPPING = pytest.mark.skipif(os.name == "nt", reason="no process can be stopped there")


@pytest.mark.parametrize(
    "moment",
    [
        *("load.stall", "generate.0002.stall"),
        *(pytest.param(moment, marks=STOPPING) for moment in ("generate.0002.hang", "load.hang")),
    ],
)
def test_a_killed_coordinator_leaves_no_worker_for_two_seconds(echo_pool: EchoPool, moment: str) -> None:
    echo_pool.order(moment)
    family = Orphanage(echo_pool)
    family.wait_for(fault=lambda: not list(echo_pool.faults.iterdir()))
    assert family.worker_ends_with_the_coordinator()


def test_a_worker_that_computes_ends_with_a_killed_coordinator(echo_pool: EchoPool) -> None:
    echo_pool.order(*(f"generate.{number:04d}.slow.{copy}" for number in range(6) for copy in range(2)))
    family = Orphanage(echo_pool)
    family.wait_for(fault=lambda: len(list(echo_pool.faults.iterdir())) < 12)
    assert family.worker_ends_with_the_coordinator()
    # What it had in hand is finished by no one.
    assert len(list((echo_pool.folder / "out").glob("*.wav"))) < 6


@STOPPING
def test_a_worker_that_is_held_up_by_a_full_pipe_ends_too(echo_pool: EchoPool) -> None:
    echo_pool.order("generate.0001.slow", "generate.0002.longline")
    family = Orphanage(echo_pool)
    while {"event": "segment_started", "id": "0001"}.items() - next(family.events).items():
        pass
    family.stop_coordinator()  # it reads no more: what the worker says fills the pipe
    family.wait_for(fault=lambda: not list(echo_pool.faults.iterdir()))
    assert family.worker_ends_with_the_coordinator()


@pytest.mark.skipif(os.name == "nt", reason="a script of the shell")
def test_a_script_as_interpreter_keeps_its_worker_as_long_as_the_coordinator_lives(
    echo_pool: EchoPool,
) -> None:
    """The worker's parent is the script then, which lives on when the coordinator is killed."""
    script = echo_pool.folder / "python"
    script.write_text(f'#!/bin/sh\n{sys.executable} "$@"\nexit $?\n')
    script.chmod(0o755)
    echo_pool.order("generate.0002.slow.1", "generate.0002.slow.2", "generate.0003.stall")
    family = Orphanage(echo_pool, str(script))
    done = 0
    while done < 3:  # 0000, 0001, and 0002 after two seconds of the parent's death watch
        done += next(family.events)["event"] == "segment_done"
    family.wait_for(fault=lambda: not list(echo_pool.faults.iterdir()))
    assert family.worker_ends_with_the_coordinator()
