"""A pool whose workers fail, report wrong results or write too much: no row is lost."""

from __future__ import annotations

import queue
from pathlib import Path

import pytest

from echo_faults import FAULTS
from echo_pool import EchoPool, instead_of_the_worker
from voiceclone_cli.workers import process
from voiceclone_cli.workers.process import TaskFiles, WorkerCommand, WorkerProcess, worker_command
from voiceclone_cli.workers.protocol import EventMessage, LogMessage, Message, WorkerExited

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
    assert len(outcome.notes) == 2 or "garbage" in pair, "each death is told"


@pytest.mark.parametrize("faults", [("kill", "exit", "garbage"), ("segv", "loud", "utf8")])
def test_workers_that_fail_while_they_speak_are_replaced_and_their_lines_spoken(
    echo_pool: EchoPool, faults: tuple[str, ...]
) -> None:
    # A line is spoken between two faults, so that no worker waits long to be replaced.
    echo_pool.order(
        *(f"generate.{number:04d}.{fault}" for number, fault in zip((1, 3, 5), faults, strict=True))
    )
    outcome = echo_pool.run()
    echo_pool.assert_whole(outcome)
    told = " ".join(outcome.notes)
    assert all(FATAL[fault] in told for fault in faults), outcome.notes


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
    # A hang is a stall too: only where silence is found first, it is told from one.
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


def test_a_row_that_is_missing_in_a_result_goes_to_another_worker(echo_pool: EchoPool) -> None:
    echo_pool.order("generate.0002.missing")
    outcome = echo_pool.run()
    echo_pool.assert_whole(outcome)
    assert echo_pool.events.count("hello") == 2
    (note,) = outcome.notes
    assert "no outcome" in note and "0002" in note and "replaced" in note


def test_a_row_that_is_missing_twice_has_failed(echo_pool: EchoPool) -> None:
    echo_pool.always["0002"] = "missing"
    outcome = echo_pool.run()
    states = {key[1]: row.error.code if row.error else row.status for key, row in outcome.segments.items()}
    assert states == {f"{n:04d}": "no_outcome" if n == 2 else "done" for n in range(6)}


def test_doubled_and_unknown_rows_change_nothing(echo_pool: EchoPool) -> None:
    echo_pool.order("generate.0002.doubled", "generate.0003.unknown")
    outcome = echo_pool.run()
    echo_pool.assert_whole(outcome)
    assert echo_pool.events.count("hello") == 1 and echo_pool.events.count("segment_done") == 6
    assert outcome.notes == []


FALSE_WORKER = """
import json, os, pathlib, sys
here = pathlib.Path(__file__).parent
for request in sys.stdin:
    count = len(list(here.glob("lease-*")))
    (here / f"lease-{count}").touch()
    rows, references = [], []
    for number, path in enumerate(json.loads(request)):
        task = json.loads(pathlib.Path(path).read_text())
        for ref in task.get("references", []):
            pathlib.Path(ref["codes"]).write_text("110")
            references.append({"task": number, "speaker": ref["speaker"], "status": "done", "file": ref["codes"]})
        for segment in task.get("segments", []):
            folder = pathlib.Path(task["output_dir"])
            folder.mkdir(exist_ok=True)
            file = folder / (segment["id"] + ".wav")
            row = {"task": number, "id": segment["id"], "status": "done", "file": str(file), "frames": 10}
            file.write_bytes(bytes(44 + 20))
            rows.append(row)
    answer = {"schema": "voiceclone.result/1", "segments": rows, "references": references, "timing": {}}
    if rows:
        falsify(rows[0], answer, count)
    print(json.dumps(answer), flush=True)
"""


def false_worker(folder: Path, falsify: str) -> WorkerCommand:
    """A program that keeps to the contract but for the first row of a result."""
    body = f"def falsify(row, answer, count):\n    {falsify}\n"
    return instead_of_the_worker(folder / "false_worker.py", "import os\n" + body + FALSE_WORKER)


WRONG_FILES = {
    "no file": ("os.unlink(row['file'])", "but the file does not exist"),
    "a cut file": ("os.truncate(row['file'], 50)", "has 50 bytes"),
    "another file": ("row['file'] = __file__", "not "),
}


@pytest.mark.parametrize("what", WRONG_FILES)
def test_done_counts_only_when_the_file_is_there(echo_pool: EchoPool, what: str) -> None:
    falsify, says = WRONG_FILES[what]
    outcome = echo_pool.run(command=false_worker(echo_pool.folder, falsify))
    states = {key[1]: row.error.code if row.error else row.status for key, row in outcome.segments.items()}
    assert states == {f"{n:04d}": "result_wrong" if n == 0 else "done" for n in range(6)}
    row = outcome.segments[echo_pool.task.output_dir, "0000"]
    assert row.error is not None and says in row.error.message


