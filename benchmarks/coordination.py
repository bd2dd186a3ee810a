"""Cost of coordination: the echo engine, 6 speakers, 2,000 segments, 4 workers.

The echo engine makes a tone in microseconds, so nearly all of the measured time is that of the pool: leases,
task files, events and results, and the wav that the worker writes; then the same with the note
(fingerprint) that a run writes for each segment.

    python benchmarks/coordination.py [--segments 2000] [--workers 4] [--speakers 6]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from voiceclone_cli.rundir.cache import save_segment_note
from voiceclone_cli.rundir.directory import resume_directory
from voiceclone_cli.workers.pool import Pool
from voiceclone_cli.workers.process import LocalLauncher, worker_command
from voiceclone_cli.workers.protocol import shared_leases
from voiceclone_worker.protocol import EngineSpec, ReferenceSpec, SegmentRow, SegmentSpec, SynthesisTask


def tasks(speakers: int, segments: int, output_dir: Path) -> list[SynthesisTask]:
    made = []
    for number in range(speakers):
        name = f"SPEAKER_{number:02d}"
        segments_of_speaker = tuple(
            SegmentSpec(f"{index:05d}", "a line of ordinary length, as people speak", "en", index, 1.0)
            for index in range(number, segments, speakers)
        )
        made.append(
            SynthesisTask(
                name,
                EngineSpec("echo"),
                ReferenceSpec(name, "", "", ""),
                str(output_dir),
                segments_of_speaker,
            )
        )
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--segments", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--speakers", type=int, default=6)
    options = parser.parse_args()
    print(f"{options.segments} segments, {options.speakers} speakers, {options.workers} workers")
    with tempfile.TemporaryDirectory() as folder:
        run_dir = resume_directory(Path(folder), "benchmark")
        warm = tasks(1, options.workers * 2, Path(folder) / "warm")

        def note(row: SegmentRow) -> None:
            save_segment_note(run_dir, row.id, "print", {"seconds": row.seconds, "sha256": row.sha256})

        with Pool(LocalLauncher(worker_command(None, threads=1), options.workers, run_dir.tasks)) as pool:
            pool.run(shared_leases(warm, options.workers, 1))  # starts the workers and loads their engine
            for title, on_segment in (
                ("the pool alone", lambda row: None),
                ("with each segment's note", note),
            ):
                measure(
                    title,
                    pool,
                    options.workers,
                    tasks(options.speakers, options.segments, run_dir.segments),
                    on_segment,
                )


def measure(
    title: str, pool: Pool, workers: int, work: list[SynthesisTask], on_segment: Callable[[SegmentRow], None]
) -> None:
    segments = sum(len(task.segments) for task in work)
    wall, cpu = time.perf_counter(), time.process_time()
    outcome = pool.run(shared_leases(work, workers, 5), on_segment=on_segment)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    assert sum(row.status == "done" for row in outcome.segments.values()) == segments
    inside = outcome.timing["generate"]
    print(title)
    for name, seconds in (("wall", wall), ("coordinator's CPU", cpu), ("inside the workers, summed", inside)):
        print(f"  {name:<27} {seconds:7.3f} s   {1000 * seconds / segments:6.3f} ms a segment")


if __name__ == "__main__":
    main()
