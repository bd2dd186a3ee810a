"""A disk that is full, can only be read, or is slow while `voiceclone run` works on it.

Real commands on a real small disk (a tmpfs in a mount namespace), the echo engine.
"""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from command import Ended
from disturbed_runs import assert_told, assert_whole, contents, make_talk
from small_disk import SmallDisk, small_disk
from voiceclone_cli.models import registry, store
from voiceclone_worker.protocol import (
    EngineSpec,
    ReferenceSpec,
    SegmentSpec,
    SynthesisTask,
    parse_event,
    task_to_json,
)
from voiceclone_worker.session import BACKLOG

pytestmark = pytest.mark.engine

PROGRAM = Path(__file__).parents[2] / "worker_env" / "voiceclone_worker"
ROOMY = 20_000
"""Kilobytes that every run here finds more than enough."""


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> list[object]:
    return make_talk(tmp_path_factory.mktemp("talk"))


@pytest.fixture(scope="module")
def mount_point(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One path for all disks: what a run writes may name its place."""
    return tmp_path_factory.mktemp("disk")


@pytest.fixture(scope="module")
def expected(mount_point: Path, talk: list[object]) -> dict[str, bytes]:
    with small_disk(mount_point, ROOMY) as disk:
        done = disk.voiceclone(*talk, "--out", disk.path / "run")
        assert done.code == 0, done.err
        return contents(disk.seen / "run")


@pytest.fixture
def disk(mount_point: Path, expected: dict[str, bytes]) -> Iterator[SmallDisk]:
    with small_disk(mount_point, ROOMY) as made:
        yield made


# A run of these lines takes 2 MB. The sizes fill the disk in the making of the directory, in the
# references, in the segments and in the mix.
@pytest.mark.parametrize("kilobytes", [4, 24, 180, 520, 1100])
def test_a_full_disk_is_one_sentence_and_the_run_goes_on_when_there_is_room(
    kilobytes: int, mount_point: Path, talk: list[object], expected: dict[str, bytes]
) -> None:
    with small_disk(mount_point, kilobytes) as disk:
        ended = disk.voiceclone(*talk, "--out", disk.path / "run")
        assert_told(ended, disk.path, "full", "make room")
        assert_whole(disk.seen / "run", expected)
        disk.resize(ROOMY)
        again = disk.voiceclone(*talk, "--out", disk.path / "run")
        assert again.code == 0, again.err
        assert contents(disk.seen / "run") == expected


def test_a_disk_that_can_only_be_read_is_one_sentence(
    disk: SmallDisk, talk: list[object], expected: dict[str, bytes]
) -> None:
    disk.make_read_only()
    assert_told(disk.voiceclone(*talk, "--out", disk.path / "run"), disk.path, "Read-only", codes=(4,))
    disk.resize(ROOMY)
    assert disk.voiceclone(*talk, "--out", disk.path / "run").code == 0
    disk.make_read_only()
    assert_told(disk.voiceclone(*talk, "--out", disk.path / "run"), disk.path, "Read-only", codes=(4,))
    assert_whole(disk.seen / "run", expected)


def test_an_answer_that_stdout_does_not_take_is_one_sentence(tmp_path: Path, talk: list[object]) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "voiceclone_cli", *map(str, talk), "--out", tmp_path / "run", "--json"],
            stdout=full,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
    assert_told(Ended(done.returncode, "", done.stderr), "stdout", codes=(1,))
    assert json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))["status"] == "success"


# --------------------------------------------------------------------------- the model cache


@pytest.fixture
def model() -> registry.ModelEntry:
    return next(entry for entry in registry.ENTRIES if entry.embedded)


def test_a_model_cache_on_a_full_disk_is_one_sentence_before_anything_is_fetched(
    disk: SmallDisk, model: registry.ModelEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk.resize(64)
    monkeypatch.setenv("VOICECLONE_HOME", str(disk.path))
    ended = disk.voiceclone("models", "pull", model.name)
    assert_told(ended, disk.path, "make room", codes=(4,))
    assert {path.name for path in disk.seen.rglob("*") if path.is_file()} <= {"models.lock"}


def test_a_model_file_that_meets_the_end_of_the_disk_leaves_nothing(
    disk: SmallDisk, model: registry.ModelEntry
) -> None:
    disk.resize(64)
    chunks = (b"\0" * 10_000 for _ in range(10))
    with pytest.raises(OSError) as caught:
        store.install_file(model, model.files[0], chunks, disk.seen)
    assert caught.value.errno == errno.ENOSPC
    assert not [path for path in disk.seen.rglob("*") if path.is_file()]


# ------------------------------------------------------------------------------ slow storage


def test_a_slow_disk_holds_the_engine_up_and_is_no_hang(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each file takes 60 ms to get its name."""
    (tmp_path / "slow_disk.py").write_text(
        "import os, time\n"
        "replace = os.replace\n"
        "def slow(*paths):\n    time.sleep(0.06)\n    replace(*paths)\n"
        "os.replace = slow\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    segments = tuple(SegmentSpec(f"{n:04d}", f"this is line {n}", "en", n) for n in range(40))
    engine = EngineSpec("echo", options={"import": "slow_disk"})
    reference = ReferenceSpec("S0", str(tmp_path / "reference.wav"), "", "")
    task = SynthesisTask("S0", engine, reference, str(tmp_path / "segments"), segments)
    (tmp_path / "task.json").write_text(task_to_json(task), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, PROGRAM, tmp_path / "task.json"], capture_output=True, encoding="utf-8", timeout=60
    )
    assert done.returncode == 0, done.stderr
    events = [parse_event(line) for line in done.stderr.splitlines()]
    names = [event["event"] for event in events if event is not None]
    assert names.count("segment_done") == 40 and "heartbeat" in names
    unfinished = [
        names[:n].count("segment_started") - names[:n].count("segment_done") for n in range(len(names))
    ]
    assert max(unfinished) <= BACKLOG + 2, "the one that is written, and the one that waits for space"
