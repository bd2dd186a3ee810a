"""How each fault is done to a command that runs. What it does to files between runs is in tampering.py."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from harness.plan import COMMAND, INSIDE, OUTSIDE, SEGMENTS, STREAMS, Fault
from harness.processes import catches, living_children
from harness.scene import Scene
from harness.streams import Command

NOT_YET = None
"""A strike's answer when there is nothing to strike at the moment. True: it struck. False: it cannot any more."""


@dataclass(slots=True)
class Stage:
    """A command that runs, and those that were started beside it."""

    scene: Scene
    command: Command
    rivals: list[Command] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    def has_ended(self) -> bool:
        return all(each.process.poll() is not None for each in (self.command, *self.rivals))

    def is_due(self, fault: Fault) -> bool:
        moment, run_dir = fault.moment, self.scene.run_dir
        if moment.segments:
            return sum(1 for _ in run_dir.glob("segments/*.json")) >= moment.segments
        if moment.stage:
            return (run_dir / "stages" / f"{moment.stage}.json").exists()
        return time.monotonic() - self.started >= moment.share * self.scene.usual.seconds

    def strike(self, fault: Fault) -> bool | None:
        if fault.kind in OUTSIDE:
            return self._signal_a_worker(fault)
        if fault.kind in COMMAND:
            return self._signal_the_command(fault)
        if fault.kind == "terminal gone" and not catches(self.command.process.pid, signal.SIGHUP):
            return NOT_YET  # as below: it would meet Python
        if fault.kind in STREAMS:
            return fault.kind.endswith(" closed") or self.command.lose(fault.kind)
        return _OTHERS[fault.kind](self, fault)

    def _signal_a_worker(self, fault: Fault) -> bool | None:
        children = living_children(self.command.process.pid)
        workers = sorted(child for child in children if _runs_the_worker(child))
        if not workers:
            return NOT_YET
        try:
            os.kill(workers[int(fault.luck * len(workers))], _signal_named(fault.kind))
        except ProcessLookupError:  # it ended while it was being chosen
            return NOT_YET
        return True

    def _signal_the_command(self, fault: Fault) -> bool | None:
        pid, number = self.command.process.pid, _signal_named(fault.kind)
        # Before it has run its first lines a signal meets Python, not the command.
        if number != signal.SIGKILL and not catches(pid, signal.SIGTERM):
            return NOT_YET
        os.kill(pid, number)
        if fault.kind.endswith("twice"):
            time.sleep(0.5 * fault.luck)
            if self.command.process.poll() is None:
                os.kill(pid, number)
        return True

    def _remove(self, fault: Fault) -> bool | None:
        run_dir = self.scene.run_dir
        victim = run_dir / "segments" if fault.kind.startswith("segments/") else run_dir
        if not victim.is_dir():
            return NOT_YET
        if fault.luck < 0.5:
            victim.rename(self.scene.disk / f"gone-{fault.luck}")
        else:
            # As a person would: again, until it is gone, since the run goes on writing meanwhile.
            deadline = time.monotonic() + 5.0
            while victim.exists() and time.monotonic() < deadline:
                shutil.rmtree(victim, ignore_errors=True)
        return True

    def _make_read_only(self, fault: Fault) -> bool | None:
        try:
            self.scene.make_read_only()
        except subprocess.CalledProcessError:  # just then a file was being written
            return NOT_YET
        return True

    def _start_rival(self, fault: Fault) -> bool:
        scene = self.scene
        self.rivals.append(Command(scene.command(), scene.environment(), scene.scratch))
        return True


_OTHERS = {
    "segments/ removed": Stage._remove,
    "run directory removed": Stage._remove,
    "output read-only": Stage._make_read_only,
    "second run at once": Stage._start_rival,
}


def prepare(scene: Scene, fault: Fault, place: int) -> None:
    """What has to be there before the command starts."""
    if fault.kind in INSIDE:
        (scene.faults / f"{_place_in_worker(fault)}.{fault.kind.removeprefix('worker: ')}.{place}").touch()
    elif fault.kind == "disk full":
        scene.shrink_disk(fault.luck)


def _runs_the_worker(pid: int) -> bool:
    """Until it does, it is the command's own second self, and the command waits for it in the kernel."""
    try:
        return b"voiceclone_worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def waits_for_its_moment(kind: str) -> bool:
    """Whether a fault is done to the running command, at its moment."""
    return kind in (*OUTSIDE, *COMMAND, *STREAMS, *_OTHERS)


def _place_in_worker(fault: Fault) -> str:
    number = fault.moment.segments or 1 + int(fault.moment.share * (SEGMENTS - 1))
    return ("load", "encode", "generate", f"generate.{number:04d}")[int(4 * fault.luck)]


def _signal_named(kind: str) -> signal.Signals:
    return signal.Signals[kind.split()[1]]
