"""Which lease is next, and when a client, or all of them, get no more workers."""

from __future__ import annotations

import pytest

from factories import encode_task, synthesis_task
from voiceclone_cli.errors import PreflightError
from voiceclone_cli.workers.protocol import Lease, one_lease
from voiceclone_cli.workers.queue import MIN_WAITING, Client, Job, JobQueue
from voiceclone_cli.workers.recovery import MAX_START_FAILURES, MAX_START_FAILURES_OF_ALL
from voiceclone_worker.protocol import Failure

DIED = Failure("worker_died", "worker 1 ended with exit code 9")


def job(*leases: Lease) -> Job:
    return Job(Client(), leases)


def lines(name: str) -> Lease:
    return one_lease([synthesis_task("run", name, 1)])[0]


def references() -> Lease:
    return one_lease([encode_task("run", "ANNA")])[0]


def queue_of(*jobs: Job) -> JobQueue:
    queue = JobQueue()
    for each in jobs:
        queue.admit(each)
    return queue


def test_jobs_are_done_in_the_order_in_which_they_came() -> None:
    first, second = job(lines("1")), job(lines("2"))
    queue = queue_of(first, second)
    assert queue.next(workers=1) is first and queue.leases == 2
    first.waiting.clear()
    queue.conclude(first)
    assert first.done.is_set() and queue.next(workers=1) is second


def test_references_go_first_where_the_lines_that_wait_would_soon_be_used_up() -> None:
    speaking, waiting = job(*(lines(str(n)) for n in range(MIN_WAITING))), job(references())
    queue = queue_of(speaking, waiting)
    assert queue.next(workers=1) is speaking
    assert queue.next(workers=2) is waiting


def test_a_client_whose_workers_die_is_given_up_alone() -> None:
    crashing, other = job(lines("1")), job(lines("2"))
    queue = queue_of(crashing, other)
    for _ in range(MAX_START_FAILURES):
        queue.count_crash(DIED, crashing, started=False)
    assert crashing.done.is_set() and not other.done.is_set()
    assert f"{MAX_START_FAILURES} workers ended so" in crashing.results.errors[0].message
    assert queue.next(workers=1) is other


def test_a_later_job_of_a_client_that_was_given_up_fails_at_once() -> None:
    first = job(lines("1"))
    queue = queue_of(first)
    for _ in range(MAX_START_FAILURES):
        queue.count_crash(DIED, first, started=False)
    later = Job(first.client, [lines("2")])
    queue.admit(later)
    assert later.done.is_set() and later.results.errors == first.results.errors


def test_crashes_that_go_on_with_every_client_end_all() -> None:
    jobs = [job(lines(str(n))) for n in range(MAX_START_FAILURES_OF_ALL)]
    queue = queue_of(*jobs, job(references()))
    for each in jobs:
        queue.count_crash(DIED, each, started=False)
    assert queue.next(workers=1) is None
    newcomer = job(lines("new"))
    queue.admit(newcomer)
    assert newcomer.done.is_set() and [error.code for error in newcomer.results.errors] == ["worker_died"]


def test_a_worker_that_cannot_be_started_at_all_is_an_error_and_later_a_crash() -> None:
    error = PreflightError("no memory", code="worker_interpreter")
    never, later = job(lines("1")), job(lines("2"))
    queue_of(never).cannot_start(error, ever_could=False)
    assert never.done.is_set()
    with pytest.raises(PreflightError, match="no memory") as caught:
        never.result()
    assert caught.value.code == "worker_interpreter"
    queue_of(later).cannot_start(error, ever_could=True)
    assert not later.done.is_set() and later.client.restarts.not_before > 0


def test_an_error_of_a_callback_ends_its_job_as_it_is() -> None:
    error = ValueError("not my day")
    ended = job(lines("1"))
    queue_of(ended)
    ended.end(error)
    with pytest.raises(ValueError) as caught:
        ended.result()
    assert caught.value is error
