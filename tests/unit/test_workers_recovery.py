from __future__ import annotations

import wave
from pathlib import Path

import pytest

from voiceclone_cli.workers import recovery
from voiceclone_cli.workers.protocol import Lease
from voiceclone_cli.workers.recovery import (
    LIMITS,
    Assignment,
    Deadlines,
    DeadlineWatch,
    FailureCounter,
    RestartPolicy,
)
from voiceclone_worker.protocol import (
    EncodeTask,
    EngineSpec,
    ReferenceRow,
    ReferenceSpec,
    Result,
    SegmentRow,
    SegmentSpec,
    SynthesisTask,
)
from voiceclone_worker.validation import ContractError

ENGINE = EngineSpec("echo")


def spoken(folder: Path, name: str, frames: int = 10, **other: object) -> SegmentRow:
    """The row of a segment whose wav is there."""
    path = folder / f"{name}.wav"
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1), out.setsampwidth(2), out.setframerate(8000)
        out.writeframes(bytes(2 * frames))
    return SegmentRow(0, name, "done", str(path), frames=frames)


def held(folder: Path) -> Assignment:
    """Two lines of A, and the references of A and B."""
    references = tuple(ReferenceSpec(name, "a.wav", "", str(folder / f"{name}.npy")) for name in "AB")
    lines = tuple(SegmentSpec(name, "a line", "en", 0) for name in ("0", "1"))
    tasks = (SynthesisTask("A", ENGINE, references[0], str(folder), lines), EncodeTask(ENGINE, references))
    return Assignment(Lease(tasks, 1), "worker 1", 1)


def test_a_whole_answer_is_believed(tmp_path: Path) -> None:
    for name in "AB":
        (tmp_path / f"{name}.npy").write_text("codes")
    result = Result(
        (spoken(tmp_path, "0"), SegmentRow(0, "1", "failed")),
        tuple(ReferenceRow(1, name, "done", str(tmp_path / f"{name}.npy")) for name in "AB"),
    )
    found = recovery.validate_result(held(tmp_path), result)
    assert (tuple(found.segments), tuple(found.references)) == (result.segments, result.references)
    assert not found.faults and not found.notes


def test_what_an_event_told_before_is_not_examined_again(tmp_path: Path) -> None:
    lease = held(tmp_path)
    lease.finish((0, "0"))
    lease.encoded |= {(1, "A"), (1, "B")}
    found = recovery.validate_result(lease, Result((spoken(tmp_path, "0"), spoken(tmp_path, "1"))))
    assert [row.id for row in found.segments] == ["1"] and not found.faults


def test_rows_without_an_outcome_are_at_fault(tmp_path: Path) -> None:
    found = recovery.validate_result(held(tmp_path), Result((spoken(tmp_path, "0"),)))
    assert {name: fault.code for name, fault in found.faults.items()} == {
        (0, "1"): "no_outcome",
        (1, "A"): "no_outcome",
        (1, "B"): "no_outcome",
    }


def test_a_reference_is_believed_only_when_its_own_file_is_there_and_not_empty(tmp_path: Path) -> None:
    (tmp_path / "A.npy").write_text("codes")
    (tmp_path / "B.npy").touch()
    rows = (ReferenceRow(1, "A", "done", str(tmp_path / "C.npy")), ReferenceRow(1, "B", "done", "B.npy"))
    found = recovery.validate_result(
        held(tmp_path), Result((spoken(tmp_path, "0"), spoken(tmp_path, "1")), rows)
    )
    assert {name: fault.code for name, fault in found.faults.items()} == {
        (1, "A"): "result_wrong",
        (1, "B"): "result_wrong",
    }


def test_a_file_may_be_named_another_way_but_must_be_the_same(tmp_path: Path) -> None:
    row = spoken(tmp_path, "0")
    key = (str(tmp_path) + "/", "0")
    assert recovery.segment_fault(row, key) is None
    assert "not " in str(recovery.segment_fault(row, (str(tmp_path / "other"), "0")))
    assert recovery.segment_fault(SegmentRow(0, "0", "done", row.file), key) is not None, "frames unknown"
    for odd in (None, "", "\0", "x" * 5000):
        assert recovery.segment_fault(SegmentRow(0, "0", "done", odd, frames=10), key) is not None


def test_a_thousand_unknown_rows_are_one_note(tmp_path: Path) -> None:
    rows = [SegmentRow(0, f"{number}\n" * 50, "done") for number in range(1000)]
    (note,) = recovery.validate_result(held(tmp_path), Result(tuple(rows))).notes
    assert "997 more" in note and len(note) < 400 and note.isprintable()


