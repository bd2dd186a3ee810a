"""Injection of faults into a running command; ``tampering`` damages files between runs."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from harness.plan import COMMAND, INSIDE, OUTSIDE, SEGMENTS, STREAMS, Fault
from harness.processes import handles_signal, living_children
from harness.sandbox import Sandbox
from harness.streams import Command

NOT_YET = None
"""Result of an injection that is not possible yet. True: injected. False: not possible any more."""


@dataclass(slots=True)
class Injector:
    """A running command, and those that were started at the same time."""

    sandbox: Sandbox
    command: Command
    rivals: list[Command] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    def has_ended(self) -> bool:
        return all(each.process.poll() is not None for each in (self.command, *self.rivals))

    def is_due(self, fault: Fault) -> bool:
        trigger, run_dir = fault.trigger, self.sandbox.run_dir
        if trigger.segments:
            return sum(1 for _ in run_dir.glob("segments/*.json")) >= trigger.segments
        if trigger.stage:
            return (run_dir / "stages" / f"{trigger.stage}.json").exists()
        return time.monotonic() - self.started >= trigger.share * self.sandbox.reference.seconds

    def inject(self, fault: Fault) -> bool | None:
        if fault.kind in OUTSIDE:
            return self._signal_a_worker(fault)
        if fault.kind in COMMAND:
            return self._signal_the_command(fault)
        if fault.kind == "terminal gone" and not handles_signal(self.command.process.pid, signal.SIGHUP):
            return NOT_YET  # as below: it would meet Python
        if fault.kind in STREAMS:
            return fault.kind.endswith(" closed") or self.command.close_reader(fault.kind)
        return _OTHERS[fault.kind](self, fault)

    def _signal_a_worker(self, fault: Fault) -> bool | None:
        children = living_children(self.command.process.pid)
        workers = sorted(child for child in children if _runs_the_worker(child))
        if not workers:
            return NOT_YET
        try:
            os.kill(workers[int(fault.choice * len(workers))], _signal_named(fault.kind))
        except ProcessLookupError:  # it has just ended
            return NOT_YET
        return True

    def _signal_the_command(self, fault: Fault) -> bool | None:
        pid, number = self.command.process.pid, _signal_named(fault.kind)
        # Before its first lines a signal reaches Python, not the command.
        if number != signal.SIGKILL and not handles_signal(pid, signal.SIGTERM):
            return NOT_YET
        os.kill(pid, number)
        if fault.kind.endswith("twice"):
            time.sleep(0.5 * fault.choice)
            if self.command.process.poll() is None:
                os.kill(pid, number)
        return True

    def _remove(self, fault: Fault) -> bool | None:
        run_dir = self.sandbox.run_dir
        victim = run_dir / "segments" if fault.kind.startswith("segments/") else run_dir
        if not victim.is_dir():
            return NOT_YET
        if fault.choice < 0.5:
            victim.rename(self.sandbox.disk / f"removed-{fault.choice}")
        else:
            # Repeatedly, since the run goes on writing.
            deadline = time.monotonic() + 5.0
            while victim.exists() and time.monotonic() < deadline:
                shutil.rmtree(victim, ignore_errors=True)
        return True

    def _make_read_only(self, fault: Fault) -> bool | None:
        try:
            self.sandbox.make_read_only()
        except subprocess.CalledProcessError:  # a file is open for writing
            return NOT_YET
        return True

    def _start_rival(self, fault: Fault) -> bool:
        sandbox = self.sandbox
        self.rivals.append(Command(sandbox.command(), sandbox.environment(), sandbox.scratch))
        return True


_OTHERS = {
    "segments/ removed": Injector._remove,
    "run directory removed": Injector._remove,
    "output read-only": Injector._make_read_only,
    "second run at once": Injector._start_rival,
}


def prepare(sandbox: Sandbox, fault: Fault, place: int) -> None:
    """Prepare the sandbox for a fault before the command starts."""
    if fault.kind in INSIDE:
        (sandbox.faults / f"{_place_in_worker(fault)}.{fault.kind.removeprefix('worker: ')}.{place}").touch()
    elif fault.kind == "disk full":
        sandbox.shrink_disk(fault.choice)


def _runs_the_worker(pid: int) -> bool:
    """Return whether a child has started the worker; before that it is a fork that the command waits for."""
    try:
        return b"voiceclone_worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def is_timed(kind: str) -> bool:
    """Return whether a fault is injected into the running command."""
    return kind in (*OUTSIDE, *COMMAND, *STREAMS, *_OTHERS)


def _place_in_worker(fault: Fault) -> str:
    number = fault.trigger.segments or 1 + int(fault.trigger.share * (SEGMENTS - 1))
    return ("load", "encode", "generate", f"generate.{number:04d}")[int(4 * fault.choice)]


def _signal_named(kind: str) -> signal.Signals:
    return signal.Signals[kind.split()[1]]
