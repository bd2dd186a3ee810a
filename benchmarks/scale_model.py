"""How a batch grows with workers: an event simulation from measured rates.

    python benchmarks/scale_model.py --engine kokoro --executor ray --segments 1000000 --workers 1,10,100,1000
    python benchmarks/scale_model.py --check        against real batches on this machine, at 1, 2 and 4 workers

Rates stand in scale/rates.json; --rates FILE lays yours over them, --set engines.kokoro.row.each=0.05 a single one.
docs/scale.md tells what is modelled, and what is not.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from scale import checking
from scale.outcome import Outcome
from scale.rates import rates_of, read_tables
from scale.simulation import Simulation
from scale.work import Work


def main() -> None:
    options = _arguments()
    if options.check:
        summary = checking.check()
        print(json.dumps(summary) if options.json else "\n".join(checking.table(summary)))
        raise SystemExit(0 if summary["within"] else 1)
    rates = rates_of(read_tables(options.rates, options.set), options.engine, options.executor)
    outcomes = [
        Simulation(
            rates,
            Work(segments, min(segments, options.segments_a_file), options.speakers, options.dominant),
            workers,
            batch_size=options.batch_size,
            seed=options.seed,
        ).run()
        for segments in options.segments
        for workers in options.workers
    ]
    if options.json:
        print(
            json.dumps(
                {"engine": options.engine, "executor": options.executor, "outcomes": _documents(outcomes)}
            )
        )
    else:
        print("\n".join(table(outcomes)))


def _arguments() -> argparse.Namespace:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engine", default="kokoro", help="echo, kokoro, fish, or one of your rates")
    parser.add_argument("--executor", default="ray", choices=("local", "ray"))
    parser.add_argument("--workers", type=_numbers, default=[1, 10, 100, 1000], metavar="N,N")
    parser.add_argument("--segments", type=_numbers, default=[100_000], metavar="N,N")
    parser.add_argument("--segments-a-file", type=int, default=1000, help="about an hour of talk")
    parser.add_argument("--speakers", type=int, default=4, help="of a file")
    parser.add_argument("--dominant", type=float, default=0.4, help="share of one speaker's lines")
    parser.add_argument("--batch-size", type=int, default=5)
    parser.add_argument("--rates", type=Path, help="JSON of the form of scale/rates.json")
    parser.add_argument("--set", action="append", default=[], metavar="NAME.NAME=NUMBER")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _numbers(text: str) -> list[int]:
    numbers = [int(float(part)) for part in text.split(",")]
    if min(numbers) < 1:
        raise ValueError("must be whole numbers from 1")
    return numbers


def _documents(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    return [outcome.document() for outcome in outcomes]


def table(outcomes: Sequence[Outcome]) -> Iterator[str]:
    yield (
        f"{'segments':>9} {'workers':>5} {'wall':>10} {'perfect':>10} {'efficiency':>10}   {'limit':10}"
        f"{'speaking':>9} {'starved':>8} {'tail':>7} {'loop':>7} {'network':>8} {'tail, worker s':>13}"
    )
    for outcome in outcomes:
        total = outcome.workers * outcome.wall
        seconds = outcome.seconds
        yield (
            f"{outcome.segments:9d} {outcome.workers:5d} {_duration(outcome.wall):>10} {_duration(outcome.perfect):>10} "
            f"{outcome.efficiency:10.3f}   {outcome.limit:10}{seconds.speaking / total:9.1%} "
            f"{seconds.starved / total:8.1%} {seconds.tail / total:7.1%} {outcome.busy['loop']:7.1%} "
            f"{outcome.busy['network']:8.1%} {seconds.tail:13.0f}"
        )


def _duration(seconds: float) -> str:
    if seconds < 600:
        return f"{seconds:.1f} s"
    return f"{seconds / 3600:.2f} h" if seconds < 360_000 else f"{seconds / 86400:.1f} d"


if __name__ == "__main__":
    main()
