"""The pool over real worker processes with the echo engine."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import venv
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from echo_faults import with_faults
from echo_pool import instead_of_the_worker
from factories import synthesis_task
from voiceclone_cli import system
from voiceclone_cli.errors import PreflightError, Stopped
from voiceclone_cli.system import request_stop
from voiceclone_cli.workers.pool import Pool
from voiceclone_cli.workers.process import LocalLauncher, WorkerCommand, worker_command
from voiceclone_cli.workers.protocol import PoolResult, one_lease, shared_leases, warm_up
from voiceclone_worker.protocol import EncodeTask, EngineSpec, SynthesisTask


def task(folder: Path, speaker: str = "A", count: int = 6, **options: Any) -> SynthesisTask:
    return synthesis_task(folder, speaker, count, **options)


def pool(folder: Path, workers: int = 2, command: WorkerCommand | None = None, **settings: Any) -> Pool:
    tasks = folder / "tasks"
    tasks.mkdir(exist_ok=True)
    command = command or worker_command(None, threads=1)
    return Pool(LocalLauncher(command, workers, tasks), **settings)


def states(outcome: PoolResult) -> dict[str, str]:
    return {key[1]: row.status for key, row in outcome.segments.items()}


def test_every_segment_of_every_speaker_is_spoken(tmp_path: Path) -> None:
    tasks = [task(tmp_path, "A", 11), task(tmp_path, "B", 3)]
    with pool(tmp_path) as workers:
        outcome = workers.run(shared_leases(tasks, 2, 5))
    assert len(outcome.segments) == 14 and set(states(outcome).values()) == {"done"}
    assert all(Path(str(row.file)).is_file() for row in outcome.segments.values())
    assert not list((tmp_path / "tasks").iterdir()), "task files are temporary"


def test_workers_can_be_warmed_up_while_another_encodes(tmp_path: Path) -> None:
    (tmp_path / "A.wav").write_bytes(b"some sound")
    work = task(tmp_path, "A", delay=0.1)
    with pool(tmp_path, 3) as workers:
        encode = one_lease([EncodeTask(work.engine, (work.reference,))])
        outcome = workers.run([*encode, *warm_up(work.engine, 2)])
        assert outcome.references["A"].status == "done" and not outcome.segments
        assert "load" in outcome.timing
        synthesized = workers.run(shared_leases([work], 3, 1))
    # By the workers' results, each of the three holding a lease: events may come later than these.
    assert len(synthesized.segments) == 6 and "load" not in synthesized.timing, "loaded once each"


def test_the_bytes_do_not_depend_on_mode_workers_or_batch(tmp_path: Path) -> None:
    results = []
    for name, workers, batch in (("one", 1, 5), ("two", 2, 2), ("three", 3, 1)):
        folder = tmp_path / name
        folder.mkdir()
        tasks = [task(folder, "A", 7), task(folder, "B", 4)]
        leases = one_lease(tasks) if workers == 1 else shared_leases(tasks, workers, batch)
        with pool(folder, workers) as running:
            running.run(leases)
        results.append({p.name: p.read_bytes() for p in (folder / "out").glob("*.wav")})
    assert len(results[0]) == 11 and results[0] == results[1] == results[2]


def test_each_row_is_reported_once_as_it_happens(tmp_path: Path) -> None:
    reported: list[str] = []
    with pool(tmp_path) as workers:
        workers.run(shared_leases([task(tmp_path)], 2, 2), on_segment=lambda row: reported.append(row.id))
    assert sorted(reported) == [f"A{i:04d}" for i in range(6)]


@pytest.mark.parametrize("error", [KeyError, ValueError, TypeError])
def test_an_error_of_whoever_is_reported_is_not_taken_for_a_damaged_event(
    tmp_path: Path, error: type[Exception]
) -> None:
    def report(row: object) -> None:
        raise error("a defect of the caller")

    with pytest.raises(error, match="a defect of the caller"), pool(tmp_path) as workers:
        workers.run(shared_leases([task(tmp_path)], 2, 3), on_segment=report)


def test_ids_that_two_tasks_share_are_not_mixed_up(tmp_path: Path) -> None:
    """A late event of one lease must not be believed for the next, whose rows have the same names."""
    tasks = []
    for speaker in "ABC":
        mine = task(tmp_path, speaker, 4)
        lines = tuple(replace(line, id=line.id[1:]) for line in mine.segments)
        tasks.append(replace(mine, segments=lines, output_dir=str(tmp_path / speaker)))
    announced: list[str] = []
    with pool(
        tmp_path, 2, on_event=lambda w, e: announced.append(e["event"]) if "done" in e["event"] else None
    ) as workers:
        outcome = workers.run(shared_leases(tasks, 2, 1))
    assert len(outcome.segments) == 12 == len(announced), "each is announced once"
    for (folder, segment_id), row in outcome.segments.items():
        assert row.file == str(Path(folder) / f"{segment_id}.wav")


def test_references_are_encoded_together_and_a_bad_one_is_only_its_own_failure(tmp_path: Path) -> None:
    (tmp_path / "A.wav").write_bytes(b"some sound")
    references = tuple(task(tmp_path, speaker).reference for speaker in "AB")
    with pool(tmp_path) as workers:
        outcome = workers.run(one_lease([EncodeTask(EngineSpec("echo"), references)]))
    assert outcome.references["A"].status == "done" and (tmp_path / "A.txt").is_file()
    assert outcome.references["B"].error is not None
    assert outcome.references["B"].error.code == "reference_unusable"


@pytest.mark.parametrize("fault", ["fail", "raise"])
def test_a_segment_that_fails_takes_no_other_with_it(tmp_path: Path, fault: str) -> None:
    with pool(tmp_path) as workers:
        outcome = workers.run(shared_leases([task(tmp_path, **with_faults(faults={"A0005": fault}))], 2, 3))
    assert [key for key, state in states(outcome).items() if state == "failed"] == ["A0005"]


def test_a_segment_that_kills_its_worker_twice_is_given_up_and_the_rest_is_spoken(tmp_path: Path) -> None:
    with pool(tmp_path) as workers:
        outcome = workers.run(one_lease([task(tmp_path, **with_faults(faults={"A0002": "exit"}))]))
    assert states(outcome) == {f"A{i:04d}": "failed" if i == 2 else "done" for i in range(6)}
    row = next(row for row in outcome.segments.values() if row.status == "failed")
    assert row.error is not None and row.error.code == "worker_died"
    assert "exit code 9" in row.error.message


def test_a_worker_without_progress_is_ended_and_said_so(tmp_path: Path) -> None:
    with pool(tmp_path, 1, timeout_scale=0.003) as workers:
        outcome = workers.run(one_lease([task(tmp_path, count=2, **with_faults(faults={"A0000": "stall"}))]))
    assert states(outcome) == {"A0000": "failed", "A0001": "done"}
    row = outcome.segments[str(tmp_path / "out"), "A0000"]
    assert row.error is not None and "no progress" in row.error.message


def test_an_engine_that_cannot_load_fails_everything_once_with_its_reason(tmp_path: Path) -> None:
    loads = []
    with pool(tmp_path, on_event=lambda worker, event: loads.append(event["event"])) as workers:
        tasks = [task(tmp_path, count=30, **{"import": "no_such_module"})]
        outcome = workers.run(shared_leases(tasks, 2, 1))
    assert set(states(outcome).values()) == {"failed"} and len(outcome.segments) == 30
    assert loads.count("loading") <= 2, "nobody tries what cannot work again and again"
    assert {row.error.code for row in outcome.segments.values() if row.error} == {"engine_not_installed"}


def test_an_interpreter_that_does_not_exist_is_a_preflight_error(tmp_path: Path) -> None:
    with (
        pytest.raises(PreflightError, match="FISH_SPEECH_PYTHON"),
        pool(tmp_path, command=worker_command("/no/such/python", threads=1)) as workers,
    ):
        workers.run(one_lease([task(tmp_path)]))


def test_an_interpreter_that_is_no_worker_gives_up_with_its_last_words(tmp_path: Path) -> None:
    nonsense = instead_of_the_worker(tmp_path / "nonsense.py", "import sys; sys.exit('I am not a worker')")
    with pool(tmp_path, 1, nonsense) as workers:
        outcome = workers.run(one_lease([task(tmp_path)]))
    assert set(states(outcome).values()) == {"failed"}
    assert "I am not a worker" in outcome.errors[0].message


_TELLS_ITS_NUMBER = """
import json, os, pathlib, sys
for line in sys.stdin:
    number = os.environ["VOICECLONE_WORKER"]
    dies = pathlib.Path(__file__).with_name("dies")
    if dies.exists() and dies.read_text() == number:
        dies.unlink()
        sys.exit("it dies once")
    rows = []
    for task, path in enumerate(json.loads(line)):
        document = json.loads(pathlib.Path(path).read_text())
        for segment in document["segments"]:
            folder = pathlib.Path(document["output_dir"])
            folder.mkdir(exist_ok=True)
            file = folder / (segment["id"] + ".wav")
            file.write_bytes(bytes(44 + 2 * 10))
            rows.append({"task": task, "id": segment["id"], "status": "done", "file": str(file), "frames": 10})
    answer = {"schema": "voiceclone.result/1", "segments": rows, "timing": {},
              "notes": [f"this is worker {number}", "all say this"]}
    print(json.dumps(answer), flush=True)
