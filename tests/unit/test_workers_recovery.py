"""Results that are checked, deadlines, and what becomes of a lease whose worker fails."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest

from factories import encode_task, synthesis_task
from voiceclone_cli.workers import recovery
from voiceclone_cli.workers.protocol import AnalysisRow, AnalysisTask, Lease
from voiceclone_cli.workers.recovery import (
    MAX_FAILURES,
    MAX_START_FAILURES,
    Assignment,
    DeadlineWatch,
    FailureCounter,
    RestartPolicy,
)
from voiceclone_worker import protocol
from voiceclone_worker.protocol import (
    ReferenceRow,
    Result,
    SegmentRow,
    SegmentSpec,
    SynthesisTask,
    Task,
)
from voiceclone_worker.validation import ContractError


def written(folder: Path, name: str, frames: int = 10) -> SegmentRow:
    """Return the row of a segment whose wav is there."""
    path = folder / "out" / f"{name}.wav"
    path.parent.mkdir(exist_ok=True)
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1), out.setsampwidth(2), out.setframerate(8000)
        out.writeframes(bytes(2 * frames))
    return SegmentRow(0, name, "done", str(path), frames=frames)


def assigned(*tasks: Task | AnalysisTask) -> Assignment:
    return Assignment(Lease(tasks, 1), "worker 1", 1)


def two_lines_and_references(folder: Path) -> Assignment:
    """Return two lines of A, and the references of A and B."""
    return assigned(synthesis_task(folder, "", 2), encode_task(folder, "A", "B"))


def test_a_complete_result_is_taken(tmp_path: Path) -> None:
    for name in "AB":
        (tmp_path / f"{name}.txt").write_text("codes")
    result = Result(
        (written(tmp_path, "0000"), SegmentRow(0, "0001", "failed")),
        tuple(ReferenceRow(1, name, "done", str(tmp_path / f"{name}.txt")) for name in "AB"),
    )
    rows, faults = recovery.validate_result(two_lines_and_references(tmp_path), result)
    assert rows == [*result.segments, *result.references] and not faults


def test_rows_that_an_event_reported_before_are_not_checked_again(tmp_path: Path) -> None:
    assignment = two_lines_and_references(tmp_path)
    for name in ((0, "0000"), (1, "A"), (1, "B")):
        assignment.finish(name)
    result = Result((written(tmp_path, "0000"), written(tmp_path, "0001")))
    rows, faults = recovery.validate_result(assignment, result)
    assert [recovery.row_name(row) for row in rows] == [(0, "0001")] and not faults


def test_rows_without_a_result_are_faults(tmp_path: Path) -> None:
    _, faults = recovery.validate_result(
        two_lines_and_references(tmp_path), Result((written(tmp_path, "0000"),))
    )
    assert {name: fault.code for name, fault in faults.items()} == {
        (0, "0001"): "no_outcome",
        (1, "A"): "no_outcome",
        (1, "B"): "no_outcome",
    }


def test_rows_of_other_leases_and_second_rows_change_nothing(tmp_path: Path) -> None:
    first, second = written(tmp_path, "0000"), written(tmp_path, "0001")
    other = SegmentRow(3, "0000", "failed")
    again = SegmentRow(0, "0000", "failed")
    rows, faults = recovery.validate_result(
        assigned(synthesis_task(tmp_path, "", 2)), Result((first, other, again, second))
    )
    assert rows == [first, second] and not faults


def test_a_reference_counts_only_when_its_own_file_is_there_and_not_empty(tmp_path: Path) -> None:
    (tmp_path / "A.txt").write_text("codes")
    (tmp_path / "B.txt").touch()
    rows = (ReferenceRow(1, "A", "done", str(tmp_path / "C.txt")), ReferenceRow(1, "B", "done", "B.txt"))
    _, faults = recovery.validate_result(
        two_lines_and_references(tmp_path),
        Result((written(tmp_path, "0000"), written(tmp_path, "0001")), rows),
    )
    assert {name: fault.code for name, fault in faults.items()} == {
        (1, "A"): "result_wrong",
        (1, "B"): "result_wrong",
    }


def test_the_file_of_a_row_must_be_the_wanted_one_and_as_long_as_reported(tmp_path: Path) -> None:
    row = written(tmp_path, "0")
    wanted = f"{tmp_path}//out/0.wav"
    assert recovery.row_fault(row, wanted) is None, "the same path may be spelled another way"
    assert "not " in str(recovery.row_fault(row, str(tmp_path / "other" / "0.wav")))
    assert recovery.row_fault(SegmentRow(0, "0", "done", row.file), wanted) is not None, "frames unknown"
    assert recovery.row_fault(SegmentRow(0, "0", "done", row.file, frames=11), wanted) is not None
    for odd in (None, "", "\0", "x" * 5000):
        assert recovery.row_fault(SegmentRow(0, "0", "done", odd, frames=10), wanted) is not None


def test_a_thousand_names_are_shortened() -> None:
    names = recovery.name_rows(f"{number}\n" * 50 for number in range(1000))
    assert "997 more" in names and len(names) < 400 and names.isprintable()


@pytest.mark.parametrize("event", [{}, {"task": 1}, {"task": [], "id": "0"}, {"task": 1.5, "id": {}}])
def test_a_damaged_event_is_an_error_that_the_pool_expects(event: dict[str, object]) -> None:
    for kind in (
        "segment_started",
        "analysis_started",
        "segment_done",
        "segment_failed",
        "encoded",
        "analyzed",
    ):
        with pytest.raises((ContractError, KeyError)):
            recovery.row_from_event({"event": kind, **event})
    assert recovery.row_from_event({"event": "something new", **event}) is None


def lease_of(characters: int = 100) -> Assignment:
    segments = (SegmentSpec("0", "x" * characters, "en", 0), SegmentSpec("1", "x", "en", 0))
    return assigned(synthesis_task(segments=segments))


def analysis(seconds: float) -> AnalysisTask:
    return AnalysisTask("words", {}, np.zeros(1, np.float32), seconds)


def event(kind: str, **fields: object) -> dict[str, object]:
    return {"event": kind, **fields}


def watch(*, loaded_in: float = 0.0, timeout_scale: float = 1.0) -> DeadlineWatch:
    """Return the watch of a worker that was started at 0 and has loaded its engine at ``loaded_in``."""
    made = DeadlineWatch(timeout_scale, 0.0)
    made.event(event("hello"), 0.0, of_lease=False)
    made.event(event("loading"), 0.0, of_lease=True)
    made.event(event("ready", seconds=loaded_in), loaded_in, of_lease=True)
    return made


def ended_after(watched: DeadlineWatch, assignment: Assignment, since: float) -> float:
    """Return the seconds without progress, but with a heartbeat, until the worker is ended."""
    for seconds in range(1, 100_000):
        if watched.overdue(assignment, since + seconds, since + seconds):
            return seconds
    raise AssertionError("it is never ended")


def test_a_silent_worker_is_ended_after_a_minute() -> None:
    assert watch().overdue(lease_of(), 100.0, 160.0) is None
    assert "no sign of life for 60 s" in str(watch().overdue(lease_of(), 100.0, 160.1))


def test_the_slowest_healthy_worker_is_left_alone() -> None:
    """An 860 M model on a CPU: most of a second for a character, eight lines of 120 characters at a time,
    the codec's ten seconds for each second of them at the end, and half a minute to load."""
    slow = watch(loaded_in=30.0)
    lease = lease_of(8 * 120)
    lease.start((0, "0"))
    assert ended_after(slow, lease, 30.0) > 8 * 120 * 0.8 + 8 * 8 * 10


