"""Comparison of the model with real batches of the echo engine, whose lines wait instead of computing.

Its rates are measured first, in other batches: of one file and of several, short ones and a long one, with another
delay than the predicted ones.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.commands import load, run_command
from harness.talks import LINE_SECONDS, make_talk, write_list
from scale.rates import Coordinator, Cost, Engine, Faults, Rates, Transport
from scale.simulation import Simulation
from scale.work import Work

SPEAKERS, DOMINANT = 4, 0.8
SHORT, LONG = 4, 404
"""Lines of the files that rates are measured with."""

MEASURED_DELAY, PREDICTED_DELAY = 0.01, 0.1
READING, CASTING = ("media", "preflight", "diarization", "script"), ("casting",)
"""Stages as run.json names them."""

FILES, LINES = 6, 60
"""Of the batches that are predicted."""

NEAR = 0.15
"""How far a prediction may be off."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A real one that has ended."""

    wall: float
    stages: dict[str, float]
    """Seconds in each stage, summed over the files."""


def check() -> dict[str, Any]:
    """Measure, predict, run, compare."""
    with tempfile.TemporaryDirectory(prefix="scale-") as name:
        folder = Path(name)
        rates = measured_rates(folder)
        rows = [_compared(folder, rates, workers) for workers in (1, 2, 4)]
    return {"rates": asdict(rates), "rows": rows, "within": all(abs(row["off"]) <= NEAR for row in rows)}


def _compared(folder: Path, rates: Rates, workers: int) -> dict[str, Any]:
    work = Work(FILES * LINES, LINES, SPEAKERS, DOMINANT, pauses=LINE_SECONDS / 2.7 - 1)
    predicted = Simulation(rates, work, workers).run()
    before = load()
    real = _batch(folder / f"workers{workers}", FILES, LINES, workers, PREDICTED_DELAY)
    return {
        "workers": workers,
        "predicted_seconds": round(predicted.wall, 2),
        "measured_seconds": round(real.wall, 2),
        "off": round(predicted.wall / real.wall - 1, 4),
        "perfect_seconds": round(FILES * LINES * PREDICTED_DELAY / workers, 2),
        "load": [round(before, 1), round(load(), 1)],
    }


def measured_rates(folder: Path) -> Rates:
    """From four batches on one worker: one of next to nothing, several such files, many lines, and the same in small
    leases."""
    one = _batch(folder / "one", 1, SHORT, 1, MEASURED_DELAY)
    several = _batch(folder / "several", 5, SHORT, 1, MEASURED_DELAY)
    long = _batch(folder / "long", 1, LONG, 1, MEASURED_DELAY)
    leased = _batch(folder / "leased", 1, LONG, 1, MEASURED_DELAY, parallel=True)
    a_row = max(0.0, (long.stages["speaking"] - one.stages["speaking"]) / (LONG - SHORT) - MEASURED_DELAY)
    a_lease = max(0.0, (leased.stages["speaking"] - long.stages["speaking"]) / (LONG / 5))
    a_file = max(0.0, (several.wall - one.wall) / 4 - SHORT * (MEASURED_DELAY + a_row))
    a_worker = max(0.0, one.stages["speaking"] - SHORT * (MEASURED_DELAY + a_row))
    reading, casting, timeline = (_slope(one, long, stages) for stages in (READING, CASTING, ("timeline",)))
    nothing = Cost(0.0, 0.0)
    return Rates(
        Engine(0.0, nothing, Cost(PREDICTED_DELAY + a_row, 0.0), 0.0, 0.0, 0.0, 0.0, 0.0),
        Transport(a_worker, 0.0, a_lease, 0.0, 0.0, 0.0),
        Coordinator(
            command=max(0.0, one.wall - one.stages["speaking"] - a_file) / 2,
            reading=Cost(a_file / 2, reading),
            listening=nothing,
            casting=Cost(0.0, casting),
            timeline=Cost(a_file / 2, timeline),
            marking_model=0.0,
            threads=1,
        ),
        Faults(0, 0, 1, 0, 0, 0, 1),
    )


def _slope(short: Batch, long: Batch, stages: tuple[str, ...]) -> float:
    """Seconds for each second of a recording."""
    grown = sum(long.stages[stage] - short.stages[stage] for stage in stages)
    return max(0.0, grown / ((LONG - SHORT) * LINE_SECONDS))


def _batch(
    folder: Path, files: int, lines: int, workers: int, delay: float, *, parallel: bool = False
) -> Batch:
    """A real batch of the command."""
    folder.mkdir()
    talks = [
        make_talk(folder, f"talk{number}", lines=lines, speakers=SPEAKERS, dominant=DOMINANT)
        for number in range(files)
    ]
    arguments = ["--list", str(write_list(folder / "list.jsonl", talks)), "--engine", "echo", "--no-report"]
    if workers > 1 or parallel:
        arguments += ["--mode", "parallel", "--workers", str(workers)]
    environ = {"VOICECLONE_ECHO": json.dumps({"delay": delay})}
    run = run_command([*arguments, "--out", str(folder / "out")], environ)
    stages: dict[str, float] = {}
    for path in (folder / "out").glob("*/run.json"):
        timing = json.loads(path.read_text(encoding="utf-8"))["timing"]
        for stage, seconds in timing.items():
            if isinstance(seconds, int | float) and stage != "total":
                stages[stage] = stages.get(stage, 0.0) + seconds
    return Batch(run.wall, stages)


def table(summary: dict[str, Any]) -> Iterator[str]:
    yield f"{FILES} files of {LINES} lines of {PREDICTED_DELAY} s, {DOMINANT:.0%} of them of one speaker"
    yield f"{'workers':>5} {'predicted':>11} {'measured':>10} {'off':>8} {'perfect':>9}   load"
    for row in summary["rows"]:
        before, after = row["load"]
        yield (
            f"{row['workers']:5d} {row['predicted_seconds']:9.2f} s {row['measured_seconds']:8.2f} s "
            f"{row['off']:+8.1%} {row['perfect_seconds']:7.2f} s   {before} to {after}"
        )
    yield f"all within {NEAR:.0%}" if summary["within"] else f"not all within {NEAR:.0%}"
