"""What only Windows does: code pages, files that are open elsewhere, jobs, paths. Runs on Windows, and under wine."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from command import voiceclone
from short_talk import ShortTalk, short_talk

pytestmark = pytest.mark.skipif(
    sys.platform != "win32", reason="Windows, or its Python under wine: make windows"
)

NAME = "会议 录音 mañana"
"""A folder's name with blanks, and letters that no code page has together."""


@pytest.fixture
def talk(tmp_path: Path) -> ShortTalk:
    return short_talk(tmp_path / NAME, _0003="很好, hasta mañana")


def test_a_run_with_blanks_and_foreign_letters_in_every_path(talk: ShortTalk, tmp_path: Path) -> None:
    out = tmp_path / f"{NAME} out"
    ended = voiceclone(*talk.arguments(out), timeout=200)
    assert ended.code == 0, ended.err
    assert len(list((out / "segments").glob("*.wav"))) == 10
    assert (out / "mix.wav").is_file() and (out / "report.html").is_file()
    # What is there already is not computed again.
    again = voiceclone(*talk.arguments(out), timeout=200)
    assert again.code == 0 and again.document["reused"] == 10


@pytest.mark.parametrize("code_page", ["cp936", "cp1252"])
def test_json_in_a_pipe_is_utf8_whatever_the_code_page(
    talk: ShortTalk, tmp_path: Path, code_page: str
) -> None:
    # Python opens the streams in this code page, as it does where it is the system's.
    program = (
        "import io, sys\n"
        f"sys.stdout = io.TextIOWrapper(sys.stdout.buffer, encoding={code_page!r})\n"
        f"sys.stderr = io.TextIOWrapper(sys.stderr.buffer, encoding={code_page!r})\n"
        "from voiceclone_cli.__main__ import main\n"
        "main()\n"
    )
    arguments = map(str, talk.arguments(tmp_path / NAME / "out"))
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=200,
    )
    document = json.loads(done.stdout.decode("utf-8"))
    assert done.returncode == 0, done.stderr.decode("utf-8")
    assert "很好, hasta mañana" in [row["text"] for row in document["segments"]]
    assert NAME in done.stderr.decode("utf-8") or NAME in done.stdout.decode("utf-8")


def test_a_batch_of_two_recordings(tmp_path: Path) -> None:
    rows = [("input", "name", "script", "turns", "seed")]
    for number, name in enumerate(("一", "dos"), 1):
        short_talk(tmp_path / name, number)
        rows.append((f"{name}/talk.wav", "", f"{name}/talk.csv", f"{name}/talk.rttm", ""))
    with (tmp_path / "list.csv").open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file).writerows(rows)
    ended = voiceclone(
        *("run", "--list", "list.csv", "--engine", "echo", "--out", "out"), cwd=tmp_path, timeout=300
    )
    assert ended.code == 0, ended.err
    document = json.loads((tmp_path / "out" / "batch.json").read_text(encoding="utf-8"))
    assert document["status"] == "success" and len(document["inputs"]) == 2


def test_a_path_of_240_characters(tmp_path: Path) -> None:
    """The files of the run are longer than 260 then: for that, Windows' users switch long paths on; wine has them."""
    left = 240 - len(str(tmp_path / "talk.wav"))
    folder = tmp_path.joinpath(*["d" * (size - 1) for size in (60, 60, left - 120) if size > 1])
    talk = short_talk(folder)
    assert len(str(talk.wav)) == 240
    ended = voiceclone(*talk.arguments(folder / "run"), timeout=200)
    assert ended.code == 0, ended.err
    assert len(list((folder / "run" / "segments").glob("*.wav"))) == 10


def test_samples_that_a_worker_holds_leave_no_file_behind(tmp_path: Path) -> None:
    """Every batch failed at that: no file that is mapped can be removed."""
    import numpy as np

    from voiceclone_cli.analysis.worker import _take_samples

    np.save(tmp_path / "samples.npy", np.arange(5, dtype=np.float32))
    samples = _take_samples(tmp_path / "samples.npy")
    assert samples.tolist() == [0, 1, 2, 3, 4] and not list(tmp_path.glob("*.npy"))


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> tuple[ShortTalk, Path]:
    """A talk and its finished run, which is repeated with other seeds."""
    folder = tmp_path_factory.mktemp("spoken")
    talk = short_talk(folder / "talk")
    ended = voiceclone(*talk.arguments(folder / "run"), timeout=200)
    assert ended.code == 0, ended.err
    return talk, folder / "run"


@pytest.mark.parametrize(
    ("name", "seed"), [("mix.wav", 2), ("segments/0001.wav", 3), ("report.html", 4), ("run.json", 5)]
)
def test_a_file_that_another_program_has_open_is_named(
    spoken: tuple[ShortTalk, Path], name: str, seed: int
) -> None:
    talk, out = spoken
    with (out / name).open("rb"):
        ended = voiceclone(*talk.arguments(out, "--seed", seed), timeout=200)
    assert ended.code != 0
    said = ended.err + ended.out
    assert "is open in another program: close it there" in said, said
    assert "Traceback" not in said


