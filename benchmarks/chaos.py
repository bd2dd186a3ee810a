"""Faults at random moments of real runs, each of which has to come to the same bytes in the end.

    python benchmarks/chaos.py --runs 200 --seed 1 [--jobs 3] [--json]
    python benchmarks/chaos.py --seed 1 --only 17        one of these runs again, with all it found
    python benchmarks/chaos.py --short                   every kind of fault once, in twelve runs

Each run speaks generated material with the echo engine, even numbers sequentially, odd ones with two or
three workers. It meets one to three faults: a worker that misbehaves, a signal, a stream or a terminal that
goes away, a disk that is full, a folder that vanishes, files that are damaged between two runs, a second
run. After each the command must have ended by itself with a promised exit code, without a traceback and
without leaving a process; the same command, given again, must succeed and make the bytes of an undisturbed
run. Linux only. Faults that need to mount are left out where that is not allowed.
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
from harness.material import make_material
from harness.plan import Plan
from harness.scene import Scene, Usual, namespace

SHORT_RUNS = 12
MODES = (0, 2, 3)
"""Workers; 0 is the sequential mode."""


def main() -> None:
    asked = _arguments()
    # Started in the background this process ignores Ctrl-C, and all the commands below it would too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    prefix = namespace()
    plans_to_do = _plans(asked, may_mount=prefix is not None)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        bench = Bench(Path(folder), prefix or [], asked.bound)
        bench.measure_undisturbed(asked.jobs)
        reports = bench.disturb(plans_to_do, asked.jobs)
    summary = summarise(reports, asked.seed, bench.modes_differing)
    summary["seconds"] = round(time.monotonic() - started)
    if prefix is None:
        summary["left_out"] = list(plans.NEED_MOUNTS)
    print(json.dumps(summary) if asked.json else table(summary))
    raise SystemExit(1 if is_bad(summary) else 0)


def _arguments() -> argparse.Namespace:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, nargs="*", metavar="N", help="these numbers alone")
    parser.add_argument("--short", action="store_true", help=f"{SHORT_RUNS} runs that hold every kind once")
    parser.add_argument("--jobs", type=int, default=3, help="runs side by side: most of a hang is waiting")
    parser.add_argument("--bound", type=float, default=60.0, help="seconds after which a command is hung")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _plans(asked: argparse.Namespace, *, may_mount: bool) -> list[Plan]:
    kinds = [kind for kind in plans.KINDS if may_mount or kind not in plans.NEED_MOUNTS]
    kinds = random.Random(asked.seed).sample(kinds, len(kinds))
    drawn = (
        plans.deal(asked.seed, SHORT_RUNS, kinds)
        if asked.short
        else [
            plans.draw(asked.seed, number, kinds) for number in range(max(asked.runs, *asked.only or [0]) + 1)
        ]
    )
    if asked.only is not None:
        return [drawn[number] for number in asked.only]
    return drawn if asked.short else drawn[: asked.runs]


class Bench:
    """The material, what an undisturbed run makes of it, and a supervisor for each disturbed one."""

    def __init__(self, folder: Path, prefix: Sequence[str], bound: float) -> None:
        self._folder = folder
        self._prefix = prefix
        self._bound = bound
        self._usual: dict[int, Usual] = {}
        self.modes_differing: list[str] = []
        """Sounds that are not the same in every mode."""
        (folder / "material").mkdir()
        make_material(folder / "material", speakers=3, turns=12, turn_seconds=1.8, lines_a_turn=2)

    def measure_undisturbed(self, jobs: int) -> None:
        """Each mode twice, side by side, so that they take as long as the disturbed ones will."""
        with ThreadPoolExecutor(jobs) as pool:
            for title in ("cold", "usual"):  # the first time files are read from a cold disk
                measured = pool.map(partial(self._undisturbed, title), MODES)
                self._usual = dict(zip(MODES, measured, strict=True))
        first = self._usual[0].sounds
        for usual in self._usual.values():
            names = first.keys() | usual.sounds.keys()
            self.modes_differing += [name for name in names if first.get(name) != usual.sounds.get(name)]

    def disturb(self, todo: Sequence[Plan], jobs: int) -> list[dict[str, Any]]:
        with ThreadPoolExecutor(jobs) as pool:
            return list(pool.map(self._disturbed, todo))

    def _undisturbed(self, title: str, workers: int) -> Usual:
        scene = self._scene(f"{title}-{workers}", workers, Usual(0.0, 0, {}))
        scene.lay_out()
        started = time.monotonic()
        done = subprocess.run(
            scene.command(), env=scene.environment(), cwd=scene.scratch, capture_output=True, text=True
        )
        if done.returncode != 0:
            raise SystemExit(f"an undisturbed run failed with exit code {done.returncode}:\n{done.stderr}")
        size = sum(path.stat().st_size for path in scene.run_dir.rglob("*"))
        return Usual(time.monotonic() - started, size, sounds(scene.run_dir))

    def _disturbed(self, plan: Plan) -> dict[str, Any]:
        scene = self._scene(f"run-{plan.number}", plan.workers, self._usual[plan.workers])
        told = {
            "scratch": str(scene.scratch),
            "material": str(scene.material),
            "usual": asdict(scene.usual),
            "bound": scene.bound,
            "plan": asdict(plan),
        }
        done = subprocess.run(
            [*self._prefix, sys.executable, "-m", "harness.supervisor"],
            cwd=Path(__file__).parent,
            input=json.dumps(told),
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            raise SystemExit(f"the supervisor of run {plan.number} failed:\n{done.stderr}")
        report: dict[str, Any] = json.loads(done.stdout)
        print(_line(plan, report), file=sys.stderr)
        return report

    def _scene(self, name: str, workers: int, usual: Usual) -> Scene:
        return Scene(self._folder / name, self._folder / "material", workers, usual, self._bound)


def _line(plan: Plan, report: Mapping[str, Any]) -> str:
    mode = f"{plan.workers} workers" if plan.workers else "sequential"
    rounds = " / ".join(", ".join(fault.kind for fault in faults) for faults in plan.rounds)
    verdict = "; ".join(_findings(report)) or "ok"
    return f"{plan.number:4d}  {mode:10}  {report['seconds']:5.1f} s  {rounds}  {report['codes']}  {verdict}"


def _findings(report: Mapping[str, Any]) -> list[str]:
    """Everything that should not have been, in words."""
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
    met = collections.Counter(kind for report in reports for kind in report["struck"])
    survived = collections.Counter(
        kind for report in reports if not _findings(report) for kind in report["struck"]
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
        f"{summary['missed']} faults came too late to strike"
    )
    for key in ("segments_lost", "bytes_differing", "orphans", "files_left"):
        lines.append(f"{key.replace('_', ' '):16} {summary[key]}")
    for failure in summary["failures"]:
        lines.append(f"run {failure['number']} (--seed {failure['seed']} --only {failure['number']}):")
        lines += [f"    {sentence}" for sentence in failure["found"]]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
