"""Whose lease is next, and what ends the patience with one caller or with all."""

from __future__ import annotations

import collections

from voiceclone_cli.errors import PreflightError
from voiceclone_cli.workers.protocol import Lease, one_lease
from voiceclone_cli.workers.queue import RESERVE, Client, Job, JobQueue, nobody_listens
from voiceclone_cli.workers.recovery import LIMITS, PATIENT_LIMITS
from voiceclone_worker.protocol import (
    EncodeTask,
    EngineSpec,
    Failure,
    ReferenceSpec,
    SegmentSpec,
    SynthesisTask,
)

REFERENCE = ReferenceSpec("ANNA", "anna.wav", "", "anna.txt")
DIED = Failure("worker_died", "worker 1 ended with exit code 9")


def work(*leases: Lease) -> Job:
    return Job(Client(nobody_listens, nobody_listens), collections.deque(leases), lambda row: None)


def lines(name: str) -> Lease:
    segments = (SegmentSpec(name, "a line", "en", 1),)
    return one_lease([SynthesisTask("ANNA", EngineSpec("echo"), REFERENCE, "/out", segments)])[0]


def references() -> Lease:
    return one_lease([EncodeTask(EngineSpec("echo"), (REFERENCE,))])[0]


def listed(*works: Job) -> JobQueue:
    there = JobQueue()
    for each in works:
        there.admit(each)
    return there


def test_works_are_done_in_the_order_in_which_they_came() -> None:
    first, second = work(lines("1")), work(lines("2"))
    there = listed(first, second)
    assert there.next(slots=1) is first and there.leases == 2
    first.waiting.clear()
    there.conclude(first)
    assert first.done.is_set() and there.next(slots=1) is second


def test_references_go_first_where_the_lines_that_wait_would_soon_be_used_up() -> None:
    speaking, waiting = work(*(lines(str(n)) for n in range(RESERVE))), work(references())
    there = listed(speaking, waiting)
    assert there.next(slots=1) is speaking
    assert there.next(slots=2) is waiting


def test_a_caller_whose_workers_die_is_given_up_alone() -> None:
    guilty, other = work(lines("1")), work(lines("2"))
    there = listed(guilty, other)
    for _ in range(LIMITS.barren):
        there.count_death(DIED, guilty, began=False)
    assert guilty.done.is_set() and not other.done.is_set()
    assert f"{LIMITS.barren} workers ended so" in guilty.outcome.errors[0].message
    assert there.next(slots=1) is other


def test_who_asks_again_after_its_workers_were_given_up_is_told_at_once() -> None:
    first = work(lines("1"))
    there = listed(first)
    for _ in range(LIMITS.barren):
        there.count_death(DIED, first, began=False)
    later = Job(first.account, collections.deque([lines("2")]), lambda row: None)
    there.admit(later)
    assert later.done.is_set() and later.outcome.errors == first.outcome.errors


def test_deaths_that_go_on_whoever_they_are_with_end_all() -> None:
    works = [work(lines(str(n))) for n in range(PATIENT_LIMITS.barren)]
    there = listed(*works, work(references()))
    for each in works:
        there.count_death(DIED, each, began=False)
    assert there.next(slots=1) is None
    newcomer = work(lines("new"))
    there.admit(newcomer)
    assert newcomer.done.is_set() and [error.code for error in newcomer.outcome.errors] == ["worker_died"]


def test_a_worker_that_cannot_be_started_at_all_is_an_error_and_later_a_death() -> None:
    error = PreflightError("no memory", code="worker_interpreter")
    never, later = work(lines("1")), work(lines("2"))
    listed(never).cannot_start(error, ever_could=False)
    assert never.done.is_set() and never.error is error
    listed(later).cannot_start(error, ever_could=True)
    assert not later.done.is_set() and later.account.restarts.not_before > 0
