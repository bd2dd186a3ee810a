"""A disk that is full, cannot be written, or is taken away while `voiceclone run` works on it.

Real commands on a real small disk (a tmpfs in a mount namespace), the echo engine.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from command import Ended, voiceclone
from media_samples import syllables, write_wav
from small_disk import SmallDisk, small_disk
from voiceclone_cli.models import registry, store
from voiceclone_worker.contract import (
    EngineSpec,
    ReferenceSpec,
    SegmentSpec,
    SynthesisTask,
    parse_event,
    task_to_json,
)
from voiceclone_worker.writer import BACKLOG

pytestmark = pytest.mark.engine

PROGRAM = Path(__file__).parents[2] / "worker_env" / "voiceclone_worker"
LINES = 12
ROOMY = 20_000
"""Kilobytes that every run here finds more than enough."""
OF_THE_MOMENT = {"run.json", ".lock", ".lock-holder", "timeline.json"}
"""Files that hold times of day or of files, so that no two runs write the same."""


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> list[object]:
    """`run` with all its inputs: twelve lines of two speakers, who need no models to be found."""
    folder = tmp_path_factory.mktemp("talk")
    write_wav(folder / "talk.wav", np.concatenate([syllables(6.0, seed=1), syllables(6.0, seed=2)]))
    turns = (f"SPEAKER talk 1 {6 * n}.0 6.0 <NA> <NA> S{n} <NA> <NA>\n" for n in (0, 1))
    (folder / "turns.rttm").write_text("".join(turns), encoding="utf-8")
    segments = [
        {
            "id": f"{n:04d}",
            "speaker": f"S{(n - 1) // 6}",
            "start": n - 1.0,
            "end": n - 0.2,
            "text": f"this is line {n}",
            "language": "en",
        }
        for n in range(1, LINES + 1)
    ]
    script = {"schema": "voiceclone.script/1", "language": "en", "segments": segments}
    (folder / "lines.json").write_text(json.dumps(script), encoding="utf-8")
    files = ("--script", folder / "lines.json", "--turns", folder / "turns.rttm")
    return ["run", folder / "talk.wav", *files, "--engine", "echo", "--workers", 2, "--mode", "parallel"]


@pytest.fixture(scope="module")
def mount_point(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One path for all disks: what a run writes may name its place."""
    return tmp_path_factory.mktemp("disk")


@pytest.fixture(scope="module")
def undisturbed(mount_point: Path, talk: list[object]) -> dict[str, bytes]:
    with small_disk(mount_point, ROOMY) as disk:
        done = disk.voiceclone(*talk, "--out", disk.path / "run")
        assert done.code == 0, done.err
        return contents(disk.seen / "run")


@pytest.fixture
def disk(mount_point: Path, undisturbed: dict[str, bytes]) -> Iterator[SmallDisk]:
    with small_disk(mount_point, ROOMY) as made:
        yield made


def contents(root: Path) -> dict[str, bytes]:
    """Every file of a run directory that the same inputs make again to the byte."""
    files = (path for path in root.rglob("*") if path.is_file() and "logs" not in path.parts)
    return {
        str(path.relative_to(root)): path.read_bytes() for path in files if path.name not in OF_THE_MOMENT
    }


def assert_told(ended: Ended, *words: object, codes: tuple[int, ...] = (1, 3, 4)) -> None:
    assert ended.code in codes, (ended.code, ended.err)
    assert "Traceback" not in ended.err + ended.out, ended.err
    for word in words:
        assert str(word) in ended.err, ended.err


def assert_whole(root: Path, undisturbed: dict[str, bytes]) -> None:
    """Whatever stands under a final name is what an undisturbed run writes there, and nothing else is left."""
    torn = [name for name, data in contents(root).items() if undisturbed.get(name) != data]
    assert torn == []
    if (root / "run.json").exists():
        json.loads((root / "run.json").read_text(encoding="utf-8"))