def test_a_wrong_row_that_is_right_the_second_time_is_done(echo_pool: EchoPool) -> None:
    outcome = echo_pool.run(command=false_worker(echo_pool.folder, "count == 1 and os.unlink(row['file'])"))
    echo_pool.assert_whole(outcome)
    assert "gave a wrong result" in outcome.notes[0]


def test_an_answer_to_another_lease_is_not_taken_for_this_ones(echo_pool: EchoPool) -> None:
    falsify = "answer['lease'] = 7 if count == 1 else 0"
    outcome = echo_pool.run(command=false_worker(echo_pool.folder, falsify))
    echo_pool.assert_whole(outcome)


def test_an_answer_without_an_end_is_not_kept(echo_pool: EchoPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voiceclone_cli.workers.process.MAX_RESULT_BYTES", 1_000_000)
    falsify = "[os.write(1, b'x' * 10000) for _ in range(200)] if count == 1 else None"
    outcome = echo_pool.run(command=false_worker(echo_pool.folder, falsify))
    echo_pool.assert_whole(outcome)


def test_a_log_is_bounded_and_says_that_it_was_cut(
    echo_pool: EchoPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "MAX_LOG_BYTES", 1_000_000)
    logs = echo_pool.folder / "logs"
    logs.mkdir()
    echo_pool.order("generate.0001.longline", "load.longline")
    echo_pool.assert_whole(echo_pool.run(log_dir=logs))
    (log,) = logs.iterdir()
    assert log.stat().st_size < 1_100_000
    assert log.read_bytes().endswith(b"(cut here: the log has reached its 1 MB)\n")


def test_a_log_that_cannot_be_written_stops_nothing(echo_pool: EchoPool) -> None:
    echo_pool.order("generate.0001.longline")
    echo_pool.assert_whole(echo_pool.run(log_dir=echo_pool.folder / "nowhere"))


def started(folder: Path, program: str) -> tuple[WorkerProcess, queue.SimpleQueue[Message]]:
    """A process of this program, and where its messages go."""
    command = instead_of_the_worker(folder / "program.py", program)
    inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
    return WorkerProcess("w", command, inbox, TaskFiles(folder, keep=False)), inbox


def test_events_that_nobody_takes_hold_up_the_worker_and_fill_no_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voiceclone_cli.workers.process.MAX_UNREAD_EVENTS", 100)
    worker, inbox = started(
        tmp_path,
        "import sys\n"
        "for number in range(20_000):\n"
        '    print(\'@voiceclone {"event": "said", "number": %d}\' % number, file=sys.stderr)\n',
    )
    assert not worker.wait(1.0), "it waits for its reader"
    assert inbox.qsize() <= 100
    heard = []
    while isinstance(message := inbox.get(timeout=20), EventMessage):
        worker.taken(message)
        heard.append(message.event["number"])
    assert heard == list(range(20_000)), "none is lost"
    assert isinstance(message, WorkerExited) and "exit code 0" in message.reason


def test_a_log_that_nobody_reads_holds_up_no_worker_and_fills_no_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voiceclone_cli.workers.process.MAX_UNREAD_LOG", 100)
    said = "import sys\nfor number in range(20_000):\n    print('said', number, file=sys.stderr)\n"
    worker, inbox = started(tmp_path, said)
    assert worker.wait(20.0), "it waits for nobody"
    heard = [inbox.get(timeout=20) for _ in range(100)]
    assert [message.line for message in heard if isinstance(message, LogMessage)] == [
        f"said {number}" for number in range(100)
    ]
    assert isinstance(end := inbox.get(timeout=20), WorkerExited) and "said 19999" in end.reason


def test_what_a_worker_logs_is_handed_on_without_control_characters(
    tmp_path: Path, echo_pool: EchoPool
) -> None:
    worker = worker_command(None, threads=1).program
    talkative = instead_of_the_worker(
        tmp_path / "talkative.py",
        "import runpy, sys\n"
        "print('\\x1b[31mloading\\x1b[0m\\a the engine', file=sys.stderr, flush=True)\n"
        f"sys.argv[0] = {str(worker)!r}\n"
        f"runpy.run_path({str(worker)!r}, run_name='__main__')\n",
    )
    logged: list[tuple[str, str]] = []
    outcome = echo_pool.run(
        command=talkative,
        on_log=lambda worker, line: logged.append((worker, line)),
    )
    echo_pool.assert_whole(outcome)
    assert logged[0] == ("worker 1", "[31mloading [0m  the engine")
