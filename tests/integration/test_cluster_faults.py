"""What breaks on a cluster while lines are synthesized: nothing is lost, nothing counted twice, nothing left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cluster import Machines, machines
from command import voiceclone
from processes import descendants, gone
from short_talk import two_lines
from voiceclone_cli.cluster.launcher import RayLauncher
from voiceclone_cli.engines.select import choose_engine
from voiceclone_cli.workers.pool import Pool
from voiceclone_cli.workers.process import LocalLauncher, worker_command
from voiceclone_cli.workers.protocol import PoolResult, shared_leases
from voiceclone_worker.protocol import EngineSpec, ReferenceSpec, SegmentSpec, SynthesisTask

LINES = 40


@pytest.fixture
def there() -> Iterator[Machines]:
    with machines(3) as found:
        yield found


def task(folder: Path, **options: Any) -> SynthesisTask:
    lines = tuple(SegmentSpec(f"{n:04d}", "a few words " * (n % 3 + 1), "en", n) for n in range(LINES))
    reference = ReferenceSpec("ANNA", str(folder / "ANNA.wav"), "", str(folder / "ANNA.txt"))
    return SynthesisTask("ANNA", EngineSpec("echo", options=options), reference, str(folder / "out"), lines)


def sounds(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "out").glob("*.wav")}


def local(folder: Path) -> dict[str, bytes]:
    (folder / "tasks").mkdir(parents=True)
    with Pool(LocalLauncher(worker_command(None, threads=1), 1, folder / "tasks")) as pool:
        pool.run(shared_leases([task(folder)], 1, 5))
    return sounds(folder)


def disturbed(
    there: Machines, folder: Path, disturb: Callable[[RayLauncher], None], **options: Any
) -> PoolResult:
    """Synthesize all lines; call ``disturb`` once, when every worker has started and some lines are done."""
    settings = there.settings()
    reported: Counter[str] = Counter()
    disturbed_once = threading.Event()
    with (
        closing(RayLauncher(settings, choose_engine(settings))) as launcher,
        Pool(launcher) as pool,
    ):

        def report(row: Any) -> None:
            reported[row.id] += 1
            if len(reported) >= 6 and not disturbed_once.is_set():
                disturbed_once.set()
                await_slots(launcher)
                disturb(launcher)

        outcome = pool.run(shared_leases([task(folder, **options)], 3, 5), report)
    assert disturbed_once.is_set()
    assert len(reported) == LINES and set(reported.values()) == {1}
    assert {row.status for row in outcome.segments.values()} == {"done"}, outcome.errors
    return outcome


def await_slots(launcher: RayLauncher) -> None:
    """Wait until each of the three has reported its processes, which needs no pool."""
    deadline = time.monotonic() + 60
    while [worker.worker_pid is None for worker in launcher.workers] != [False] * 3:
        assert time.monotonic() < deadline, [worker.name for worker in launcher.workers]
        time.sleep(0.05)


def test_a_node_that_goes_costs_no_line(there: Machines, tmp_path: Path) -> None:
    outcome = disturbed(there, tmp_path / "far", lambda launcher: there.lose(1), delay=0.2)
    assert [note for note in outcome.notes if "was lost" in note]
    assert sounds(tmp_path / "far") == local(tmp_path / "near")


def test_an_actor_that_dies_costs_no_line_and_takes_its_worker_along(there: Machines, tmp_path: Path) -> None:
    workers: list[int] = []

    def kill_actor(launcher: RayLauncher) -> None:
        worker = launcher.workers[-1]
        assert worker.actor_pid is not None and worker.worker_pid is not None
        workers.append(worker.worker_pid)
        os.kill(worker.actor_pid, signal.SIGKILL)

    disturbed(there, tmp_path / "far", kill_actor, delay=0.2)
    assert gone([workers[0]])
    assert sounds(tmp_path / "far") == local(tmp_path / "near")


def test_a_worker_that_dies_is_told_with_its_own_diagnosis(there: Machines, tmp_path: Path) -> None:
    def kill_worker(launcher: RayLauncher) -> None:
        pid = launcher.workers[0].worker_pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)

    outcome = disturbed(there, tmp_path / "far", kill_worker, delay=0.2)
    assert [note for note in outcome.notes if "was ended by SIGKILL" in note]
    assert sounds(tmp_path / "far") == local(tmp_path / "near")


def test_the_lease_of_a_node_without_a_sign_of_life_is_done_by_another(
    there: Machines, tmp_path: Path
) -> None:
    stopped: list[int] = []

    def freeze(launcher: RayLauncher) -> None:
        pid = launcher.workers[0].actor_pid
        assert pid is not None
        stopped.append(pid)
        os.kill(pid, signal.SIGSTOP)

    outcome = disturbed(there, tmp_path / "far", freeze, delay=0.1)
    assert [note for note in outcome.notes if "was lost: its node gives no sign of life" in note]
    os.kill(stopped[0], signal.SIGKILL)
    assert sounds(tmp_path / "far") == local(tmp_path / "near")


def test_where_ray_can_start_no_slot_every_line_fails_with_the_reason(
    there: Machines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stillborn:
        def __init__(self) -> None:
            raise OSError("no room here")

        def poll(self, seconds: float) -> None:
            """Never reached."""

    def stillborn(launcher: RayLauncher, *of_worker: object) -> Any:
        import ray

        return ray.remote(Stillborn).options(num_cpus=0).remote()

    monkeypatch.setattr(RayLauncher, "_actor", stillborn)
    settings = there.settings(timeout_scale=0.05)
    with (
        closing(RayLauncher(settings, choose_engine(settings))) as launcher,
        Pool(launcher) as pool,
    ):
        outcome = pool.run(shared_leases([task(tmp_path)], 3, 5))
    assert {row.status for row in outcome.segments.values()} == {"failed"}
    assert "no node of the Ray cluster can take a worker" in str(outcome.errors)


def command(there: Machines, folder: Path, delay: float) -> subprocess.Popen[str]:
    """`voiceclone run --executor ray` on its way, its worker at work."""
    verb = [
        sys.executable,
        "-m",
        "voiceclone_cli",
        "run",
        *map(str, two_lines(folder).inputs),
        "--engine",
        "echo",
    ]
    where = ["--out", str(folder / "run"), "--json", "--executor", "ray", "--ray-address", there.address]
    started = subprocess.Popen(
        [*verb, *where],
        env={**os.environ, "VOICECLONE_ECHO": f'{{"delay": {delay}}}', "VOICECLONE_TIMEOUT_SCALE": "0.1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not workers() and time.monotonic() < deadline and started.poll() is None:
        time.sleep(0.1)
    assert workers()
    time.sleep(1.0)
    return started


def workers() -> list[int]:
    found = []
    for pid in descendants(os.getpid()):
        try:
            if b"voiceclone_worker" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
        except OSError:
            continue
    return found


def test_a_command_that_is_killed_leaves_no_worker_on_any_node(there: Machines, tmp_path: Path) -> None:
    started = command(there, tmp_path, delay=30)
    there_then = workers()
    started.kill()
    started.communicate()
    assert gone(there_then)


def test_a_signal_ends_the_command_in_order(there: Machines, tmp_path: Path) -> None:
    started = command(there, tmp_path, delay=30)
    started.terminate()
    _, err = started.communicate(timeout=60)
    assert started.returncode == 143
    assert "Traceback" not in err and "SIGTERM received" not in err, err
    assert gone(workers())


def test_with_head_and_nodes_gone_the_command_ends_and_says_why(there: Machines, tmp_path: Path) -> None:
    started = command(there, tmp_path, delay=30)
    os.kill(there.pid(0, "gcs_server"), signal.SIGKILL)
    for number in (1, 2, 0):
        there.lose(number)
    out, err = started.communicate(timeout=120)
    assert started.returncode in (1, 3, 4), err
    assert "the head of the Ray cluster does not answer" in out + err
    assert "Traceback" not in err


def test_without_an_address_the_command_has_a_ray_of_its_own_that_ends_with_it(tmp_path: Path) -> None:
    arguments = [
        *two_lines(tmp_path).inputs,
        "--engine",
        "echo",
        "--out",
        tmp_path / "run",
        "--executor",
        "ray",
        "--json",
    ]
    ended = voiceclone("run", *arguments, timeout=120)
    assert ended.code == 0, ended.err
    assert ended.document["status"] == "success"
    assert not [
        pid for pid in descendants(os.getpid()) if b"raylet" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    assert not [
        path for path in Path("/tmp").glob("vc-ray-*") if not Path("/proc", path.name.split("-")[2]).exists()
    ]
