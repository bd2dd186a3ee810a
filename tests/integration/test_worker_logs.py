"""However much a worker says, it is kept within bounds."""

from __future__ import annotations

import queue
from pathlib import Path

import pytest

from echo_pool import EchoPool, instead_of_the_worker
from voiceclone_cli.workers import process
from voiceclone_cli.workers.process import TaskFiles, WorkerProcess, worker_command
from voiceclone_cli.workers.protocol import EventMessage, LogMessage, Message, WorkerExited


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
    results = []
    while isinstance(message := inbox.get(timeout=20), EventMessage):
        worker.taken(message)
        results.append(message.event["number"])
    assert results == list(range(20_000)), "none is lost"
    assert isinstance(message, WorkerExited) and "exit code 0" in message.reason


def test_a_log_that_nobody_reads_holds_up_no_worker_and_fills_no_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voiceclone_cli.workers.process.MAX_UNREAD_LOG", 100)
    said = "import sys\nfor number in range(20_000):\n    print('said', number, file=sys.stderr)\n"
    worker, inbox = started(tmp_path, said)
    assert worker.wait(20.0), "it waits for nobody"
    results = [inbox.get(timeout=20) for _ in range(100)]
    assert [message.line for message in results if isinstance(message, LogMessage)] == [
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
