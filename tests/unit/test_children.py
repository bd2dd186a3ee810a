"""Child processes: they end with all that they started, and no wait for one is deaf."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import pytest

from voiceclone_cli.children import (
    LOOK_SECONDS,
    end_child,
    run_child,
    start_child,
    wait_for_child,
    wait_for_thread,
    wait_in_steps,
)

PARENT = (
    "import subprocess, sys, time\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
    "print(child.pid, flush=True)\n"
    "time.sleep(60)\n"
)


def lives(pid: int) -> bool:
    import psutil

    try:
        return str(psutil.Process(pid).status()) != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def is_gone(pid: int) -> bool:
    deadline = time.monotonic() + 2
    while lives(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not lives(pid)


@pytest.mark.parametrize("end", ["at_once", "in_order"])
def test_a_child_ends_with_what_it_started(end: str) -> None:
    child = start_child([sys.executable, "-c", PARENT], environment=os.environ)
    assert child.stdout is not None and child.stderr is not None
    with child.stdout, child.stderr:
        grandchild = int(child.stdout.readline())
        if end == "at_once":
            child.end_at_once()
            assert wait_for_child(child, 2)
        else:
            end_child(child)
    assert child.poll() is not None
    assert is_gone(grandchild)


def test_what_a_child_leaves_behind_ends_when_it_has_ended() -> None:
    child = start_child(
        [sys.executable, "-c", PARENT.replace("time.sleep(60)\n", "", 1)], environment=os.environ
    )
    assert child.stdout is not None and child.stderr is not None
    with child.stdout, child.stderr:
        grandchild = int(child.stdout.readline())
        child.kill()
        child.await_end()
    assert is_gone(grandchild)


def test_a_program_is_asked_and_its_output_returned() -> None:
    program = "import sys; print('out'); print('no', file=sys.stderr); sys.exit(3)"
    done = run_child([sys.executable, "-c", program], environment=os.environ, seconds=20)
    assert (done.returncode, done.stdout.split(), done.stderr.split()) == (3, [b"out"], [b"no"])


def test_a_program_that_does_not_answer_is_ended() -> None:
    started = time.monotonic()
    with pytest.raises(subprocess.TimeoutExpired):
        run_child([sys.executable, "-c", "import time; time.sleep(60)"], environment=os.environ, seconds=0.3)
    assert time.monotonic() - started < 10


def test_a_wait_looks_up_often_and_ends_in_time() -> None:
    asked: list[float] = []

    def wait(seconds: float) -> bool:
        asked.append(seconds)
        time.sleep(seconds)
        return False

    started = time.monotonic()
    assert not wait_in_steps(wait, 0.6)
    assert 0.6 <= time.monotonic() - started < 5
    assert max(asked) <= LOOK_SECONDS <= 0.5
    assert wait_in_steps(lambda seconds: True)


def test_the_wait_for_a_thread_tells_whether_it_has_ended() -> None:
    pause = threading.Event()
    thread = threading.Thread(target=pause.wait, daemon=True)
    thread.start()
    assert not wait_for_thread(thread, 0.1)
    pause.set()
    assert wait_for_thread(thread)
