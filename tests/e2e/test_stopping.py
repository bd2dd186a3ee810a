"""The command is told to stop, or loses its terminal, its reader or its life."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from command import Run, voiceclone
from echo_faults import with_faults
from processes import children, gone
from short_talk import ShortTalk, short_talk

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX signals")


@pytest.fixture
def talk(tmp_path: Path) -> ShortTalk:
    return short_talk(tmp_path / "talk")


@pytest.fixture
def slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOICECLONE_ECHO", json.dumps({"delay": 0.4}))


def start(talk: ShortTalk, out: Path, *more: object, **streams: Any) -> subprocess.Popen[bytes]:
    arguments = [sys.executable, "-m", "voiceclone_cli", *map(str, talk.arguments(out, *more))]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
    return subprocess.Popen(arguments, stdin=subprocess.DEVNULL, start_new_session=True, **streams)


def until_speaking(out: Path, lines: int = 1) -> None:
    """Wait until ``lines`` lines are written."""
    deadline = time.monotonic() + 60
    while len(list(out.glob("segments/*.wav"))) < lines:
        assert time.monotonic() < deadline, "nothing was spoken"
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_the_first_signal_keeps_what_is_done_and_writes_the_manifest(
    slowly: None, talk: ShortTalk, tmp_path: Path, number: int, code: int
) -> None:
    out = tmp_path / "run"
    process = start(talk, out)
    until_speaking(out)
    workers = children(process.pid)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=8)
    assert process.returncode == code and b"Traceback" not in stderr
    assert workers and gone(workers, 2.0)
    document = json.loads(stdout)
    states = {row["id"]: row["status"] for row in document["segments"]}
    assert len(states) == 10 and document["status"] == "partial"
    assert {row["error"]["code"] for row in document["segments"] if row["error"]} == {"interrupted"}
    assert document == json.loads((out / "run.json").read_text(encoding="utf-8"))
    # What was in flight was finished, and its fingerprint stands beside it.
    done = {id for id, state in states.items() if state == "done"}
    assert done == {path.stem for path in (out / "segments").glob("*.wav")}
    assert done == {path.stem for path in (out / "segments").glob("*.json")}
    again = Run(voiceclone(*talk.arguments(out)), out)
    assert again.ended.code == 0 and again.ended.document["reused"] == len(done)


def test_the_second_signal_ends_it_at_once_and_the_next_run_goes_on(talk: ShortTalk, tmp_path: Path) -> None:
    out = tmp_path / "run"
    stall = tmp_path / "faults" / "generate.0001.stall"
    stall.parent.mkdir()
    stall.touch()
    environment = {**os.environ, "VOICECLONE_ECHO": json.dumps(with_faults(faults_dir=str(stall.parent)))}
    process = start(talk, out, env=environment)
    until = time.monotonic() + 60
    while stall.exists():  # then a line is in flight that would keep the first signal waiting
        assert time.monotonic() < until
        time.sleep(0.02)
    time.sleep(0.5)
    workers = children(process.pid)
    process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=2)
    assert process.returncode == 143 and gone(workers, 2.0)
    again = Run(voiceclone(*talk.arguments(out)), out)
    assert again.ended.code == 0 and again.ended.document["reused_stages"] == ["casting", "encoding"]


def test_when_the_command_is_killed_no_worker_outlives_it_and_nothing_of_it_stays(
    slowly: None, talk: ShortTalk, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    process = start(talk, out, "--mode", "parallel", "--workers", 3)
    until_speaking(out, lines=4)  # so one of the workers has reported its first
    workers = children(process.pid)
    process.kill()
    process.communicate(timeout=5)
    assert len(workers) == 3 and gone(workers, 2.0)
    again = Run(voiceclone(*talk.arguments(out)), out)
    assert again.ended.code == 0 and again.ended.document["reused"] >= 1
    assert not (out / "tasks").exists() and not list(out.rglob("*.part*")) and not list(out.rglob("*.tmp"))


def test_an_early_signal_is_told_in_a_word_and_leaves_no_directory(talk: ShortTalk, tmp_path: Path) -> None:
    process = start(talk, tmp_path / "run")
    while not _handles_sigterm(process.pid):
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=10)
    assert process.returncode == 130 and stderr.endswith(b"voiceclone: stopped\n")
    assert b"Traceback" not in stderr


def _handles_sigterm(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    (caught,) = (line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1)


@pytest.fixture
def closed_pipe() -> Iterator[int]:
    """The end to write into of a pipe that nobody reads any more."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


def test_with_nobody_reading_it_the_run_is_made_all_the_same(
    talk: ShortTalk, tmp_path: Path, closed_pipe: int
) -> None:
    out = tmp_path / "run"
    process = start(talk, out, stdout=closed_pipe, stderr=closed_pipe)
    process.communicate(timeout=60)
    assert process.returncode == 1, "the answer could not be given"
    assert json.loads((out / "run.json").read_text(encoding="utf-8"))["status"] == "success"


def test_a_terminal_that_goes_away_ends_it_in_order(slowly: None, talk: ShortTalk, tmp_path: Path) -> None:
    out = tmp_path / "run"
    ours, theirs = pty.openpty()
    process = start(talk, out, "--progress", "rich", stdout=theirs, stderr=theirs, preexec_fn=_take_terminal)
    os.close(theirs)
    until_speaking(out)
    workers = children(process.pid)
    os.close(ours)
    # 1: there is nowhere left to give the answer to.
    assert process.wait(timeout=10) in (1, 129) and gone(workers, 2.0)
    document = json.loads((out / "run.json").read_text(encoding="utf-8"))
    assert document["status"] == "partial" and len(document["segments"]) == 10


def _take_terminal() -> None:
    import fcntl
    import termios

    fcntl.ioctl(1, termios.TIOCSCTTY, 0)
