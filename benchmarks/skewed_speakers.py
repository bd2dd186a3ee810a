"""One speaker with most of the lines on several workers: efficiency compared with perfect division.

    python benchmarks/skewed_speakers.py [--slots 4] [--dominant 0.8] [--executor local|ray|both]

The echo engine waits 50 ms for a line instead of computing, so that four slots fit on two cores. Perfect division is
lines times delay over slots; what it is compared with is the wall time of the synthesis, from the first lease to the
last result, with every worker started before.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.commands import load
from voiceclone_cli.config import Settings, resolve
from voiceclone_cli.engines.select import ECHO_VARIABLE, choose_engine
from voiceclone_cli.pipeline.resources import open_worker_launcher
from voiceclone_cli.types import no_progress
from voiceclone_cli.workers.pool import Pool
from voiceclone_cli.workers.protocol import shared_leases, warm_up
from voiceclone_worker.protocol import EngineSpec, ReferenceSpec, SegmentSpec, SynthesisTask


def main() -> None:
    options = _arguments()
    executors = ("local", "ray") if options.executor == "both" else (options.executor,)
    rows = [
        measure(name, options.slots, options.lines, options.dominant, options.delay) for name in executors
    ]
    print(json.dumps(rows) if options.json else "\n".join(table(rows)))


def _arguments() -> argparse.Namespace:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slots", type=int, default=4)
    parser.add_argument("--lines", type=int, default=800)
    parser.add_argument(
        "--dominant", type=float, default=0.8, help="share of the lines of one of five speakers"
    )
    parser.add_argument("--delay", type=float, default=0.05, help="seconds a line")
    parser.add_argument("--executor", default="local", choices=("local", "ray", "both"))
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def measure(executor: str, slots: int, lines: int, dominant: float, delay: float) -> dict[str, Any]:
    settings = resolve({"engine": "echo", "executor": executor, "mode": "parallel", "workers": slots})
    with (
        tempfile.TemporaryDirectory(prefix="skewed-") as folder,
        warm_pool(settings, delay, Path(folder)) as pool,
    ):
        work = skewed_tasks(Path(folder), lines, dominant, echo(delay))
        leases = shared_leases(work, slots, settings.batch_size)
        before, started = load(), time.perf_counter()
        outcome = pool.run(leases)
        wall = time.perf_counter() - started
    done = sum(row.status == "done" for row in outcome.segments.values())
    if done != lines:
        raise SystemExit(
            f"{executor}: {done} of {lines} lines were synthesized: {outcome.errors or outcome.notes}"
        )
    return {
        "executor": executor,
        "slots": slots,
        "lines": lines,
        "lines_of_one_speaker": len(work[0].segments),
        "leases": len(leases),
        "wall_seconds": round(wall, 3),
        "perfect_seconds": round(lines * delay / slots, 3),
        "efficiency": round(lines * delay / slots / wall, 4),
        "load": [round(before, 1), round(load(), 1)],
    }


@contextmanager
def warm_pool(settings: Settings, delay: float, folder: Path) -> Iterator[Pool]:
    """Open a pool whose workers have all started and loaded the engine."""
    os.environ[ECHO_VARIABLE] = json.dumps(echo(delay).options)
    slots = settings.pool_size
    with (
        open_worker_launcher(
            settings,
            choose_engine(settings, no_progress),
            folder,
            log_dir=folder,
            keep_tasks=False,
            progress=no_progress,
        ) as launcher,
        Pool(launcher) as pool,
    ):
        while pool.usage.workers < slots:
            pool.run(warm_up(echo(delay), slots * 2))
            time.sleep(0.2)
        time.sleep(2.0)
        pool.run(warm_up(echo(delay), slots * 4))
        yield pool


def echo(delay: float) -> EngineSpec:
    return EngineSpec("echo", options={"delay": delay})


def skewed_tasks(folder: Path, lines: int, dominant: float, engine: EngineSpec) -> list[SynthesisTask]:
    """Return a task for each of five speakers; the first one has most lines."""
    counts = [round(lines * dominant), *[0] * 4]
    for number in range(lines - counts[0]):
        counts[1 + number % 4] += 1
    (folder / "reference.wav").write_bytes(b"RIFF")
    tasks, first = [], 0
    for speaker, count in enumerate(counts):
        reference = ReferenceSpec(f"S{speaker}", str(folder / "reference.wav"), "", "")
        segments = tuple(
            SegmentSpec(f"{number:06d}", "a line of ordinary length, as people speak", "en", number, 2.0)
            for number in range(first, first + count)
        )
        tasks.append(SynthesisTask(f"S{speaker}", engine, reference, str(folder / "segments"), segments))
        first += count
    return tasks


def table(rows: list[dict[str, Any]]) -> Iterator[str]:
    for row in rows:
        yield (
            f"{row['executor']}: {row['lines']} lines, {row['lines_of_one_speaker']} of one speaker, "
            f"{row['slots']} slots, {row['leases']} leases"
        )
        yield (
            f"  {row['wall_seconds']:.2f} s, perfect division {row['perfect_seconds']:.2f} s: "
            f"efficiency {row['efficiency']:.3f}"
        )
        yield f"  load average: {row['load'][0]} before, {row['load'][1]} after"


if __name__ == "__main__":
    main()
