from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

from scale.outcome import Outcome
from scale.rates import Cost, Rates, rates_of, read_tables
from scale.servers import Server, Servers
from scale.simulation import Simulation
from scale.work import Work


def ideal(executor: str = "local", **faults: Any) -> Rates:
    """A second a line, and nothing else takes any time."""
    rates = rates_of(read_tables(), "echo", executor)
    none = Cost(0.0, 0.0)
    return Rates(
        replace(rates.engine, load=0.0, encode=none, row=Cost(1.0, 0.0), lease=0.0, spread=0.0, marking=0.0),
        replace(rates.transport, start=0.0, trip=0.0, hand_out=0.0, hear=0.0, store=0.0),
        replace(
            rates.coordinator,
            command=0.0,
            reading=none,
            listening=none,
            casting=none,
            timeline=none,
        ),
        replace(rates.faults, **faults),
    )


def simulate(rates: Rates, workers: int, lines: int = 1000, files: int = 5, **more: Any) -> Outcome:
    return Simulation(rates, Work(lines, lines // files, **more), workers).run()


def test_work_without_overhead_is_divided_perfectly() -> None:
    for workers in (1, 4, 10):
        outcome = simulate(ideal(), workers)
        assert outcome.segments == 1000
        assert outcome.wall == pytest.approx(1000 / workers, rel=0.01)
        assert outcome.limit == "workers"


def test_dominant_speaker_does_not_delay_the_rest() -> None:
    assert simulate(ideal(), 10, dominant=0.95).efficiency > 0.97


def test_every_second_of_every_worker_is_accounted_for() -> None:
    rates = rates_of(read_tables(), "kokoro", "ray")
    for workers in (1, 7, 300):
        outcome = simulate(rates, workers, 5000)
        assert outcome.seconds.total == pytest.approx(workers * outcome.wall)


def test_slow_loop_is_the_limit() -> None:
    rates = ideal()
    slow = replace(rates, transport=replace(rates.transport, hear=0.05))
    outcome = simulate(slow, 100, 10_000)
    assert outcome.limit == "loop"
    assert outcome.wall == pytest.approx(10_000 * 0.05, rel=0.05)


def test_slow_network_is_the_limit() -> None:
    rates = ideal("ray")
    bytes_a_line = 45 * 0.06 * rates.engine.speech_bytes
    slow = replace(rates, transport=replace(rates.transport, bytes_a_second=bytes_a_line * 20))
    outcome = simulate(slow, 100, 10_000)
    assert outcome.limit == "network"
    assert outcome.wall == pytest.approx(10_000 / 20, rel=0.05)


def test_slow_analysis_is_the_limit_with_many_workers() -> None:
    rates = ideal()
    slow = replace(rates, coordinator=replace(rates.coordinator, listening=Cost(100.0, 0.0)))
    outcome = simulate(slow, 10)
    assert outcome.limit in ("start", "listening")
    assert outcome.wall > 500


def test_no_line_is_lost_with_failures() -> None:
    for faults in ({"worker_deaths": 60}, {"node_losses": 30, "workers_a_node": 2, "notice": 5, "back": 20}):
        outcome = simulate(ideal("ray", **faults), 8)
        assert outcome.segments == 1000
        assert outcome.deaths + outcome.losses > 0
        assert 1000 / 8 < outcome.wall < 1000 / 8 * 4


def test_slow_worker_delays_the_end() -> None:
    even, slow = (simulate(ideal("ray", slow_share=0.1, slow_times=times), 10) for times in (1, 50))
    assert slow.segments == even.segments
    assert slow.wall > even.wall and slow.seconds.tail > even.seconds.tail


def test_same_seed_gives_the_same_batch() -> None:
    rates = rates_of(read_tables(), "kokoro", "ray")
    assert simulate(rates, 16).document() == simulate(rates, 16).document()


def test_server_processes_one_thing_at_a_time() -> None:
    server, pair = Server(), Servers(2)
    assert [server.serve(0.0, 2.0), server.serve(1.0, 2.0), server.serve(10.0, 1.0)] == [2.0, 4.0, 11.0]
    assert [pair.serve(0.0, 2.0), pair.serve(0.0, 3.0), pair.serve(0.0, 1.0)] == [2.0, 3.0, 3.0]


def test_given_rates_override_the_defaults(tmp_path: Path) -> None:
    own = tmp_path / "rates.json"
    own.write_text(json.dumps({"engines": {"kokoro": {"row": {"each": 0.01}}}}), encoding="utf-8")
    rates = rates_of(read_tables(own, ["faults.workers_a_node=8"]), "kokoro", "ray")
    assert rates.engine.row.each == 0.01
    assert rates.faults.workers_a_node == 8
    assert rates.engine.load == rates_of(read_tables(), "kokoro", "ray").engine.load


@pytest.mark.parametrize("setting", ["engines.kokoro.row.each", "engines.kokoro.pitch=1", "faults.back=-1"])
def test_invalid_rate_is_refused(setting: str) -> None:
    with pytest.raises(SystemExit):
        rates_of(read_tables(None, [setting]), "kokoro", "ray")


def test_engine_without_rates_is_refused() -> None:
    with pytest.raises(SystemExit, match="nothing for 'whale'"):
        rates_of(read_tables(), "whale", "ray")
