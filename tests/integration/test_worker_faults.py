"""Whatever a worker does wrong: it is diagnosed in one sentence, replaced, and no row is lost.

Real processes; the echo engine does the wrong in earnest (``faults_dir``).
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from voiceclone_cli.workers.leases import one_lease, shared_leases
from voiceclone_cli.workers.local.environment import WorkerCommand, worker_command
from voiceclone_cli.workers.local.launcher import LocalLauncher, pipes
from voiceclone_cli.workers.local.process import WorkerProcess
from voiceclone_cli.workers.pool import Outcome, Pool
from voiceclone_cli.workers.slot import EventMessage, GoneMessage, LogMessage, Message
from voiceclone_cli.workers.task_files import TaskFiles
from voiceclone_worker.contract import EncodeTask, EngineSpec, ReferenceSpec, SegmentSpec, SynthesisTask
from voiceclone_worker.engines.echo_faults import FAULTS

pytestmark = pytest.mark.skipif(os.name == "nt", reason="faults are made of signals")

PATIENCE = 0.005
"""A stall is found after 1.5 s, a hang after 3 s, the least that deadlines know."""

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


class Studio:
    """A folder with faults, a task of six lines, and a pool that speaks them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.faults = folder / "faults"
        self.tasks = folder / "tasks"
        for each in (self.faults, self.tasks):
            each.mkdir(parents=True)
        (folder / "A.wav").write_bytes(b"some sound")
        self.told: list[str] = []
        self.always: dict[str, str] = {}

    def order(self, *names: str) -> None:
        for name in names:
            (self.faults / name).touch()

    @property
    def task(self) -> SynthesisTask:
        segments = tuple(SegmentSpec(f"{number:04d}", "a few words", "en", number) for number in range(6))
        reference = ReferenceSpec("A", str(self.folder / "A.wav"), "", str(self.folder / "A.txt"))
        engine = EngineSpec("echo", options={"faults_dir": str(self.faults), "faults": self.always})
        return SynthesisTask("A", engine, reference, str(self.folder / "out"), segments)

    def run(self, workers: int = 1, command: WorkerCommand | None = None, **settings: Any) -> Outcome:
        """Encode the speaker, then speak the lines: in one lease with one worker, else in leases of two."""
        task = self.task
        command = command or worker_command(None, threads=1)
        log_dir = settings.pop("log_dir", None)
        with Pool(
            LocalLauncher(command, workers, self.tasks, log_dir=log_dir),
            on_event=lambda worker, event: self.told.append(event["event"]),
            **{"patience": PATIENCE, **settings},
        ) as pool:
            encoded = pool.run(one_lease([EncodeTask(task.engine, (task.reference,))]))
            leases = one_lease([task]) if workers == 1 else shared_leases([task], workers, 2)
            spoken = pool.run(leases)
        spoken.references = encoded.references
        spoken.errors = encoded.errors + spoken.errors
        spoken.notes = encoded.notes + spoken.notes
        return spoken

    def assert_whole(self, outcome: Outcome) -> None:
        """Everything is done, every fault was met, and nothing is left over."""
        rows = {key[1]: row for key, row in outcome.segments.items()}
        assert {name: row.status for name, row in rows.items()} == {f"{n:04d}": "done" for n in range(6)}
        assert outcome.references["A"].status == "done"
        assert outcome.errors == []
        assert not list(self.faults.iterdir()), "every fault was met"
        assert not list(self.tasks.iterdir()), "no task file is left"
        assert sorted(path.name for path in (self.folder / "out").glob("*.wav")) == [
            f"{number:04d}.wav" for number in range(6)
        ]


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(tmp_path / "studio")


# ------------------------------------------------------------------- every fault, once, at each moment


@pytest.mark.parametrize("moment", ["load", "encode"])
@pytest.mark.parametrize("pair", [("kill", "segv"), ("exit", "loud"), ("garbage", "utf8")])
def test_a_worker_that_fails_before_it_speaks_is_replaced(
    studio: Studio, moment: str, pair: tuple[str, str]
) -> None:
    """Two in a row: a third would end the pool's patience."""
    studio.order(*(f"{moment}.{fault}" for fault in pair))
    outcome = studio.run()
    studio.assert_whole(outcome)
    assert len(outcome.notes) == 2 or "garbage" in pair, "each death is told"


@pytest.mark.parametrize("faults", [("kill", "exit", "garbage"), ("segv", "loud", "utf8")])
def test_workers_that_fail_while_they_speak_are_replaced_and_their_lines_spoken(
    studio: Studio, faults: tuple[str, ...]
) -> None:
    # A line is spoken between two faults, so that no worker waits long to be replaced.
    studio.order(*(f"generate.{number:04d}.{fault}" for number, fault in zip((1, 3, 5), faults, strict=True)))
    outcome = studio.run()
    studio.assert_whole(outcome)
    told = " ".join(outcome.notes)
    assert all(FATAL[fault] in told for fault in faults), outcome.notes