def test_a_run_goes_on_when_the_file_is_closed(spoken: tuple[ShortTalk, Path]) -> None:
    talk, out = spoken
    with (out / "mix.wav").open("rb"):
        assert voiceclone(*talk.arguments(out, "--seed", 6), timeout=200).code != 0
    again = voiceclone(*talk.arguments(out, "--seed", 6), timeout=200)
    assert again.code == 0 and again.document["reused"] == 10, again.err


def test_a_file_that_is_open_for_a_moment_is_waited_for(tmp_path: Path) -> None:
    from voiceclone_worker.atomic import write_bytes_atomic

    final = tmp_path / "mix.wav"
    final.write_bytes(b"old")
    hold = f"import sys, time; file = open({str(final)!r}, 'rb'); print(1, flush=True); time.sleep(1)"
    with subprocess.Popen([sys.executable, "-c", hold], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdout.readline()
        write_bytes_atomic(final, b"new")
    assert final.read_bytes() == b"new"


def test_settings_with_backslashes_crlf_and_a_byte_order_mark(tmp_path: Path) -> None:
    folder = "C:\\new\\temp\\语音"
    text = f"\ufeffFISH_SPEECH_DIR={folder}\r\nVOICECLONE_THREADS=2\r\n"
    (tmp_path / ".env").write_bytes(text.encode("utf-8"))
    ended = voiceclone("config", "show", "--json", cwd=tmp_path, timeout=100)
    assert ended.code == 0, ended.err
    assert folder in ended.out.replace("\\\\", "\\")


def test_the_wait_for_a_child_hears_a_signal(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys, threading, time\n"
        "from voiceclone_cli.children import run_child\n"
        "def stop(number, frame): raise KeyboardInterrupt\n"
        "signal.signal(signal.SIGINT, stop)\n"
        "threading.Timer(1.0, signal.raise_signal, [signal.SIGINT]).start()\n"
        "started = time.monotonic()\n"
        "try:\n"
        "    run_child([sys.executable, '-c', 'import time; time.sleep(20)'], environment=os.environ, seconds=30)\n"
        "except KeyboardInterrupt:\n"
        "    print(time.monotonic() - started)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60)
    assert float(done.stdout) < 1.5 + 2.0, "signal after 1 s, heard within 0.5 s, and time to end the child"


def test_ctrl_c_ends_a_run_in_order(talk: ShortTalk, tmp_path: Path) -> None:
    """Windows calls the handler in another thread, and so does this; a console sends no event under wine."""
    import psutil

    out = tmp_path / "run"
    program = (
        "import pathlib, signal, threading, time\n"
        "def press():\n"
        f"    while not list(pathlib.Path({str(out)!r}).glob('segments/*.wav')):\n"
        "        time.sleep(0.05)\n"
        "    signal.raise_signal(signal.SIGINT)\n"
        "threading.Thread(target=press, daemon=True).start()\n"
        "from voiceclone_cli.__main__ import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, talk.arguments(out))],
        env={**os.environ, "VOICECLONE_ECHO": json.dumps({"delay": 1.0})},
        capture_output=True,
        encoding="utf-8",
        stdin=subprocess.DEVNULL,
        timeout=200,
    )
    assert done.returncode == 130 and "Traceback" not in done.stderr, done.stderr
    document = json.loads(done.stdout)
    assert document["status"] == "partial" and len(document["segments"]) == 10
    assert {row["error"]["code"] for row in document["segments"] if row["error"]} == {"interrupted"}
    left = [
        found.cmdline() for found in psutil.process_iter() if "voiceclone_worker" in " ".join(found.cmdline())
    ]
    assert not left
    again = voiceclone(*talk.arguments(out), timeout=200)
    assert again.code == 0 and again.document["reused"] >= 1


def test_a_coordinator_that_is_killed_takes_the_processes_of_its_children_along(tmp_path: Path) -> None:
    import psutil

    grandchild = "import time; time.sleep(60)"
    child = f"import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', {grandchild!r}]); print(p.pid, flush=True); p.wait()"
    program = (
        "import os, sys, time\n"
        "from voiceclone_cli.children import start_child\n"
        f"child = start_child([sys.executable, '-c', {child!r}], environment=os.environ)\n"
        "print(child.pid, int(child.stdout.readline()), flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as coordinator:
        assert coordinator.stdout is not None
        family = [int(pid) for pid in coordinator.stdout.readline().split()]
        assert len(family) == 2 and all(map(psutil.pid_exists, family))
        coordinator.kill()
    deadline = time.monotonic() + 2
    while any(map(psutil.pid_exists, family)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [pid for pid in family if psutil.pid_exists(pid)]
