"""Whatever a worker does wrong: it is diagnosed in one sentence, replaced, and no row is lost."""

from __future__ import annotations

import pytest

from echo_faults import FAULTS
from echo_pool import EchoPool

AT_ANY_MOMENT = ("kill", "segv", "exit", "loud", "garbage", "utf8", "longline", "torn", "slow")
FATAL = {
    "kill": "was ended by SIGKILL",
    "segv": "was ended by SIGSEGV",
    "exit": "ended with exit code 9",
    "loud": "ended with exit code 3; it last said: line 197 of a long complaint",
    "hang": "was ended: it gave no sign of life for 3 s",
    "stall": "was ended: it made no progress for",
    "garbage": "was ended: its answer cannot be read",
    "utf8": "was ended: its answer cannot be read",
}


@pytest.mark.parametrize("moment", ["load", "encode"])
@pytest.mark.parametrize("pair", [("kill", "segv"), ("exit", "loud"), ("garbage", "utf8")])
def test_a_worker_that_fails_before_it_speaks_is_replaced(
    echo_pool: EchoPool, moment: str, pair: tuple[str, str]
) -> None:
    """Two in a row: after a third the pool would start no more."""
    echo_pool.order(*(f"{moment}.{fault}" for fault in pair))
    outcome = echo_pool.run()
    echo_pool.assert_whole(outcome)
    assert len(outcome.notes) == 2 or "garbage" in pair, "each death is reported"


@pytest.mark.parametrize("faults", [("kill", "exit", "garbage"), ("segv", "loud", "utf8")])
def test_workers_that_fail_while_they_speak_are_replaced_and_their_lines_spoken(
    echo_pool: EchoPool, faults: tuple[str, ...]
) -> None:
    # A line is synthesized between two faults, so that no worker waits long to be replaced.
    echo_pool.order(
        *(f"generate.{number:04d}.{fault}" for number, fault in zip((1, 3, 5), faults, strict=True))
    )
    outcome = echo_pool.run()
    echo_pool.assert_whole(outcome)
    reported = " ".join(outcome.notes)
    assert all(FATAL[fault] in reported for fault in faults), outcome.notes


@pytest.mark.parametrize("fault", ["hang", "stall"])
@pytest.mark.parametrize("moment", ["load", "encode", "generate.0003"])
def test_a_worker_that_hangs_or_stalls_is_found_and_replaced(
    echo_pool: EchoPool, moment: str, fault: str
) -> None:
    echo_pool.order(f"{moment}.{fault}")
    echo_pool.assert_whole(echo_pool.run(timeout_scale=0.002))


def test_what_is_only_slow_or_odd_is_left_alone(echo_pool: EchoPool) -> None:
    echo_pool.order("load.slow", "generate.0004.slow")
    for moment in ("load", "encode", "generate.0001", "generate.0004"):
        echo_pool.order(f"{moment}.longline", f"{moment}.torn")
    echo_pool.assert_whole(echo_pool.run())
    assert echo_pool.events.count("hello") == 1, "no worker was replaced"


def test_faults_of_many_kinds_in_a_pool_of_three(echo_pool: EchoPool) -> None:
    echo_pool.order("load.kill", "generate.0000.exit", "generate.0001.garbage", "generate.0002.torn")
    echo_pool.order("generate.0003.missing", "generate.0004.longline", "generate.0005.segv", "encode.slow")
    echo_pool.assert_whole(echo_pool.run(3))


@pytest.mark.parametrize("fault", ["kill", "segv", "exit", "loud", "hang", "stall"])
def test_a_line_that_kills_two_workers_is_given_up_with_the_last_diagnosis(
    echo_pool: EchoPool, fault: str
) -> None:
    echo_pool.order(f"generate.0003.{fault}.1", f"generate.0003.{fault}.2")
    # A hang is a stall too: only where silence is found first, it is distinguished from one.
    outcome = echo_pool.run(timeout_scale=0.02 if fault == "hang" else 0.003)
    row = outcome.segments[echo_pool.task.output_dir, "0003"]
    assert row.error is not None and row.error.code == "worker_died"
    assert "two workers died" in row.error.message
    assert FATAL[fault] in row.error.message
    assert "\n" not in row.error.message and len(row.error.message) < 700
    others = {key[1]: row.status for key, row in outcome.segments.items() if key[1] != "0003"}
    assert set(others.values()) == {"done"} and len(others) == 5


def test_three_workers_that_die_while_loading_are_the_last_ones(echo_pool: EchoPool) -> None:
    echo_pool.order("load.loud.1", "load.loud.2", "load.loud.3")
    outcome = echo_pool.run()
    assert {row.status for row in outcome.segments.values()} == {"failed"}
    (error,) = outcome.errors[:1]
    assert error.code == "worker_died" and "3 workers ended so" in error.message
    assert "exit code 3" in error.message and "voiceclone doctor" in error.message


def test_every_fault_has_its_test() -> None:
    tested = {*AT_ANY_MOMENT, *FATAL, "missing", "doubled", "unknown"}
    assert tested == FAULTS.keys()


def test_task_files_that_cannot_be_written_fail_the_rows_with_the_reason(echo_pool: EchoPool) -> None:
    echo_pool.tasks.rmdir()
    echo_pool.tasks.write_text("a file is in the way")
    outcome = echo_pool.run()
    assert {row.error.code for row in outcome.segments.values() if row.error} == {"output_unwritable"}
    assert len(outcome.segments) == 6
    assert str(echo_pool.tasks) in outcome.errors[0].message