@pytest.mark.parametrize("fault", ["hang", "stall"])
@pytest.mark.parametrize("moment", ["load", "encode", "generate.0003"])
def test_a_worker_that_hangs_or_stalls_is_found_and_replaced(studio: Studio, moment: str, fault: str) -> None:
    studio.order(f"{moment}.{fault}")
    studio.assert_whole(studio.run(patience=0.002))


def test_what_is_only_slow_or_odd_is_left_alone(studio: Studio) -> None:
    studio.order("load.slow", "generate.0004.slow")
    for moment in ("load", "encode", "generate.0001", "generate.0004"):
        studio.order(f"{moment}.longline", f"{moment}.torn")
    studio.assert_whole(studio.run())
    assert studio.told.count("hello") == 1, "no worker was replaced"


def test_faults_of_many_kinds_in_a_pool_of_three(studio: Studio) -> None:
    studio.order("load.kill", "generate.0000.exit", "generate.0001.garbage", "generate.0002.torn")
    studio.order("generate.0003.missing", "generate.0004.longline", "generate.0005.segv", "encode.slow")
    studio.assert_whole(studio.run(3))


# ------------------------------------------------------------------------------------------ diagnosis


@pytest.mark.parametrize("fault", ["kill", "segv", "exit", "loud", "hang", "stall"])
def test_a_line_that_takes_two_workers_down_is_given_up_with_the_last_ones_diagnosis(
    studio: Studio, fault: str
) -> None:
    studio.order(f"generate.0003.{fault}.1", f"generate.0003.{fault}.2")
    # A hang is a stall too: only where silence is found first, it is told from one.
    outcome = studio.run(patience=0.02 if fault == "hang" else 0.003)
    row = outcome.segments[studio.task.output_dir, "0003"]
    assert row.error is not None and row.error.code == "worker_died"
    assert "took two workers down" in row.error.message
    assert FATAL[fault] in row.error.message
    assert "\n" not in row.error.message and len(row.error.message) < 700
    others = {key[1]: row.status for key, row in outcome.segments.items() if key[1] != "0003"}
    assert set(others.values()) == {"done"} and len(others) == 5


def test_three_workers_that_die_while_loading_end_the_pools_patience(studio: Studio) -> None:
    studio.order("load.loud.1", "load.loud.2", "load.loud.3")
    outcome = studio.run()
    assert {row.status for row in outcome.segments.values()} == {"failed"}
    (error,) = outcome.errors[:1]
    assert error.code == "worker_died" and "3 workers ended so" in error.message
    assert "exit code 3" in error.message and "voiceclone doctor" in error.message


def test_every_fault_has_its_test() -> None:
    tested = {*AT_ANY_MOMENT, *FATAL, "missing", "doubled", "unknown"}
    assert tested == FAULTS.keys()


# --------------------------------------------------------------------------------------- false results


def test_a_row_that_is_missing_in_a_result_goes_to_another_worker(studio: Studio) -> None:
    studio.order("generate.0002.missing")
    outcome = studio.run()
    studio.assert_whole(outcome)
    assert studio.told.count("hello") == 2
    (note,) = outcome.notes
    assert "no outcome" in note and "0002" in note and "replaced" in note


def test_a_row_that_is_missing_twice_has_failed(studio: Studio) -> None:
    studio.always["0002"] = "missing"
    outcome = studio.run()
    states = {key[1]: row.error.code if row.error else row.status for key, row in outcome.segments.items()}
    assert states == {f"{n:04d}": "no_outcome" if n == 2 else "done" for n in range(6)}


def test_doubled_and_unknown_rows_are_told_and_change_nothing(studio: Studio) -> None:
    studio.order("generate.0002.doubled", "generate.0003.unknown")
    outcome = studio.run()
    studio.assert_whole(outcome)
    assert studio.told.count("hello") == 1 and studio.told.count("segment_done") == 6
    assert [note.split(":")[0] for note in outcome.notes] == [
        "worker 1 answered twice for 0002",
        "worker 1 answered for not-0003, which it was not given",
    ]


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
    program = folder / "false_worker.py"
    body = f"def falsify(row, answer, count):\n    {falsify}\n"
    program.write_text("import os\n" + body + FALSE_WORKER, encoding="utf-8")
    good = worker_command(None, threads=1)
    return WorkerCommand(good.python, program, good.environment)