@pytest.mark.parametrize("event", [{}, {"task": 1}, {"task": [], "id": "0"}, {"task": 1.5, "id": {}}])
def test_a_damaged_event_is_an_error_that_the_pool_expects(event: dict[str, object]) -> None:
    for kind in ("segment_started", "segment_done", "segment_failed", "encoded"):
        with pytest.raises((ContractError, KeyError)):
            recovery.new_rows({"event": kind, **event})
    assert recovery.new_rows({"event": "something new", **event}) is None


REFERENCE = ReferenceSpec("A", "a.wav", "", "a.npy")


def held_of_test_deadlines(characters: int = 100, *, encode: bool = False) -> Assignment:
    if encode:
        return Assignment(Lease((EncodeTask(EngineSpec("echo"), (REFERENCE,)),), 1))
    lines = (SegmentSpec("0", "x" * characters, "en", 0), SegmentSpec("1", "x", "en", 0))
    return Assignment(Lease((SynthesisTask("A", EngineSpec("echo"), REFERENCE, "out", lines),), characters))


def said(event: str, **fields: object) -> dict[str, object]:
    return {"event": event, **fields}


def watch(*, loaded_in: float = 0.0, patience: float = 1.0) -> DeadlineWatch:
    """A worker that was started at 0 and has loaded its engine at ``loaded_in``."""
    made = DeadlineWatch(Deadlines(patience), 0.0)
    made.hear(said("hello"), 0.0, of_lease=False)
    made.hear(said("loading"), 0.0, of_lease=True)
    made.hear(said("ready", seconds=loaded_in), loaded_in, of_lease=True)
    return made


def ended_after(watched: DeadlineWatch, lease: Assignment, since: float) -> float:
    """Seconds without progress, but with a heartbeat, until the worker is ended."""
    for seconds in range(1, 100_000):
        if watched.overdue(lease, since + seconds, since + seconds):
            return seconds
    raise AssertionError("it is never ended")


def test_a_silent_worker_is_ended_after_a_minute() -> None:
    assert watch().overdue(held_of_test_deadlines(), 100.0, 160.0) is None
    assert "no sign of life for 60 s" in str(watch().overdue(held_of_test_deadlines(), 100.0, 160.1))


def test_the_slowest_healthy_worker_is_left_alone() -> None:
    """An 860 M model on a CPU: most of a second for a character, eight lines of 120 characters at a time,
    the codec's ten seconds for each second of them at the end, and half a minute to load."""
    slow = watch(loaded_in=30.0)
    lease = held_of_test_deadlines(8 * 120)
    lease.begin((0, "0"))
    assert ended_after(slow, lease, 30.0) > 8 * 120 * 0.8 + 8 * 8 * 10


def test_a_stall_is_found_and_later_where_there_is_more_to_speak_or_loading_took_long() -> None:
    def stalled(characters: int, loaded_in: float) -> float:
        lease = held_of_test_deadlines(characters)
        lease.begin((0, "0"))
        return ended_after(watch(loaded_in=loaded_in), lease, loaded_in)

    assert 300 < stalled(10, 0.0) < stalled(500, 0.0) < 3600
    assert stalled(10, 0.0) < stalled(10, 60.0) < 3600


def test_only_what_is_being_spoken_counts() -> None:
    lease = held_of_test_deadlines(1000)
    lease.begin((0, "0"))
    many = ended_after(watch(), lease, 0.0)
    lease.finish((0, "0"))
    lease.begin((0, "1"))
    assert ended_after(watch(), lease, 0.0) < many / 2


def test_each_step_begins_a_new_count_and_a_heartbeat_is_none() -> None:
    watched = watch()
    watched.hear(said("segment_progress"), 200.0, of_lease=True)
    watched.hear(said("heartbeat"), 480.0, of_lease=True)
    watched.hear(said("segment_progress"), 480.0, of_lease=False)
    assert watched.overdue(held_of_test_deadlines(), 499.0, 499.0) is None
    assert "no progress for 300 s while speaking" in str(
        watched.overdue(held_of_test_deadlines(), 501.0, 501.0)
    )


def test_loading_and_encoding_have_limits_of_their_own() -> None:
    loading = DeadlineWatch(Deadlines(), 0.0)
    assert loading.overdue(held_of_test_deadlines(), 900.0, 900.0) is None
    assert "while loading" in str(loading.overdue(held_of_test_deadlines(), 901.0, 901.0))
    assert "while encoding" in str(watch().overdue(held_of_test_deadlines(encode=True), 421.0, 421.0))


