"""Three hours, twelve speakers, 5,000 segments through the whole run; 50,000 segments through the pool.

    python benchmarks/size.py [--hours 3] [--speakers 12] [--lines 5000] [--segments 50000] [--json]

The echo engine makes tones in no time, so what is measured is everything around an engine: reading, references,
leases, results, notes, mixing, the manifest. Memory is that of the processes themselves (Linux). The run takes
about 5 GB under TMPDIR, the pool 1 GB in 50,000 files: a slow disk shows, TMPDIR=/dev/shm leaves it out.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from coordination import tasks
from harness.fixtures import make_fixture
from harness.processes import living_children, memory_mb
from voiceclone_cli.workers.pool import Pool
from voiceclone_cli.workers.process import LocalLauncher, worker_command
from voiceclone_cli.workers.protocol import large_leases, shared_leases
from voiceclone_worker.protocol import SegmentRow

LINES_A_TURN = 2


def main() -> None:
    options = _arguments()
    with tempfile.TemporaryDirectory(prefix="size-") as folder:
        summary = {
            "run": measure_run(Path(folder), options.hours, options.speakers, options.lines)
            if options.lines
            else None,
            "pool": [
                asdict(measure_pool(options.segments, workers)) for workers in (1, 2) if options.segments
            ],
        }
    print(json.dumps(summary) if options.json else "\n".join(table(summary)))


def _arguments() -> argparse.Namespace:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=float, default=3.0)
    parser.add_argument("--speakers", type=int, default=12)
    parser.add_argument("--lines", type=int, default=5000, help="of the run; 0: no run")
    parser.add_argument("--segments", type=int, default=50_000, help="for the pool; 0: no pool")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


# --------------------------------------------------------------------------- the run


def measure_run(folder: Path, hours: float, speakers: int, lines: int) -> dict[str, Any]:
    """`voiceclone run` on a generated conversation: seconds and peak memory by stage, of the command and its worker."""
    turns = lines // LINES_A_TURN
    fixtures = make_fixture(
        folder,
        speakers=speakers,
        turns=turns,
        turn_seconds=round(hours * 3600 / turns, 3),
        lines_a_turn=LINES_A_TURN,
    )
    command = [
        *(sys.executable, "-m", "voiceclone_cli", "run", str(fixtures.wav), "--turns", str(fixtures.turns)),
        *("--script", str(fixtures.script), "--engine", "echo", "--language", "en"),
        *("--out", str(folder / "run"), "--json", "--progress", "none", "--quiet"),
    ]
    with (folder / "document.json").open("wb") as out:
        started = time.monotonic()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out)
        own, worker = _peaks(process)
    if process.returncode != 0:
        raise SystemExit(f"the run ended with exit code {process.returncode}")
    document = json.loads((folder / "document.json").read_text(encoding="utf-8"))
    return {
        "hours": hours,
        "speakers": speakers,
        "segments": len(document["segments"]),
        "done": sum(row["status"] == "done" for row in document["segments"]),
        "wall_seconds": round(time.monotonic() - started, 1),
        "seconds": document["timing"],
        "peak_memory_mb": document["peak_memory_mb"],
        "command_peak_mb": round(own),
        "worker_peak_mb": round(worker),
    }


def _peaks(process: subprocess.Popen[bytes]) -> tuple[float, float]:
    """The largest resident memory of a command and of any of its children, as /proc tells while they run."""
    own = worker = 0.0
    while process.poll() is None:
        own = max(own, memory_mb(process.pid, "VmHWM"))
        worker = max([worker, *(memory_mb(child, "VmHWM") for child in living_children(process.pid))])
        time.sleep(0.2)
    return own, worker


# --------------------------------------------------------------------------- the pool


@dataclass(frozen=True, slots=True)
class PoolMeasurement:
    """Cost of segments in a pool. Memory in MB after a fifth of them, and at the end."""

    workers: int
    segments: int
    ms_a_segment: float
    """Wall time, the writing of the wavs too: a slow disk shows here."""
    cpu_ms_a_segment: float
    """Of the coordinator alone."""
    coordinator_mb: tuple[float, float]
    worker_mb: tuple[float, float]
    """Of the largest worker."""


def measure_pool(segments: int, workers: int) -> PoolMeasurement:
    with tempfile.TemporaryDirectory(prefix="size-") as folder:
        return _measure_pool(Path(folder), segments, workers)


def _measure_pool(folder: Path, segments: int, workers: int) -> PoolMeasurement:
    work = tasks(6, segments, folder / "segments")
    seen: list[tuple[float, float]] = []
    counted = itertools.count(1)

    def sample(row: SegmentRow) -> None:
        if next(counted) in (segments // 5, segments):
            largest = max(memory_mb(child) for child in living_children(os.getpid()))
            seen.append((memory_mb(), largest))

    with Pool(LocalLauncher(worker_command(None, threads=1), workers, folder)) as pool:
        pool.run(shared_leases(tasks(1, workers * 2, folder / "warm"), workers, 1))
        wall, cpu = time.perf_counter(), time.process_time()
        leases = large_leases(work) if workers == 1 else shared_leases(work, workers, 5)
        outcome = pool.run(leases, on_segment=sample)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    assert sum(row.status == "done" for row in outcome.segments.values()) == segments
    (early, early_worker), (late, late_worker) = seen
    return PoolMeasurement(
        workers,
        segments,
        round(1000 * wall / segments, 3),
        round(1000 * cpu / segments, 3),
        (round(early, 1), round(late, 1)),
        (round(early_worker, 1), round(late_worker, 1)),
    )


# --------------------------------------------------------------------------- what is printed


def table(summary: dict[str, Any]) -> Iterator[str]:
    if run := summary["run"]:
        yield f"{run['hours']:g} h, {run['speakers']} speakers, {run['done']} of {run['segments']} segments done"
        yield f"  {'stage':12} {'seconds':>9} {'peak MB of the command by its end':>34}"
        for stage, seconds in run["seconds"].items():
            if stage != "workers":
                yield f"  {stage:12} {seconds:9.1f} {run['peak_memory_mb'].get(stage, ''):>34}"
        yield f"  wall {run['wall_seconds']} s, peak: command {run['command_peak_mb']} MB, worker {run['worker_peak_mb']} MB"
    for measured in summary["pool"]:
        early, late = measured["coordinator_mb"]
        early_worker, late_worker = measured["worker_mb"]
        fifth, total = measured["segments"] // 5, measured["segments"]
        yield (
            f"{total} segments, {measured['workers']} workers: {measured['ms_a_segment']} ms a segment, "
            f"of the coordinator's CPU {measured['cpu_ms_a_segment']} ms"
        )
        yield f"  memory at {fifth} and {total}: pool {early} and {late} MB, worker {early_worker} and {late_worker} MB"


if __name__ == "__main__":
    main()
