"""Faults at random times of real runs, which all have to end with the same bytes.

    python benchmarks/chaos.py --runs 200 --seed 1 [--jobs 3] [--json]
    python benchmarks/chaos.py --seed 1 --only 17        repeat one of these runs, with all findings
    python benchmarks/chaos.py --short                   every kind of fault once, in twelve runs

Each run synthesizes a generated conversation with the echo engine, even numbers sequentially, odd ones with two or
three workers. It gets one to three faults: a faulty worker, a signal, a closed stream or terminal, a full disk, a
removed folder, files that are damaged between two runs, a second run. After each the command must have ended by
itself with an expected exit code, without a traceback and without leaving a process; the same command must then
succeed with the bytes of a run without faults. Linux only. Faults that mount are skipped where that is not allowed.
"""

from __future__ import annotations

import argparse
import collections
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from harness import plan as plans
from harness.findings import sounds
from harness.fixtures import make_fixture
from harness.plan import Plan
from harness.sandbox import ReferenceRun, Sandbox, namespace

SHORT_RUNS = 12
MODES = (0, 2, 3)
"""Workers; 0 is the sequential mode."""


def main() -> None:
    options = _arguments()
    # Started in the background, this process and its children would ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    prefix = namespace()
    plans_to_do = _plans(options, may_mount=prefix is not None)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        bench = Bench(Path(folder), prefix or [], options.bound)
        bench.measure_references(options.jobs)
        reports = bench.run_all(plans_to_do, options.jobs)
    summary = summarise(reports, options.seed, bench.modes_differing)
    summary["seconds"] = round(time.monotonic() - started)
    if prefix is None:
        summary["skipped"] = list(plans.NEED_MOUNTS)
    print(json.dumps(summary) if options.json else table(summary))
    raise SystemExit(1 if is_bad(summary) else 0)


def _arguments() -> argparse.Namespace:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, nargs="*", metavar="N", help="run only these numbers")
    parser.add_argument(
        "--short", action="store_true", help=f"{SHORT_RUNS} runs with every kind of fault once"
    )
    parser.add_argument("--jobs", type=int, default=3, help="number of runs at a time")
    parser.add_argument("--bound", type=float, default=60.0, help="seconds after which a command is hung")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _plans(options: argparse.Namespace, *, may_mount: bool) -> list[Plan]:
    kinds = [kind for kind in plans.KINDS if may_mount or kind not in plans.NEED_MOUNTS]
    kinds = random.Random(options.seed).sample(kinds, len(kinds))
    drawn = (
        plans.deal(options.seed, SHORT_RUNS, kinds)
        if options.short
        else [
            plans.draw(options.seed, number, kinds)
            for number in range(max(options.runs, *options.only or [0]) + 1)
        ]
    )
    if options.only is not None:
        return [drawn[number] for number in options.only]
    return drawn if options.short else drawn[: options.runs]