def test_patience_multiplies_but_a_heartbeat_is_always_waited_for() -> None:
    assert Deadlines(2.0).loading() == 1800
    assert Deadlines(0.5).generating(100, 10.0) == 0.5 * Deadlines().generating(100, 10.0)
    assert Deadlines(0.5).encoding(3, 0.0) == 0.5 * Deadlines().encoding(3, 0.0)
    assert Deadlines(0.01).silence(greeted=True) == 3
    assert Deadlines(0.01).silence(greeted=False) == 15


def test_time_in_which_nobody_listened_is_forgiven() -> None:
    watched = watch()
    watched.forgive(1000.0)
    assert watched.overdue(held_of_test_deadlines(), 1.0, 1050.0) is None


def test_a_worker_that_tells_nonsense_of_its_loading_gains_no_time_by_it() -> None:
    for nonsense in (10**400, -5, float("nan"), float("inf"), "long", None, True):
        watched = watch()
        watched.hear(said("ready", seconds=nonsense), 0.0, of_lease=True)
        assert ended_after(watched, held_of_test_deadlines(), 0.0) <= 311


REFERENCES = tuple(ReferenceSpec(name, f"{name}.wav", "", f"{name}.npy") for name in "AB")


def lines(count: int = 4) -> Assignment:
    segments = tuple(SegmentSpec(str(number), "a line", "en", number) for number in range(count))
    return Assignment(Lease((SynthesisTask("A", ENGINE, REFERENCES[0], "out", segments),), 1))


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
    remains = FailureCounter().of_dead(held)
    assert names(remains.first) == [["3"]]
    assert names(remains.last) == [["0"], ["2"]]
    assert remains.given_up == []


def test_the_second_strike_is_the_last() -> None:
    strikes = FailureCounter()
    for expected in ([], [(0, "0")]):
        held = lines(1)
        held.begin((0, "0"))
        assert strikes.of_dead(held).given_up == expected


def test_what_was_not_begun_is_never_given_up() -> None:
    strikes = FailureCounter()
    for _ in range(5):
        remains = strikes.of_dead(lines())
        assert names(remains.first) == [["0", "1", "2", "3"]] and not remains.given_up


def test_rows_with_a_wrong_answer_are_tried_once_more() -> None:
    strikes = FailureCounter()
    held = lines()
    again = strikes.of_answered(held, [(0, "1"), (0, "2")])
    assert names(again.first) == [["1", "2"]] and not again.given_up
    assert strikes.of_answered(held, [(0, "2")]).given_up == [(0, "2")]


def test_references_are_made_again_together() -> None:
    task = EncodeTask(ENGINE, REFERENCES)
    strikes = FailureCounter()
    held = Assignment(Lease((task,), 1))
    held.encoded.add((0, "A"))
    assert [lease.tasks for lease in strikes.of_dead(held).first] == [(task,)]
    assert [lease.tasks for lease in strikes.of_answered(held, [(0, "B")]).first] == [(task,)]
    assert strikes.of_answered(held, [(0, "B")]).given_up == [(0, "B")]


def test_a_lease_without_rows_leaves_nothing() -> None:
    remains = FailureCounter().of_dead(lines(0))
    assert (remains.first, remains.last, remains.given_up) == ([], [], [])


def test_each_death_in_a_row_doubles_the_pause_up_to_eight_seconds() -> None:
    restarts = RestartPolicy()
    pauses = []
    for _ in range(8):
        restarts.death(100.0, began=True)
        pauses.append(restarts.not_before - 100.0)
    assert pauses == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0]


def test_a_finished_row_ends_the_pause_and_the_count() -> None:
    restarts = RestartPolicy()
    restarts.death(100.0, began=False)
    restarts.death(100.0, began=False)
    restarts.fruit()
    assert restarts.not_before == 0.0
    assert restarts.death(100.0, began=False) == 0
    assert restarts.not_before == 100.25


def test_workers_that_never_begin_are_tried_three_times() -> None:
    restarts = RestartPolicy()
    assert [restarts.death(0.0, began=False) for _ in range(LIMITS.barren)] == [0, 0, 3]


def test_a_row_that_was_begun_ends_the_barren_count_but_not_the_fruitless_one() -> None:
    restarts = RestartPolicy()
    deaths = [restarts.death(0.0, began=number % 2 == 0) for number in range(LIMITS.fruitless)]
    assert deaths == [0] * (LIMITS.fruitless - 1) + [LIMITS.fruitless]
