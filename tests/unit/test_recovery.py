from __future__ import annotations

from voiceclone_cli.workers.faults.recovery import Strikes
from voiceclone_cli.workers.held import Held
from voiceclone_cli.workers.leases import Lease
from voiceclone_worker.contract import EncodeTask, EngineSpec, ReferenceSpec, SegmentSpec, SynthesisTask

ENGINE = EngineSpec("echo")
REFERENCES = tuple(ReferenceSpec(name, f"{name}.wav", "", f"{name}.npy") for name in "AB")


def lines(count: int = 4) -> Held:
    segments = tuple(SegmentSpec(str(number), "a line", "en", number) for number in range(count))
    return Held(Lease((SynthesisTask("A", ENGINE, REFERENCES[0], "out", segments),), 1))


def names(leases: list[Lease]) -> list[list[str]]:
    return [
        [segment.id for task in lease.tasks if isinstance(task, SynthesisTask) for segment in task.segments]
        for lease in leases
    ]


def test_what_a_dead_worker_was_speaking_goes_alone_and_last() -> None:
    held = lines()
    for name in ("0", "1", "2"):
        held.begin((0, name))
    held.finish((0, "1"))
    remains = Strikes().of_dead(held)
    assert names(remains.first) == [["3"]]
    assert names(remains.last) == [["0"], ["2"]]
    assert remains.given_up == []


def test_the_second_strike_is_the_last() -> None:
    strikes = Strikes()
    for expected in ([], [(0, "0")]):
        held = lines(1)
        held.begin((0, "0"))
        assert strikes.of_dead(held).given_up == expected


def test_what_was_not_begun_is_never_given_up() -> None:
    strikes = Strikes()
    for _ in range(5):
        remains = strikes.of_dead(lines())
        assert names(remains.first) == [["0", "1", "2", "3"]] and not remains.given_up


def test_rows_with_a_wrong_answer_are_tried_once_more() -> None:
    strikes = Strikes()
    held = lines()
    again = strikes.of_answered(held, [(0, "1"), (0, "2")])
    assert names(again.first) == [["1", "2"]] and not again.given_up
    assert strikes.of_answered(held, [(0, "2")]).given_up == [(0, "2")]


def test_references_are_made_again_together() -> None:
    task = EncodeTask(ENGINE, REFERENCES)
    strikes = Strikes()
    held = Held(Lease((task,), 1))
    held.encoded.add((0, "A"))
    assert [lease.tasks for lease in strikes.of_dead(held).first] == [(task,)]
    assert [lease.tasks for lease in strikes.of_answered(held, [(0, "B")]).first] == [(task,)]
    assert strikes.of_answered(held, [(0, "B")]).given_up == [(0, "B")]


def test_a_lease_without_rows_leaves_nothing() -> None:
    remains = Strikes().of_dead(lines(0))
    assert (remains.first, remains.last, remains.given_up) == ([], [], [])