# A run of these lines takes about 2.4 MB. The sizes fill the disk in the making of the directory, in the
# references, in the segments and in the mix.
@pytest.mark.parametrize("kilobytes", [4, 24, 180, 520, 1100])
def test_a_full_disk_is_one_sentence_and_the_run_goes_on_when_there_is_room(
    kilobytes: int, mount_point: Path, talk: list[object], undisturbed: dict[str, bytes]
) -> None:
    with small_disk(mount_point, kilobytes) as disk:
        ended = disk.voiceclone(*talk, "--out", disk.path / "run")
        assert_told(ended, disk.path, "full", "make room")
        assert_whole(disk.seen / "run", undisturbed)
        disk.resize(ROOMY)
        again = disk.voiceclone(*talk, "--out", disk.path / "run")
        assert again.code == 0, again.err
        assert contents(disk.seen / "run") == undisturbed


def test_a_disk_that_can_only_be_read_is_one_sentence(
    disk: SmallDisk, talk: list[object], undisturbed: dict[str, bytes]
) -> None:
    disk.make_read_only()
    assert_told(disk.voiceclone(*talk, "--out", disk.path / "run"), disk.path, "Read-only", codes=(4,))
    disk.resize(ROOMY)
    assert disk.voiceclone(*talk, "--out", disk.path / "run").code == 0
    disk.make_read_only()
    assert_told(disk.voiceclone(*talk, "--out", disk.path / "run"), disk.path, "Read-only", codes=(4,))
    assert_whole(disk.seen / "run", undisturbed)


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


# ------------------------------------------------------------------------------ taken away


