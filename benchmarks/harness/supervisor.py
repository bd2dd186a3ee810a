"""One faulty run from its first fault to the check of its result, in a separate process.

    echo JSON | python -m harness.supervisor

The process inherits every orphan of the run and, for some faults, has its own mount namespace.
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
from harness.findings import all_files, differing, leftovers, unaccounted
from harness.injection import Injector, is_timed, prepare
from harness.plan import Fault, Plan, Trigger
from harness.processes import adopt_orphans, end_and_reap, wait_for_descendants
from harness.sandbox import ReferenceRun, Sandbox
from harness.streams import Command
from harness.tampering import tamper

ATTEMPTS = 3
"""Number of runs without faults until the command has to succeed."""

PLANNED = [f"{number:04d}" for number in range(1, plans.SEGMENTS + 1)]


@dataclass(slots=True)
class Report:
    """The result of a plan. Everything but ``injected``, ``missed`` and ``codes`` has to be empty."""

    number: int
    injected: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    """Faults that were not injected: the command had ended, or did not reach the trigger."""
    codes: list[int] = field(default_factory=list)
    """The exit codes, command by command."""
    defects: list[str] = field(default_factory=list)
    """A hang, a traceback, an unexpected exit code, a resume that fails."""
    lost: list[str] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)
    orphans: int = 0
    left: list[str] = field(default_factory=list)
    seconds: float = 0.0


def supervise(sandbox: Sandbox, plan: Plan) -> Report:
    report, started = Report(plan.number), time.monotonic()
    sandbox.create_folders()
    if any(fault.kind == "disk full" for fault in plan.faults):
        sandbox.mount_disk()
    for number, faults in enumerate(plan.rounds):
        code = _round(sandbox, faults, report)
        tampered = _tamper(sandbox, faults, report)
        if code == 0 and not tampered and number + 1 < len(plan.rounds):
            # The run is complete: the next faults get a new one.
            _check_result(sandbox, report)
            sandbox.empty()
    _resume(sandbox, report)
    _check_result(sandbox, report)
    report.seconds = round(time.monotonic() - started, 1)
    return report


def _resume(sandbox: Sandbox, report: Report) -> None:
    codes = []
    for _ in range(ATTEMPTS):
        codes.append(_round(sandbox, (), report))
        if codes[-1] == 0:
            return
    report.defects.append(f"does not succeed any more: exit codes {codes}")


def _round(sandbox: Sandbox, faults: Sequence[Fault], report: Report) -> int:
    """Run the command once with the planned faults, and return its exit code."""
    for place, fault in enumerate(faults):
        prepare(sandbox, fault, place)
    lost = next((fault.kind for fault in faults if fault.kind in plans.STREAMS), "")
    command = Command(
        sandbox.command(on_terminal=lost.startswith("terminal")), sandbox.environment(), sandbox.scratch, lost
    )
    injector = Injector(sandbox, command)
    injected = _run_to_end(injector, [fault for fault in faults if is_timed(fault.kind)])
    if injector.has_ended():
        report.orphans += len(wait_for_descendants(2.0))
    for running in (command, *injector.rivals):
        running.close()
        _check_exit(running, [fault.kind for fault in faults], sandbox.bound, report)
    _end_all(injector)
    code = command.process.returncode
    injected += _injected_by_worker(sandbox, faults, code)
    _repair(sandbox, faults, injected)
    report.injected += [fault.kind for fault in injected]
    report.missed += [
        fault.kind for fault in faults if fault not in injected and fault.kind not in plans.TAMPERING
    ]
    report.lost += unaccounted(sandbox.run_dir, PLANNED)
    return code


def _run_to_end(injector: Injector, waiting: list[Fault]) -> list[Fault]:
    """Inject each fault at its trigger, until every command has ended or the bound has passed."""
    injected = []
    deadline = injector.started + injector.sandbox.bound
    while time.monotonic() < deadline:
        for running in (injector.command, *injector.rivals):
            running.read_streams()
        if injector.has_ended():
            break
        runs = injector.command.process.poll() is None
        for fault in [fault for fault in waiting if runs and injector.is_due(fault)]:
            result = injector.inject(fault)
            if result is not None:
                waiting.remove(fault)
            if result:
                injected.append(fault)
        time.sleep(0.01)
    return injected


def _injected_by_worker(sandbox: Sandbox, faults: Sequence[Fault], code: int) -> list[Fault]:
    """Return the prepared faults that have occurred."""
    met = []
    for place, fault in enumerate(faults):
        if fault.kind in plans.INSIDE:
            (file,) = (*sandbox.faults.glob(f"*.{place}"), None)[:1]
            if file is None:
                met.append(fault)
            else:
                file.unlink()
        elif fault.kind == "disk full" and code != 0:
            met.append(fault)
    return met


def _repair(sandbox: Sandbox, faults: Sequence[Fault], injected: Sequence[Fault]) -> None:
    for fault in faults:
        if fault.kind == "disk full":
            sandbox.enlarge_disk()
        elif fault.kind == "output read-only" and fault in injected:
            sandbox.make_writable()


def _tamper(sandbox: Sandbox, faults: Sequence[Fault], report: Report) -> bool:
    tampered = False
    for fault in faults:
        if fault.kind in plans.TAMPERING:
            done = tamper(fault.kind, sandbox.run_dir, fault.choice)
            (report.injected if done else report.missed).append(fault.kind)
            tampered = tampered or done
    return tampered


def _check_exit(command: Command, kinds: Sequence[str], bound: float, report: Report) -> None:
    code = command.process.poll()
    if code is None:
        report.defects.append(f"hung: not ended after {bound:.0f} s; {_last_output(command)}")
        return
    report.codes.append(code)
    if b"Traceback" in command.stderr_bytes:
        report.defects.append(f"traceback ({', '.join(kinds)}): {_last_output(command)}")
    if code not in _allowed_codes(kinds):
        report.defects.append(f"exit code {code} ({', '.join(kinds)}): {_last_output(command)}")
    if 0 < code < 128 and command.is_complete and not _reason(command):
        report.defects.append(f"exit code {code} ({', '.join(kinds)}) without a reason on stdout")


def _reason(command: Command) -> str:
    """Return the first reason in the document of a failed run; empty without one."""
    try:
        errors = json.loads(command.stdout_bytes)["errors"]
        return str(errors[0]["code"] and errors[0]["message"])
    except (ValueError, LookupError, TypeError):
        return ""


def _allowed_codes(kinds: Sequence[str]) -> set[int]:
    """Return the exit codes that a command may have with these faults."""
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
    # Either one may be the second.
    "second run at once": {4},
}


def _check_result(sandbox: Sandbox, report: Report) -> None:
    report.differing += differing(sandbox.reference.sounds, sandbox.run_dir)
    report.left += leftovers(sandbox.run_dir) + all_files(sandbox.tmp)


def _end_all(injector: Injector) -> None:
    """End the processes that still run, after they were counted."""
    for running in (injector.command, *injector.rivals):
        if running.process.poll() is None:
            running.process.kill()
        running.process.wait()
    end_and_reap(wait_for_descendants(0.0))


def _last_output(command: Command) -> str:
    lines = re.sub(
        r"\x1b\[[0-9;?]*[A-Za-z]", "", command.stderr_bytes.decode("utf-8", errors="replace")
    ).splitlines()
    return " | ".join(line.strip() for line in lines if line.strip())[-600:]


def main() -> None:
    request: dict[str, Any] = json.load(sys.stdin)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    adopt_orphans()
    sandbox = Sandbox(
        Path(request["scratch"]),
        Path(request["fixtures"]),
        request["plan"]["workers"],
        ReferenceRun(**request["reference"]),
        request["bound"],
    )
    try:
        print(json.dumps(asdict(supervise(sandbox, _plan(request["plan"])))))
    finally:
        end_and_reap(wait_for_descendants(0.0))


def _plan(request: dict[str, Any]) -> Plan:
    rounds = tuple(
        tuple(Fault(one["kind"], Trigger(**one["trigger"]), one["choice"]) for one in faults)
        for faults in request["rounds"]
    )
    return Plan(request["number"], request["workers"], rounds)


if __name__ == "__main__":
    main()
