"""The model against real batches of the echo engine, whose lines wait instead of computing.

What it predicts from is measured first, in other batches: of one file and of several, short ones and a long one,
of another delay than those that are predicted.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.commands import load, run_command
from harness.talks import LINE_SECONDS, make_talk, write_list
from scale.rates import Controller, Cost, Engine, Faults, Rates, Way
from scale.simulation import Simulation
from scale.work import Work

SPEAKERS, DOMINANT = 4, 0.8
SHORT, LONG = 4, 404
"""Lines of the files that rates are measured with."""

MEASURED_DELAY, PREDICTED_DELAY = 0.01, 0.1
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
        rows = [_compared(folder, rates, slots) for slots in (1, 2, 4)]
    return {"rates": _told(rates), "rows": rows, "within": all(abs(row["off"]) <= NEAR for row in rows)}


def _compared(folder: Path, rates: Rates, slots: int) -> dict[str, Any]:
    work = Work(FILES * LINES, LINES, SPEAKERS, DOMINANT, pauses=LINE_SECONDS / 2.7 - 1)
    predicted = Simulation(rates, work, slots).run()
    before = load()
    real = _batch(folder / f"slots{slots}", FILES, LINES, slots, PREDICTED_DELAY)
    return {
        "slots": slots,
        "predicted_seconds": round(predicted.wall, 2),
        "measured_seconds": round(real.wall, 2),
        "off": round(predicted.wall / real.wall - 1, 4),
        "perfect_seconds": round(FILES * LINES * PREDICTED_DELAY / slots, 2),
        "load": [round(before, 1), round(load(), 1)],
    }


def measured_rates(folder: Path) -> Rates:
    """From four batches on one slot: an empty one as good as can be, several files, many lines, small leases."""
    one = _batch(folder / "one", 1, SHORT, 1, MEASURED_DELAY)
    several = _batch(folder / "several", 5, SHORT, 1, MEASURED_DELAY)
    long = _batch(folder / "long", 1, LONG, 1, MEASURED_DELAY)
    leased = _batch(folder / "leased", 1, LONG, 1, MEASURED_DELAY, parallel=True)
    more = LONG - SHORT
    a_file = max(0.0, (several.wall - one.wall) / 4 - SHORT * MEASURED_DELAY)
    a_row = max(0.0, (long.stages["speaking"] - one.stages["speaking"]) / more - MEASURED_DELAY)
    a_lease = max(0.0, (leased.stages["speaking"] - long.stages["speaking"]) / (LONG / 5))
    reading = _slope(one, long, ("media", "preflight", "diarization", "script"))
    casting = _slope(one, long, ("casting",))
    timeline = _slope(one, long, ("timeline",))
    speaking = one.stages["speaking"] - SHORT * (MEASURED_DELAY + a_row)
    command = one.wall - sum(one.stages[stage] for stage in one.stages)
    engine = Engine(0.0, Cost(speaking / 2, 0.0), Cost(PREDICTED_DELAY + a_row, 0.0), 0.0, 0.0, 0.0, 0.0, 0.0)
    way = Way(speaking / 2, a_lease, 0.0, 0.0, 0.0, 0.0)
    fixed = max(0.0, a_file - speaking / 2)
    controller = Controller(
        command / 2,
        Cost(fixed / 2, reading),
        Cost(0.0, 0.0),
        Cost(0.0, casting),
        Cost(fixed / 2, timeline),
        0.0,
        len(os.sched_getaffinity(0)),
    )
    return Rates(engine, way, controller, Faults(0, 0, 1, 0, 0, 0, 1))


def _slope(short: Batch, long: Batch, stages: tuple[str, ...]) -> float:
    """Seconds for each second of a recording."""
    grown = sum(long.stages.get(stage, 0.0) - short.stages.get(stage, 0.0) for stage in stages)
    return max(0.0, grown / ((LONG - SHORT) * LINE_SECONDS))


def _batch(folder: Path, files: int, lines: int, slots: int, delay: float, *, parallel: bool = False) -> Batch:
    """A real batch of the command."""
    folder.mkdir()
    talks = [
        make_talk(folder, f"talk{number}", lines=lines, speakers=SPEAKERS, dominant=DOMINANT)
        for number in range(files)
    ]
    arguments = ["--list", str(write_list(folder / "list.jsonl", talks)), "--engine", "echo", "--no-report"]
    if slots > 1 or parallel:
        arguments += ["--mode", "parallel", "--workers", str(slots)]
    environ = {"VOICECLONE_ECHO": json.dumps({"delay": delay})}
    run = run_command([*arguments, "--out", str(folder / "out")], environ)
    stages: dict[str, float] = {}
    for path in (folder / "out").glob("*/run.json"):
        timing = json.loads(path.read_text(encoding="utf-8"))["timing"]
        for stage, seconds in timing.items():
            if isinstance(seconds, int | float) and stage != "total":
                stages[stage] = stages.get(stage, 0.0) + seconds
    return Batch(run.wall, stages)