def test_a_stall_is_found_and_later_where_there_is_more_to_synthesize_or_loading_took_long() -> None:
    def stalled(characters: int, loaded_in: float) -> float:
        lease = lease_of(characters)
        lease.start((0, "0"))
        return ended_after(watch(loaded_in=loaded_in), lease, loaded_in)

    assert 300 < stalled(10, 0.0) < stalled(500, 0.0) < 3600
    assert stalled(10, 0.0) < stalled(10, 60.0) < 3600


def test_only_what_is_being_synthesized_counts() -> None:
    lease = lease_of(1000)
    lease.start((0, "0"))
    many = ended_after(watch(), lease, 0.0)
    lease.finish((0, "0"))
    lease.start((0, "1"))
    assert ended_after(watch(), lease, 0.0) < many / 2


def test_each_step_begins_a_new_count_and_a_heartbeat_is_none() -> None:
    watched = watch()
    watched.event(event("segment_progress"), 200.0, of_lease=True)
    watched.event(event("heartbeat"), 480.0, of_lease=True)
    watched.event(event("segment_progress"), 480.0, of_lease=False)
    assert watched.overdue(lease_of(), 499.0, 499.0) is None
    assert "no progress for 300 s while synthesizing" in str(watched.overdue(lease_of(), 501.0, 501.0))


def test_loading_encoding_and_analyzing_have_limits_of_their_own() -> None:
    loading = DeadlineWatch(1.0, 0.0)
    assert loading.overdue(lease_of(), 900.0, 900.0) is None
    assert "while loading" in str(loading.overdue(lease_of(), 901.0, 901.0))
    assert "while encoding" in str(watch().overdue(assigned(encode_task("", "A")), 421.0, 421.0))
    listening = DeadlineWatch(1.0, 0.0)
    assert listening.overdue(assigned(analysis(60.0)), 899.0, 899.0) is None
    assert "while analyzing" in str(listening.overdue(assigned(analysis(60.0)), 901.0, 901.0))


def test_the_scale_multiplies_all_limits_but_a_heartbeat_is_always_waited_for() -> None:
    for lease in (lease_of(), assigned(encode_task("", "A", "B")), assigned(analysis(9.0))):
        assert watch(timeout_scale=0.5).limit(lease)[0] == 0.5 * watch().limit(lease)[0]
    assert DeadlineWatch(2.0, 0.0).limit(lease_of()) == (1800, "loading its engine")
    assert watch(timeout_scale=0.01).overdue(lease_of(), 0.0, 2.9) is None
    assert "for 3 s" in str(watch(timeout_scale=0.01).overdue(lease_of(), 0.0, 3.1))
    assert "for 15 s" in str(DeadlineWatch(0.1, 0.0).overdue(lease_of(), 0.0, 15.1)), "it has not started yet"