WRONG_FILES = {
    "no file": ("os.unlink(row['file'])", "where no file is"),
    "a cut file": ("os.truncate(row['file'], 50)", "has 50 bytes"),
    "another file": ("row['file'] = __file__", "not "),
    "a link": ("os.rename(row['file'], __file__ + 'x'); os.symlink(__file__ + 'x', row['file'])", "no file"),
}


@pytest.mark.parametrize("what", WRONG_FILES)
def test_done_is_believed_only_when_the_file_is_there(studio: Studio, what: str) -> None:
    falsify, says = WRONG_FILES[what]
    outcome = studio.run(command=false_worker(studio.folder, falsify))
    states = {key[1]: row.error.code if row.error else row.status for key, row in outcome.segments.items()}
    assert states == {f"{n:04d}": "result_wrong" if n == 0 else "done" for n in range(6)}
    row = outcome.segments[studio.task.output_dir, "0000"]
    assert row.error is not None and says in row.error.message


def test_a_wrong_row_that_is_right_the_second_time_is_done(studio: Studio) -> None:
    outcome = studio.run(command=false_worker(studio.folder, "count == 1 and os.unlink(row['file'])"))
    studio.assert_whole(outcome)
    assert "cannot be believed" in outcome.notes[0]


def test_an_answer_to_another_lease_is_not_taken_for_this_ones(studio: Studio) -> None:
    falsify = "answer['lease'] = 7 if count == 1 else 0"
    outcome = studio.run(command=false_worker(studio.folder, falsify))
    studio.assert_whole(outcome)