class Running:
    """A run that has begun to speak, a quarter of a second a line, and is not waited for."""

    def __init__(self, talk: list[object], folder: Path) -> None:
        self.folder = folder
        self._process = subprocess.Popen(
            [sys.executable, "-m", "voiceclone_cli", *map(str, talk), "--out", folder],
            env={**os.environ, "VOICECLONE_ECHO": json.dumps({"delay": 0.25})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        self.pid = self._process.pid

    def wait_for_the_first_line(self) -> None:
        deadline = time.monotonic() + 60
        while not list(self.folder.glob("segments/*.json")):
            assert self._process.poll() is None, self._process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)

    def ended(self) -> Ended:
        out, err = self._process.communicate(timeout=120)
        return Ended(self._process.returncode, out, err)


@pytest.fixture
def running(tmp_path: Path, talk: list[object]) -> Iterator[Running]:
    run = Running(talk, tmp_path / "run")
    try:
        run.wait_for_the_first_line()
        yield run
    finally:
        run.kill()
        run.ended()


def go_on(running: Running, talk: list[object]) -> None:
    """The same command again ends well, and every line is spoken."""
    again = voiceclone(*talk, "--out", running.folder, "--json")
    assert again.code == 0, again.err
    assert again.document["status"] == "success" and len(again.document["segments"]) == LINES
    assert not list(running.folder.rglob("*.part*")) and not (running.folder / "tasks").exists()


@pytest.mark.parametrize("name", [".", "segments"])
def test_a_folder_that_is_removed_while_it_is_written_into_is_one_sentence(
    name: str, running: Running, talk: list[object], tmp_path: Path
) -> None:
    # In one step: what still arrives would keep rmtree from ending.
    (running.folder / name).resolve().rename(tmp_path / "gone")
    assert_told(running.ended(), running.folder)
    go_on(running, talk)


# ------------------------------------------------------------------- what stands in the way


def test_a_file_in_the_place_of_a_folder_is_one_sentence(tmp_path: Path, talk: list[object]) -> None:
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    for out in (tmp_path / "file", tmp_path / "file" / "run"):
        assert_told(voiceclone(*talk, "--out", out), out, codes=(2, 4))
    assert (tmp_path / "file").read_text(encoding="utf-8") == "mine"
    assert voiceclone(*talk, "--out", tmp_path / "run").code == 0
    for name in ("segments", "stages"):
        shutil.rmtree(tmp_path / "run" / name)
        (tmp_path / "run" / name).write_text("mine", encoding="utf-8")
        assert_told(voiceclone(*talk, "--out", tmp_path / "run"), tmp_path / "run", codes=(2, 4))
        assert (tmp_path / "run" / name).read_text(encoding="utf-8") == "mine"
        (tmp_path / "run" / name).unlink()


def test_the_run_directory_may_be_a_link_because_the_user_said_so(
    tmp_path: Path, talk: list[object], undisturbed: dict[str, bytes]
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").symlink_to("elsewhere", target_is_directory=True)
    assert voiceclone(*talk, "--out", tmp_path / "run").code == 0
    assert contents(tmp_path / "elsewhere") == undisturbed


def test_nothing_is_written_through_a_link_in_the_run_directory(
    tmp_path: Path, talk: list[object], undisturbed: dict[str, bytes]
) -> None:
    run, theirs = tmp_path / "run", tmp_path / "theirs"
    assert voiceclone(*talk, "--out", run).code == 0
    theirs.mkdir()
    files = [
        "mix.wav",
        "run.json",
        "script.json",
        "diarization.rttm",
        "segments/0001.wav",
        "segments/0002.json",
    ]
    files += ["stems/S0.wav", "speakers/S0/reference.wav", "speakers/S1/codes.txt", "stages/timeline.json"]
    files += ["logs/worker-1.log"]
    for number, name in enumerate(files):
        target = theirs / f"{number}{Path(name).suffix}"
        if name == "run.json":
            shutil.copy(run / name, target)
        else:
            target.write_bytes(b"theirs")
        (run / name).unlink(missing_ok=True)
        (run / name).symlink_to(target)
    (run / "tasks").mkdir()
    (run / "tasks" / "task-00001.json").symlink_to(theirs / "made by us")
    before = contents(theirs)
    again = voiceclone(*talk, "--out", run)
    assert again.code == 0, again.err
    assert contents(theirs) == before and not (theirs / "made by us").exists()
    assert contents(run) == undisturbed
    assert not [path for path in run.rglob("*") if path.is_symlink()]


@pytest.mark.parametrize(
    "name", ["segments", "speakers", "speakers/S0", "stems", "stages", "tasks", "logs", ".lock"]
)
def test_a_folder_or_lock_of_ours_that_leads_elsewhere_is_refused(
    name: str, tmp_path: Path, talk: list[object]
) -> None:
    run, theirs = tmp_path / "run", tmp_path / "theirs"
    (run / "speakers").mkdir(parents=True)
    manifest = {
        "schema": "voiceclone.run/1",
        "input": {"sha256": store.sha256_of(Path(str(talk[1])), lambda n: None)},
    }
    (run / "run.json").write_text(json.dumps(manifest), encoding="utf-8")
    theirs.mkdir()
    if name == "speakers":
        (run / name).rmdir()
    (run / name).symlink_to(theirs, target_is_directory=True)
    assert_told(voiceclone(*talk, "--out", run), run / name, "link", codes=(2, 4))
    assert list(theirs.iterdir()) == []


# ------------------------------------------------------------------------- two runs at once


def test_a_second_run_in_the_same_directory_is_told_who_holds_it_and_the_first_goes_on(
    running: Running, talk: list[object]
) -> None:
    second = voiceclone(*talk, "--out", running.folder, "--json")
    assert_told(second, running.folder, running.pid, socket.gethostname(), time.strftime("%Y-"), codes=(4,))
    assert second.document["errors"][0]["code"] == "run_in_progress"
    assert running.ended().code == 0


def test_after_the_holder_was_killed_the_next_run_goes_on(running: Running, talk: list[object]) -> None:
    running.kill()
    assert running.ended().code == -signal.SIGKILL
    go_on(running, talk)


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
        store.install(model, model.files[0], chunks, disk.seen)
    assert caught.value.errno == errno.ENOSPC
    assert not [path for path in disk.seen.rglob("*") if path.is_file()]


# ------------------------------------------------------------------------------ slow storage


def test_a_slow_disk_holds_the_engine_up_and_is_no_hang(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each file takes a tenth of a second to get its name."""
    (tmp_path / "slow_disk.py").write_text(
        "import os, time\n"
        "replace = os.replace\n"
        "def slow(*paths):\n    time.sleep(0.1)\n    replace(*paths)\n"
        "os.replace = slow\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    segments = tuple(SegmentSpec(f"{n:04d}", f"this is line {n}", "en", n) for n in range(45))
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
    assert names.count("segment_done") == 45 and "heartbeat" in names
    ahead = [names[:n].count("segment_started") - names[:n].count("segment_done") for n in range(len(names))]
    assert max(ahead) <= BACKLOG + 2, "the one that is written, and the one that waits for room"