def test_time_in_which_this_process_was_suspended_is_forgiven() -> None:
    watched = watch()
    watched.forgive(1000.0)
    assert watched.overdue(lease_of(), 1.0, 1050.0) is None


def test_a_worker_that_reports_nonsense_of_its_loading_gains_no_time_by_it() -> None:
    for nonsense in (10**400, -5, float("nan"), float("inf"), "long", None, True):
        watched = watch()
        watched.event(event("ready", seconds=nonsense), 0.0, of_lease=True)
        assert ended_after(watched, lease_of(), 0.0) <= 311


def lines(count: int = 4) -> Assignment:
    return assigned(synthesis_task(segments=[SegmentSpec(str(n), "a line", "en", n) for n in range(count)]))


def names(leases: list[Lease]) -> list[list[str]]:
    return [
        [segment.id for task in lease.tasks if isinstance(task, SynthesisTask) for segment in task.segments]
        for lease in leases
    ]


def test_what_a_dead_worker_was_doing_goes_alone_and_last() -> None:
    assignment = lines()
    for name in ("0", "1", "2"):
        assignment.start((0, name))
    assignment.finish((0, "1"))
    first, last, given_up = FailureCounter().after_crash(assignment)
    assert names(first) == [["3"]]
    assert names(last) == [["0"], ["2"]]
    assert given_up == []


def test_the_second_crash_of_a_row_is_the_last() -> None:
    failures = FailureCounter()
    for expected in ([], [(0, "0")]):
        assignment = lines(1)
        assignment.start((0, "0"))
        assert failures.after_crash(assignment)[2] == expected


def test_what_was_not_started_is_never_given_up() -> None:
    failures = FailureCounter()
    for _ in range(7):
        for plan in (failures.after_crash, failures.after_loss):
            first, last, given_up = plan(lines())
            assert names(first) == [["0", "1", "2", "3"]] and not last and not given_up


def test_a_row_is_given_up_after_as_many_lost_nodes_as_its_client_allows() -> None:
    failures = FailureCounter(max_losses=3)
    plans = []
    for _ in range(3):
        assignment = assigned(analysis(1.0))
        assignment.start((0, "words"))
        plans.append(failures.after_loss(assignment)[2])
    assert plans == [[], [], [(0, "words")]]
    assert assignment.without_result((0, "words"), protocol.Failure("node_lost", "lost")) == AnalysisRow(
        0, "words", None, protocol.Failure("node_lost", "lost")
    )


def test_rows_with_a_wrong_result_are_tried_once_more() -> None:
    failures = FailureCounter()
    first, _, given_up = failures.after_result(lines(), [(0, "1"), (0, "2")])
    assert names(first) == [["1", "2"]] and not given_up
    assert failures.after_result(lines(), [(0, "2")])[2] == [(0, "2")]


def test_references_are_made_again_together() -> None:
    task = encode_task("", "A", "B")
    failures = FailureCounter()
    assignment = assigned(task)
    assignment.finish((0, "A"))
    assert [lease.tasks for lease in failures.after_crash(assignment)[0]] == [(task,)]
    assert [lease.tasks for lease in failures.after_result(assignment, [(0, "B")])[0]] == [(task,)]
    assert failures.after_result(assignment, [(0, "B")])[2] == [(0, "B")]


def test_a_lease_without_rows_leaves_nothing() -> None:
    assert FailureCounter().after_crash(lines(0)) == ([], [], [])


def test_each_failure_in_a_row_doubles_the_pause_up_to_eight_seconds() -> None:
    restarts = RestartPolicy()
    pauses = []
    for _ in range(8):
        restarts.record_failure(100.0, started=True)
        pauses.append(restarts.not_before - 100.0)
    assert pauses == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0]


def test_a_finished_row_ends_the_pause_and_the_count() -> None:
    restarts = RestartPolicy()
    restarts.record_failure(100.0, started=False)
    restarts.record_failure(100.0, started=False)
    restarts.record_success()
    assert restarts.not_before == 0.0
    assert restarts.record_failure(100.0, started=False) == 0
    assert restarts.not_before == 100.25


def test_workers_that_never_start_a_row_are_tried_three_times() -> None:
    restarts = RestartPolicy()
    assert [restarts.record_failure(0.0, started=False) for _ in range(MAX_START_FAILURES)] == [0, 0, 3]


def test_a_row_that_was_started_ends_only_the_count_of_start_failures() -> None:
    restarts = RestartPolicy()
    failures = [restarts.record_failure(0.0, started=number % 2 == 0) for number in range(MAX_FAILURES)]
    assert failures == [0] * (MAX_FAILURES - 1) + [MAX_FAILURES]
