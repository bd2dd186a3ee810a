"""One disturbed run from its first fault to its last byte, in a process of its own.

    echo JSON | python -m harness.supervisor

Its process inherits every orphan of the run and, for some faults, has a mount namespace of its own.
"""

from __future__ import annotations

import json
import re
import resource
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from harness import plan as plans
from harness.findings import differing, everything, leftovers, unaccounted
from harness.plan import Fault, Moment, Plan
from harness.processes import adopt_orphans, all_gone_within, end_and_reap
from harness.scene import Scene, Usual
from harness.streams import Command
from harness.strikes import Stage, prepare, waits_for_its_moment
from harness.tampering import tamper

ATTEMPTS = 3
"""How often the same command may be given, undisturbed, until it succeeds."""

PLANNED = [f"{number:04d}" for number in range(1, plans.SEGMENTS + 1)]


@dataclass(slots=True)
class Report:
    """What became of a plan. Everything but ``struck``, ``missed`` and ``codes`` has to be empty."""

    number: int
    struck: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    """Faults that found nothing to strike: the command had ended, or had not come there."""
    codes: list[int] = field(default_factory=list)
    """The exit codes, command by command."""
    defects: list[str] = field(default_factory=list)
    """A hang, a traceback, an exit code that nobody promised, a resume that does not succeed."""
    lost: list[str] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)
    orphans: int = 0
    left: list[str] = field(default_factory=list)
    seconds: float = 0.0


def supervise(scene: Scene, plan: Plan) -> Report:
    report, started = Report(plan.number), time.monotonic()
    scene.lay_out()
    if any(fault.kind == "disk full" for fault in plan.faults):
        scene.own_disk()
    for number, faults in enumerate(plan.rounds):
        code = _round(scene, faults, report)
        tampered = _tamper(scene, faults, report)
        if code == 0 and not tampered and number + 1 < len(plan.rounds):
            # Nothing is left to do: the next faults meet a run that begins anew.
            _check_result(scene, report)
            scene.empty()
    _resume(scene, report)
    _check_result(scene, report)
    report.seconds = round(time.monotonic() - started, 1)
    return report


def _resume(scene: Scene, report: Report) -> None:
    codes = []
    for _ in range(ATTEMPTS):
        codes.append(_round(scene, (), report))
        if codes[-1] == 0:
            return
    report.defects.append(f"does not succeed again: exit codes {codes}")


def _round(scene: Scene, faults: Sequence[Fault], report: Report) -> int:
    """Give the command once, and do to it what is planned. Returns its exit code."""
    for place, fault in enumerate(faults):
        prepare(scene, fault, place)
    lost = next((fault.kind for fault in faults if fault.kind in plans.STREAMS), "")
    command = Command(
        scene.command(on_terminal=lost.startswith("terminal")), scene.environment(), scene.scratch, lost
    )
    stage = Stage(scene, command)
    struck = _watch(stage, [fault for fault in faults if waits_for_its_moment(fault.kind)])
    if stage.has_ended():
        report.orphans += len(all_gone_within(2.0))
    for running in (command, *stage.rivals):
        running.hang_up()
        _judge(running, [fault.kind for fault in faults], scene.bound, report)
    _end_all(stage)
    code = command.process.returncode
    struck += _struck_inside(scene, faults, code)
    _repair(scene, faults, struck)
    report.struck += [fault.kind for fault in struck]
    report.missed += [
        fault.kind for fault in faults if fault not in struck and fault.kind not in plans.TAMPERING
    ]
    report.lost += unaccounted(scene.run_dir, PLANNED)
    return code


def _watch(stage: Stage, waiting: list[Fault]) -> list[Fault]:
    """Strike each fault at its moment, until every command has ended or the bound has passed."""
    struck = []
    deadline = stage.started + stage.scene.bound
    while time.monotonic() < deadline:
        for running in (stage.command, *stage.rivals):
            running.listen()
        if stage.has_ended():
            break
        runs = stage.command.process.poll() is None
        for fault in [fault for fault in waiting if runs and stage.is_due(fault)]:
            answer = stage.strike(fault)
            if answer is not None:
                waiting.remove(fault)
            if answer:
                struck.append(fault)
        time.sleep(0.01)
    return struck