def test_an_answer_without_an_end_is_not_kept(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voiceclone_cli.workers.local.process.LONGEST_RESULT", 1_000_000)
    falsify = "[os.write(1, b'x' * 10000) for _ in range(200)] if count == 1 else None"
    outcome = studio.run(command=false_worker(studio.folder, falsify))
    studio.assert_whole(outcome)


# ------------------------------------------------------------------------------------------ log, tasks


def test_a_log_is_bounded_and_says_that_it_was_cut(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipes, "LONGEST_LOG", 1_000_000)
    logs = studio.folder / "logs"
    logs.mkdir()
    studio.order("generate.0001.longline", "load.longline")
    studio.assert_whole(studio.run(log_dir=logs))
    (log,) = logs.iterdir()
    assert log.stat().st_size < 1_100_000
    assert log.read_bytes().endswith(b"(cut here: the log has reached its 1 MB)\n")


def test_a_log_that_cannot_be_written_stops_nothing(studio: Studio) -> None:
    studio.order("generate.0001.longline")
    studio.assert_whole(studio.run(log_dir=studio.folder / "nowhere"))


def test_task_files_that_cannot_be_written_fail_the_rows_with_the_reason(studio: Studio) -> None:
    studio.tasks.rmdir()
    studio.tasks.write_text("a file is in the way")
    outcome = studio.run()
    assert {row.error.code for row in outcome.segments.values() if row.error} == {"output_unwritable"}
    assert len(outcome.segments) == 6
    assert str(studio.tasks) in outcome.errors[0].message


def test_events_that_nobody_takes_hold_up_the_worker_and_fill_no_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voiceclone_cli.workers.local.process.MOST_UNREAD", 100)
    program = tmp_path / "talks.py"
    program.write_text(
        "import sys\n"
        "for number in range(20_000):\n"
        '    print(\'@voiceclone {"event": "said", "number": %d}\' % number, file=sys.stderr)\n'
    )
    good = worker_command(None, threads=1)
    inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
    worker = WorkerProcess(
        "w", WorkerCommand(good.python, program, good.environment), inbox, TaskFiles(tmp_path, keep=False)
    )
    assert not worker.wait(1.0), "it waits for its reader"
    assert inbox.qsize() <= 100
    heard = []
    while isinstance(message := inbox.get(timeout=20), EventMessage):
        worker.taken(message)
        heard.append(message.event["number"])
    assert heard == list(range(20_000)), "none is lost"
    assert isinstance(message, GoneMessage) and "exit code 0" in message.reason


def test_a_log_that_nobody_reads_holds_up_no_worker_and_fills_no_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voiceclone_cli.workers.local.process.MOST_UNREAD_LOG", 100)
    program = tmp_path / "chatters.py"
    program.write_text(
        "import sys\nfor number in range(20_000):\n    print('said', number, file=sys.stderr)\n"
    )
    good = worker_command(None, threads=1)
    inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
    worker = WorkerProcess(
        "w", WorkerCommand(good.python, program, good.environment), inbox, TaskFiles(tmp_path, keep=False)
    )
    assert worker.wait(20.0), "it waits for nobody"
    heard = [inbox.get(timeout=20) for _ in range(100)]
    assert [message.line for message in heard if isinstance(message, LogMessage)] == [
        f"said {number}" for number in range(100)
    ]
    assert isinstance(end := inbox.get(timeout=20), GoneMessage) and "said 19999" in end.reason


def test_what_a_worker_logs_is_handed_on_without_control_characters(tmp_path: Path, studio: Studio) -> None:
    good = worker_command(None, threads=1)
    program = tmp_path / "talkative.py"
    program.write_text(
        "import runpy, sys\n"
        "print('\\x1b[31mloading\\x1b[0m\\a the engine', file=sys.stderr, flush=True)\n"
        f"sys.argv[0] = {str(good.program)!r}\n"
        f"runpy.run_path({str(good.program)!r}, run_name='__main__')\n"
    )
    logged: list[tuple[str, str]] = []
    outcome = studio.run(
        command=WorkerCommand(good.python, program, good.environment),
        on_log=lambda worker, line: logged.append((worker, line)),
    )
    studio.assert_whole(outcome)
    assert logged[0] == ("worker 1", "[31mloading [0m  the engine")


# ------------------------------------------------------------------------- a coordinator that is killed

COORDINATOR = """
import json, sys
from pathlib import Path
from voiceclone_cli.workers.local.environment import worker_command
from voiceclone_cli.workers.leases import one_lease
from voiceclone_cli.workers.local.launcher import LocalLauncher
from voiceclone_cli.workers.pool import Pool
from voiceclone_worker.contract import read_task

python, task, folder = sys.argv[1:]
def tell(worker, event):
    print(json.dumps(event), flush=True)
with Pool(LocalLauncher(worker_command(python or None, threads=1), 1, Path(folder)), on_event=tell) as pool:
    pool.run(one_lease([read_task(task)]))
"""


class Orphanage:
    """A coordinator in a process of its own, to be killed, and the worker it leaves."""

    def __init__(self, studio: Studio, python: str = "") -> None:
        from voiceclone_worker.contract import task_to_json

        path = studio.folder / "task.json"
        path.write_text(task_to_json(studio.task), encoding="utf-8")
        self._coordinator = subprocess.Popen(
            [sys.executable, "-c", COORDINATOR, python, str(path), str(studio.tasks)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )
        assert self._coordinator.stdout is not None
        self.events: Iterator[dict[str, Any]] = map(json.loads, self._coordinator.stdout)
        self.worker = int(next(self.events)["pid"])

    def wait_for(self, *, fault: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 20
        while not fault():
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def stop_coordinator(self) -> None:
        self._coordinator.send_signal(signal.SIGSTOP)

    def worker_ends_with_the_coordinator(self) -> bool:
        """Kill the coordinator; whether two seconds later the worker is gone (if not, it is killed too)."""
        self._coordinator.kill()
        self._coordinator.wait()
        assert self._coordinator.stdout is not None
        self._coordinator.stdout.close()
        time.sleep(2.0)
        if lives := self._worker_lives():
            os.kill(self.worker, signal.SIGKILL)
        return not lives

    def _worker_lives(self) -> bool:
        try:
            state = Path(f"/proc/{self.worker}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return False
        return state not in ("Z", "X")


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize("moment", ["load.stall", "generate.0002.stall", "generate.0002.hang", "load.hang"])
def test_a_killed_coordinator_leaves_no_worker_for_two_seconds(studio: Studio, moment: str) -> None:
    studio.order(moment)
    family = Orphanage(studio)
    family.wait_for(fault=lambda: not list(studio.faults.iterdir()))
    assert family.worker_ends_with_the_coordinator()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_a_worker_that_is_held_up_by_a_full_pipe_ends_too(studio: Studio) -> None:
    studio.order("generate.0001.slow", "generate.0002.longline")
    family = Orphanage(studio)
    while {"event": "segment_started", "id": "0001"}.items() - next(family.events).items():
        pass
    family.stop_coordinator()  # it reads no more: what the worker says fills the pipe
    family.wait_for(fault=lambda: not list(studio.faults.iterdir()))
    assert family.worker_ends_with_the_coordinator()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_a_script_as_interpreter_keeps_its_worker_as_long_as_the_coordinator_lives(studio: Studio) -> None:
    """The worker's parent is the script then, which lives on when the coordinator is killed."""
    script = studio.folder / "python"
    script.write_text(f'#!/bin/sh\n{sys.executable} "$@"\nexit $?\n')
    script.chmod(0o755)
    studio.order("generate.0002.slow.1", "generate.0002.slow.2", "generate.0003.stall")
    family = Orphanage(studio, str(script))
    done = 0
    while done < 3:  # 0000, 0001, and 0002 after two seconds of the parent's death watch
        done += next(family.events)["event"] == "segment_done"
    family.wait_for(fault=lambda: not list(studio.faults.iterdir()))
    assert family.worker_ends_with_the_coordinator()
