"""Cost of the scheduler for a lease and for a line: local workers and Ray, the echo engine without a delay.

    python benchmarks/ray_overhead.py [--slots 2] [--executor local|ray|both] [--ray-address HOST:PORT]

The same lines are leased one at a time and five at a time; two times make two unknowns: seconds for a lease and for a
line. Wall time is what a worker waits; the CPU time of this process with all its threads limits the number of workers
that it can serve. Without --ray-address a local Ray cluster is started, so the network is not included.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.commands import load
from skewed_speakers import echo, skewed_tasks, warm_pool
from voiceclone_cli.config import resolve
from voiceclone_cli.workers.pool import Pool
from voiceclone_cli.workers.protocol import shared_leases

LARGE = 5


def main() -> None:
    options = _arguments()
    executors = ("local", "ray") if options.executor == "both" else (options.executor,)
    rows = [
        measure(executor, slots, options.lines, options.ray_address)
        for executor in executors
        for slots in sorted({1, options.slots})
    ]
    print(json.dumps(rows) if options.json else "\n".join(table(rows)))


def _arguments() -> argparse.Namespace:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--lines", type=int, default=1000)
    parser.add_argument("--executor", default="both", choices=("local", "ray", "both"))
    parser.add_argument("--ray-address")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def measure(executor: str, slots: int, lines: int, address: str | None) -> dict[str, Any]:
    flags = {"engine": "echo", "executor": executor, "mode": "parallel", "workers": slots}
    settings = resolve(flags | ({"ray_address": address} if address else {}))
    with tempfile.TemporaryDirectory(prefix="overhead-") as name:
        folder = Path(name)
        started = time.perf_counter()
        with warm_pool(settings, 0.0, folder) as pool:
            ready = time.perf_counter() - started
            before = load()
            small = _through(pool, folder / "small", lines, slots, 1)
            large = _through(pool, folder / "large", lines, slots, LARGE)
    wall, cpu = ((one - five) / (lines - lines / LARGE) for one, five in zip(small, large, strict=True))
    return {
        "executor": executor,
        "slots": slots,
        "lines": lines,
        "ready_seconds": round(ready, 2),
        "wall_of_one": round(small[0], 3),
        "wall_of_five": round(large[0], 3),
        "ms_a_lease": round(1000 * wall, 3),
        "ms_a_line": round(1000 * (small[0] / lines - wall), 3),
        "cpu_ms_a_lease": round(1000 * cpu, 3),
        "cpu_ms_a_line": round(1000 * (small[1] / lines - cpu), 3),
        "load": [round(before, 1), round(load(), 1)],
    }


def _through(pool: Pool, folder: Path, lines: int, slots: int, batch: int) -> tuple[float, float]:
    """Return wall time and CPU time of this process for all lines, leased ``batch`` at a time."""
    folder.mkdir()
    leases = shared_leases(skewed_tasks(folder, lines, 0.2, echo(0.0)), slots, batch)
    started, cpu = time.perf_counter(), time.process_time()
    outcome = pool.run(leases)
    wall, cpu = time.perf_counter() - started, time.process_time() - cpu
    if sum(row.status == "done" for row in outcome.segments.values()) != lines:
        raise SystemExit(f"not all lines were synthesized: {outcome.errors or outcome.notes}")
    return wall, cpu


def table(rows: list[dict[str, Any]]) -> Iterator[str]:
    yield (
        f"{'':9} {'':5} {'one line':>10} {'five':>10} {'wall ms':>8} {'':>8} {'CPU ms':>8}\n"
        f"{'executor':9} {'slots':>5} {'a lease':>10} {'a lease':>10} {'a lease':>8} {'a line':>8} "
        f"{'a lease':>8} {'a line':>8}   load"
    )
    for row in rows:
        yield (
            f"{row['executor']:9} {row['slots']:5d} {row['wall_of_one']:8.2f} s {row['wall_of_five']:8.2f} s "
            f"{row['ms_a_lease']:8.2f} {row['ms_a_line']:8.2f} {row['cpu_ms_a_lease']:8.2f} "
            f"{row['cpu_ms_a_line']:8.2f}   {row['load'][0]} to {row['load'][1]}"
        )


if __name__ == "__main__":
    main()