def _struck_inside(scene: Scene, faults: Sequence[Fault], code: int) -> list[Fault]:
    """The faults that were laid out for the command to meet, and that it has met."""
    met = []
    for place, fault in enumerate(faults):
        if fault.kind in plans.INSIDE:
            (file,) = (*scene.faults.glob(f"*.{place}"), None)[:1]
            if file is None:
                met.append(fault)
            else:
                file.unlink()
        elif fault.kind == "disk full" and code != 0:
            met.append(fault)
    return met


def _repair(scene: Scene, faults: Sequence[Fault], struck: Sequence[Fault]) -> None:
    for fault in faults:
        if fault.kind == "disk full":
            scene.enlarge_disk()
        elif fault.kind == "output read-only" and fault in struck:
            scene.make_writable()


def _tamper(scene: Scene, faults: Sequence[Fault], report: Report) -> bool:
    tampered = False
    for fault in faults:
        if fault.kind in plans.TAMPERING:
            done = tamper(fault.kind, scene.run_dir, fault.luck)
            (report.struck if done else report.missed).append(fault.kind)
            tampered = tampered or done
    return tampered


def _judge(command: Command, kinds: Sequence[str], bound: float, report: Report) -> None:
    code = command.process.poll()
    if code is None:
        report.defects.append(f"hung: not ended after {bound:.0f} s; {_last_words(command)}")
        return
    report.codes.append(code)
    if b"Traceback" in command.said:
        report.defects.append(f"traceback ({', '.join(kinds)}): {_last_words(command)}")
    if code not in _promised(kinds):
        report.defects.append(f"exit code {code} ({', '.join(kinds)}): {_last_words(command)}")
    if 0 < code < 128 and command.tells_all and not _reason(command):
        report.defects.append(f"exit code {code} ({', '.join(kinds)}) without a reason on stdout")


def _reason(command: Command) -> str:
    """The first reason in the document of a run that did not succeed; empty where it has none."""
    try:
        errors = json.loads(command.printed)["errors"]
        return str(errors[0]["code"] and errors[0]["message"])
    except (ValueError, LookupError, TypeError):
        return ""


def _promised(kinds: Sequence[str]) -> set[int]:
    """The exit codes that a command which meets these may end with."""
    codes = {0}
    for kind in kinds:
        codes |= _CODES.get(kind) or ({0, 1, 3, 4} if kind.startswith("worker") else set())
        if kind in plans.STORAGE:
            codes |= {1, 3, 4}
    return codes


_CODES = {
    "command: SIGINT": {130},
    "command: SIGINT twice": {130, -signal.SIGINT},
    "command: SIGTERM": {143},
    "command: SIGHUP": {129},
    "command: SIGKILL": {-signal.SIGKILL},
    "stdout closed": {1},
    "stdout's reader gone": {1},
    "terminal gone": {1, 129},
    "terminal gone under nohup": {1},
    # Either of the two may come second.
    "second run at once": {4},
}


def _check_result(scene: Scene, report: Report) -> None:
    report.differing += differing(scene.usual.sounds, scene.run_dir)
    report.left += leftovers(scene.run_dir) + everything(scene.tmp)


def _end_all(stage: Stage) -> None:
    """What still runs has been counted; nothing of it may disturb what follows."""
    for running in (stage.command, *stage.rivals):
        if running.process.poll() is None:
            running.process.kill()
        running.process.wait()
    end_and_reap(all_gone_within(0.0))


def _last_words(command: Command) -> str:
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", command.said.decode("utf-8", errors="replace")).splitlines()
    return " | ".join(line.strip() for line in lines if line.strip())[-600:]


def main() -> None:
    told: dict[str, Any] = json.load(sys.stdin)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    adopt_orphans()
    scene = Scene(
        Path(told["scratch"]),
        Path(told["material"]),
        told["plan"]["workers"],
        Usual(**told["usual"]),
        told["bound"],
    )
    try:
        print(json.dumps(asdict(supervise(scene, _plan(told["plan"])))))
    finally:
        end_and_reap(all_gone_within(0.0))


def _plan(told: dict[str, Any]) -> Plan:
    rounds = tuple(
        tuple(Fault(one["kind"], Moment(**one["moment"]), one["luck"]) for one in faults)
        for faults in told["rounds"]
    )
    return Plan(told["number"], told["workers"], rounds)


if __name__ == "__main__":
    main()
