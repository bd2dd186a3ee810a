"""The pool over machines that come, go and differ: workers whose files travel as bytes."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from factories import synthesis_task
from far_workers import FarLauncher, FarWorker, tone
from voiceclone_cli.errors import PreflightError
from voiceclone_cli.workers.pool import Pool
from voiceclone_cli.workers.protocol import PoolResult, shared_leases
from voiceclone_worker.protocol import SegmentRow, SegmentSpec, SynthesisTask


def task(folder: Path, count: int) -> SynthesisTask:
    segments = [SegmentSpec(f"A{n:03d}", f"words of {n}", "en", n) for n in range(count)]
    return synthesis_task(folder, "A", segments=segments)


def synthesized(folder: Path) -> dict[str, bytes]:
    return {path.stem: path.read_bytes() for path in (folder / "out").glob("*.wav")}


def assert_whole(outcome: PoolResult, folder: Path, count: int) -> None:
    assert {row.status for row in outcome.segments.values()} == {"done"} and len(outcome.segments) == count
    assert synthesized(folder) == {f"A{n:03d}": tone(f"words of {n}") for n in range(count)}


def test_files_come_as_bytes_and_each_row_is_reported_once(tmp_path: Path) -> None:
    reported: list[SegmentRow] = []
    machines = FarLauncher(3)
    with Pool(machines) as pool:
        outcome = pool.run(shared_leases([task(tmp_path, 20)], 3, 4), reported.append)
    assert_whole(outcome, tmp_path, 20)
    assert len(reported) == 20 and machines.closed


def test_a_lease_is_given_only_to_who_is_ready(tmp_path: Path) -> None:
    machines = FarLauncher(2, ready_after=lambda number: 0.6 if number == 1 else 0.0)
    with Pool(machines) as pool:
        outcome = pool.run(shared_leases([task(tmp_path, 8)], 2, 1))
    assert_whole(outcome, tmp_path, 8)
    assert {name for name, _ in machines.synthesized} == {"worker 2"}


def test_a_machine_that_comes_later_takes_its_share(tmp_path: Path) -> None:
    machines = FarLauncher(1, delay=lambda number: 0.05)
    threading.Timer(0.3, lambda: setattr(machines, "workers", 3)).start()
    with Pool(machines) as pool:
        outcome = pool.run(shared_leases([task(tmp_path, 30)], 3, 1))
    assert_whole(outcome, tmp_path, 30)
    assert {name for name, _ in machines.synthesized} == {"worker 1", "worker 2", "worker 3"}


def test_machines_that_go_away_cost_no_segment_and_count_as_no_crash(tmp_path: Path) -> None:
    gone: list[str] = []

    def dies(worker: FarWorker, id: str) -> bool:
        # Three machines in a row go under the same segment: were it to blame, it would be given up.
        if id == "A002" and len(gone) < 3:
            gone.append(worker.name)
            return True
        return False

    with Pool(FarLauncher(2, dies=dies)) as pool:
        outcome = pool.run(shared_leases([task(tmp_path, 6)], 2, 3))
    assert len(gone) == 3
    assert_whole(outcome, tmp_path, 6)
    assert any("went away" in note for note in outcome.notes)


def test_a_segment_under_which_machine_after_machine_goes_is_given_up_with_its_reason(tmp_path: Path) -> None:
    with Pool(FarLauncher(1, dies=lambda worker, id: id == "A001")) as pool:
        outcome = pool.run(shared_leases([task(tmp_path, 4)], 1, 1))
    failed = {row.id: row.error for row in outcome.segments.values() if row.status == "failed"}
    assert failed.keys() == {"A001"} and len(outcome.segments) == 4
    assert failed["A001"] is not None and failed["A001"].code == "node_lost"


def test_where_no_machine_can_be_had_it_is_said_at_once(tmp_path: Path) -> None:
    class Nowhere(FarLauncher):
        def room(self) -> int:
            raise PreflightError("the cluster has no machine that can speak", code="no_nodes")

    with pytest.raises(PreflightError, match="no machine"), Pool(Nowhere()) as pool:
        pool.run(shared_leases([task(tmp_path, 4)], 1, 1))


def test_where_machines_are_gone_for_good_every_row_has_its_reason(tmp_path: Path) -> None:
    class Vanishing(FarLauncher):
        def room(self) -> int:
            if self.synthesized:
                raise PreflightError("no machine of the cluster is left", code="no_nodes")
            return 1

    machines = Vanishing(1, dies=lambda worker, id: id == "A001")
    with Pool(machines) as pool:
        outcome = pool.run(shared_leases([task(tmp_path, 4)], 1, 1))
    states = {row.id: row.status for row in outcome.segments.values()}
    assert states == {"A000": "done", "A001": "failed", "A002": "failed", "A003": "failed"}
    assert any("no machine of the cluster is left" in error.message for error in outcome.errors)