class Bench:
    """The generated conversation, its reference runs, and a supervisor for each faulty run."""

    def __init__(self, folder: Path, prefix: Sequence[str], bound: float) -> None:
        self._folder = folder
        self._prefix = prefix
        self._bound = bound
        self._references: dict[int, ReferenceRun] = {}
        self.modes_differing: list[str] = []
        """Sounds that differ between modes."""
        (folder / "fixtures").mkdir()
        make_fixture(folder / "fixtures", speakers=3, turns=12, turn_seconds=1.8, lines_a_turn=2)

    def measure_references(self, jobs: int) -> None:
        """Run each mode twice, with the same number of jobs as the faulty runs."""
        with ThreadPoolExecutor(jobs) as pool:
            for title in ("cold", "usual"):  # the first time files are read from a cold disk
                measured = pool.map(partial(self._run_reference, title), MODES)
                self._references = dict(zip(MODES, measured, strict=True))
        first = self._references[0].sounds
        for reference in self._references.values():
            names = first.keys() | reference.sounds.keys()
            self.modes_differing += [name for name in names if first.get(name) != reference.sounds.get(name)]

    def run_all(self, todo: Sequence[Plan], jobs: int) -> list[dict[str, Any]]:
        with ThreadPoolExecutor(jobs) as pool:
            return list(pool.map(self._run_with_faults, todo))

    def _run_reference(self, title: str, workers: int) -> ReferenceRun:
        sandbox = self._sandbox(f"{title}-{workers}", workers, ReferenceRun(0.0, 0, {}))
        sandbox.create_folders()
        started = time.monotonic()
        done = subprocess.run(
            sandbox.command(), env=sandbox.environment(), cwd=sandbox.scratch, capture_output=True, text=True
        )
        if done.returncode != 0:
            raise SystemExit(f"a run without faults failed with exit code {done.returncode}:\n{done.stderr}")
        size = sum(path.stat().st_size for path in sandbox.run_dir.rglob("*"))
        return ReferenceRun(time.monotonic() - started, size, sounds(sandbox.run_dir))

    def _run_with_faults(self, plan: Plan) -> dict[str, Any]:
        sandbox = self._sandbox(f"run-{plan.number}", plan.workers, self._references[plan.workers])
        request = {
            "scratch": str(sandbox.scratch),
            "fixtures": str(sandbox.fixtures),
            "reference": asdict(sandbox.reference),
            "bound": sandbox.bound,
            "plan": asdict(plan),
        }
        done = subprocess.run(
            [*self._prefix, sys.executable, "-m", "harness.supervisor"],
            cwd=Path(__file__).parent,
            input=json.dumps(request),
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            raise SystemExit(f"the supervisor of run {plan.number} failed:\n{done.stderr}")
        report: dict[str, Any] = json.loads(done.stdout)
        print(_line(plan, report), file=sys.stderr)
        return report

    def _sandbox(self, name: str, workers: int, reference: ReferenceRun) -> Sandbox:
        return Sandbox(self._folder / name, self._folder / "fixtures", workers, reference, self._bound)


def _line(plan: Plan, report: Mapping[str, Any]) -> str:
    mode = f"{plan.workers} workers" if plan.workers else "sequential"
    rounds = " / ".join(", ".join(fault.kind for fault in faults) for faults in plan.rounds)
    verdict = "; ".join(_findings(report)) or "ok"
    return f"{plan.number:4d}  {mode:10}  {report['seconds']:5.1f} s  {rounds}  {report['codes']}  {verdict}"


def _findings(report: Mapping[str, Any]) -> list[str]:
    """Return all violations in words."""
    found = list(report["defects"])
    for key, words in (("lost", "segments lost"), ("differing", "differing"), ("left", "left")):
        if report[key]:
            found.append(f"{words}: {', '.join(report[key][:6])}")
    if report["orphans"]:
        found.append(f"orphans: {report['orphans']}")
    return found


def summarise(
    reports: Sequence[Mapping[str, Any]], seed: int, modes_differing: Sequence[str]
) -> dict[str, Any]:
    met = collections.Counter(kind for report in reports for kind in report["injected"])
    survived = collections.Counter(
        kind for report in reports if not _findings(report) for kind in report["injected"]
    )
    return {
        "runs": len(reports),
        "seed": seed,
        "commands": sum(len(report["codes"]) for report in reports),
        "faults": met.total(),
        "survived": survived.total(),
        "missed": sum(len(report["missed"]) for report in reports),
        "segments_lost": sum(len(report["lost"]) for report in reports),
        "bytes_differing": sum(len(report["differing"]) for report in reports) + len(modes_differing),
        "orphans": sum(report["orphans"] for report in reports),
        "files_left": sum(len(report["left"]) for report in reports),
        "by_kind": {
            kind: {"faults": met[kind], "survived": survived[kind]} for kind in plans.KINDS if met[kind]
        },
        "failures": [
            {"seed": seed, "number": report["number"], "found": _findings(report)}
            for report in reports
            if _findings(report)
        ],
    }


def is_bad(summary: Mapping[str, Any]) -> bool:
    zeros = ("segments_lost", "bytes_differing", "orphans", "files_left")
    return bool(summary["failures"]) or any(summary[key] for key in zeros)


def table(summary: Mapping[str, Any]) -> str:
    lines = [f"{'fault':32} {'met':>5} {'survived':>9}"]
    for kind, row in summary["by_kind"].items():
        lines.append(f"{kind:32} {row['faults']:5d} {row['survived']:9d}")
    lines.append(f"{'all':32} {summary['faults']:5d} {summary['survived']:9d}")
    lines.append("")
    lines.append(
        f"{summary['runs']} runs, {summary['commands']} commands, {summary['seconds']} s; "
        f"{summary['missed']} faults were too late to be injected"
    )
    for key in ("segments_lost", "bytes_differing", "orphans", "files_left"):
        lines.append(f"{key.replace('_', ' '):16} {summary[key]}")
    for failure in summary["failures"]:
        lines.append(f"run {failure['number']} (--seed {failure['seed']} --only {failure['number']}):")
        lines += [f"    {sentence}" for sentence in failure["found"]]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