"""


def _numbered(folder: Path) -> WorkerCommand:
    return instead_of_the_worker(folder / "numbered.py", _TELLS_ITS_NUMBER)


def test_each_worker_knows_its_number_and_each_note_is_kept_once(tmp_path: Path) -> None:
    with pool(tmp_path, 3, _numbered(tmp_path)) as workers:
        outcome = workers.run(shared_leases([task(tmp_path, count=12)], 3, 1))
    assert sorted(outcome.notes) == ["all say this", *(f"this is worker {n}" for n in (1, 2, 3))]


def test_who_replaces_a_dead_worker_takes_its_number(tmp_path: Path) -> None:
    (tmp_path / "dies").write_text("2", encoding="utf-8")
    with pool(tmp_path, 2, _numbered(tmp_path)) as workers:
        outcome = workers.run(shared_leases([task(tmp_path, count=8)], 2, 1))
    assert set(states(outcome).values()) == {"done"} and not (tmp_path / "dies").exists()
    assert "this is worker 3" not in outcome.notes


def test_leaving_the_pool_ends_every_worker(tmp_path: Path) -> None:
    pids: list[int] = []
    with (
        pytest.raises(RuntimeError),
        pool(
            tmp_path,
            on_event=lambda worker, event: pids.append(event["pid"]) if event["event"] == "hello" else None,
        ) as workers,
    ):
        workers.run(shared_leases([task(tmp_path)], 2, 3))
        raise RuntimeError("the coordinator fails")
    assert len(pids) == 2
    deadline = time.monotonic() + 10
    while any(_alive(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_stop_lets_lines_in_flight_finish_and_leases_no_more(tmp_path: Path) -> None:
    reported: list[str] = []

    def report(worker: str, event: dict[str, Any]) -> None:
        if event["event"] == "segment_started" and event["id"] == "A0002":
            request_stop(Stopped(130))

    with (
        pytest.raises(Stopped) as stopped,
        pool(tmp_path, 1, on_event=report) as workers,
    ):
        leases = shared_leases([task(tmp_path, count=12, delay=0.3)], 1, 3)
        workers.run(leases, on_segment=lambda row: reported.append(row.id))
    assert stopped.value.exit_code == 130
    assert reported == ["A0000", "A0001", "A0002"]
    assert not list((tmp_path / "tasks").iterdir())


def test_a_stop_does_not_wait_for_what_takes_too_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voiceclone_cli.workers.pool.STOPPING_SECONDS", 0.3)
    pids: list[int] = []

    def report(worker: str, event: dict[str, Any]) -> None:
        if event["event"] == "hello":
            pids.append(event["pid"])
        if event["event"] == "segment_started":
            request_stop(Stopped(143))

    with pytest.raises(Stopped), pool(tmp_path, 1, on_event=report) as workers:
        workers.run(one_lease([task(tmp_path, **with_faults(faults={"A0000": "stall"}))]))
    assert len(pids) == 1 and not _alive(pids[0])


def test_a_stop_between_two_runs_is_raised_when_the_pool_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Stopped), pool(tmp_path, 1) as workers:
        workers.run(one_lease([task(tmp_path)]))
        request_stop(Stopped(129))
    monkeypatch.setattr(system, "_raised", [])
    with pytest.raises(Stopped):
        request_stop(Stopped(130))  # nobody listens any more


def test_a_stop_is_heard_while_nothing_is_said(tmp_path: Path) -> None:
    """From another thread, as a signal comes, while the only worker is silent."""
    timer = threading.Timer(0.5, request_stop, [Stopped(130)])
    timer.start()
    with pytest.raises(Stopped), pool(tmp_path, 1) as workers:
        workers.run(one_lease([task(tmp_path, delay=2.0)]))
    timer.join()


def test_a_worker_in_another_interpreter_cannot_import_from_this_one(tmp_path: Path) -> None:
    """The heart of the architecture: nothing of the UI environment is visible in a bare one."""
    venv.create(tmp_path / "bare", with_pip=False)
    python = tmp_path / "bare" / ("Scripts" if os.name == "nt" else "bin") / "python"
    here = subprocess.run([sys.executable, "-c", "import typer"], capture_output=True)
    assert here.returncode == 0, "typer is installed here"
    with pool(tmp_path, 1, worker_command(str(python), threads=1)) as workers:
        guest = workers.run(one_lease([task(tmp_path, "A", 1, **{"import": "typer"})]))
        plain = workers.run(one_lease([task(tmp_path, "B", 1)]))
    (row,) = guest.segments.values()
    assert row.error is not None and row.error.code == "engine_not_installed"
    assert "typer" in row.error.message
    assert set(states(plain).values()) == {"done"}


def test_a_worker_is_given_no_secret_and_no_python_path(monkeypatch: pytest.MonkeyPatch) -> None:
    environ = {"HF_TOKEN": "hf_secret", "PYTHONPATH": "/x", "PYTHONHOME": "/y", "PATH": "/bin", "OTHER": "1"}
    given = worker_command(None, threads=3, environ=environ).environment
    assert (
        given["PATH"] == "/bin" and given["OMP_NUM_THREADS"] == "3" and given["OMP_WAIT_POLICY"] == "PASSIVE"
    )
    assert not {"HF_TOKEN", "PYTHONPATH", "PYTHONHOME", "OTHER"} & given.keys()


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
