"""The worker program alone: tasks with the echo engine, and its tool."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import wave
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from echo_faults import with_faults
from voiceclone_cli.errors import PreflightError
from voiceclone_cli.workers.process import ask_tool, worker_command

PROGRAM = Path(__file__).parents[2] / "worker_env" / "voiceclone_worker"


def write_task(folder: Path, name: str = "task", **engine: Any) -> Path:
    document = {
        "schema": "voiceclone.task/1",
        "speaker": "SPEAKER_00",
        "engine": {"name": "echo", **engine},
        "reference": {"audio": str(folder / "reference.wav"), "text": "", "codes": ""},
        "output_dir": str(folder / "segments"),
        "segments": [
            {
                "id": f"{number:04d}",
                "text": "ten letters",
                "language": "en",
                "seed": number,
                "max_seconds": None,
            }
            for number in (1, 2, 3)
        ],
    }
    path = folder / f"{name}.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def work(
    *arguments: object, python: str = sys.executable, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python, str(PROGRAM), *map(str, arguments)],
        input=stdin,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )


def result_of(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    (line,) = done.stdout.splitlines()
    document: dict[str, Any] = json.loads(line)
    return document


def test_a_task_is_synthesized_and_every_segment_has_its_row(tmp_path: Path) -> None:
    done = work(write_task(tmp_path))
    assert done.returncode == 0
    result = result_of(done)
    assert result["schema"] == "voiceclone.result/1"
    assert [(row["id"], row["status"]) for row in result["segments"]] == [
        ("0001", "done"),
        ("0002", "done"),
        ("0003", "done"),
    ]
    for row in result["segments"]:
        with wave.open(row["file"]) as sound:
            assert sound.getnframes() == row["frames"] > 0
            assert row["seconds"] == pytest.approx(row["frames"] / sound.getframerate())
        assert row["sha256"] == sha256(Path(row["file"]).read_bytes()).hexdigest()


def test_a_library_that_prints_cannot_reach_the_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "noisy.py").write_text(
        "import os, sys\n"
        "print('imported!'); os.write(1, b'from C\\n'); os.system('echo from a child')\n"
        'def hook(options):\n    return lambda *moment: print(\'{"schema": "voiceclone.result/1"}\', flush=True)\n',
        encoding="utf-8",
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    done = work(write_task(tmp_path, **{"import": "noisy"}))
    assert done.returncode == 0
    assert len(result_of(done)["segments"]) == 3
    for text in ("imported!", "from C", "from a child"):
        assert text in done.stderr


def test_an_unreadable_task_file_ends_with_an_error_and_still_answers(tmp_path: Path) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text("{", encoding="utf-8")
    for path in (tmp_path / "missing.json", broken, tmp_path):
        done = work(path)
        assert done.returncode != 0
        assert result_of(done)["error"]["code"] == "task_unusable"
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("fault, code", [("fail", "asked_to_fail"), ("raise", "engine_crashed")])
def test_a_segment_that_fails_says_why_and_the_others_stand(tmp_path: Path, fault: str, code: str) -> None:
    done = work(write_task(tmp_path, **with_faults(faults={"0003": fault})))
    assert done.returncode == 0
    rows = result_of(done)["segments"]
    assert [row["status"] for row in rows] == ["done", "done", "failed"]
    assert rows[2]["error"]["code"] == code and rows[2]["file"] is None


def test_several_task_files_are_one_pool(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.mkdir(), second.mkdir()
    rows = result_of(work(write_task(first), write_task(second)))["segments"]
    assert [(row["task"], row["id"]) for row in rows] == [(t, f"000{i}") for t in (0, 1) for i in (1, 2, 3)]


def test_two_segments_for_one_file_are_refused(tmp_path: Path) -> None:
    done = work(write_task(tmp_path, "one"), write_task(tmp_path, "two"))
    assert done.returncode != 0
    assert "two segments would write" in result_of(done)["error"]["message"]


def test_serving_answers_each_line_and_loads_once(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.mkdir(), second.mkdir()
    requests = f"{write_task(first)}\n{json.dumps([str(write_task(second))])}\n/no/such/file\n[\n"
    done = work("--serve", stdin=requests)
    assert done.returncode == 0
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [len(answer["segments"]) for answer in answers] == [3, 3, 0, 0]
    assert [answer.get("error", {}).get("code") for answer in answers] == [
        None,
        None,
        "task_unusable",
        "bad_request",
    ]
    assert done.stderr.count('"event": "loading"') == 1


def test_an_unknown_engine_fails_every_row(tmp_path: Path) -> None:
    done = work(_with_engine(tmp_path, "nightingale"))
    assert done.returncode != 0
    result = result_of(done)
    assert result["error"]["code"] == "unknown_engine"
    assert [row["error"]["code"] for row in result["segments"]] == ["unknown_engine"] * 3


def test_a_folder_that_cannot_be_written_fails_the_rows(tmp_path: Path) -> None:
    (tmp_path / "segments").write_text("a file is in the way", encoding="utf-8")
    rows = result_of(work(write_task(tmp_path)))["segments"]
    assert {row["error"]["code"] for row in rows} == {"write_failed"}


def test_the_seed_decides_the_sound(tmp_path: Path) -> None:
    files = []
    for name in ("a", "b"):
        folder = tmp_path / name
        folder.mkdir()
        files.append([Path(r["file"]).read_bytes() for r in result_of(work(write_task(folder)))["segments"]])
    assert files[0] == files[1]
    assert files[0][0] != files[0][1]


def _with_engine(folder: Path, engine: str) -> Path:
    path = write_task(folder)
    path.write_text(path.read_text().replace('"echo"', f'"{engine}"'), encoding="utf-8")
    return path


def refused_tool(python: str, *, seconds: float = 20.0, tool: str = "examine") -> PreflightError:
    with pytest.raises(PreflightError) as caught:
        ask_tool(worker_command(python, threads=1), tool, seconds=seconds)
    assert "\n" not in caught.value.message
    return caught.value


def program(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def test_a_tool_answers_and_its_events_are_passed_on() -> None:
    events: list[str] = []
    command = worker_command(None, threads=1)
    answer = ask_tool(command, "examine", on_event=lambda event: events.append(event["event"]))
    assert answer["executable"] == sys.executable
    assert events[0] == "hello"


def test_an_unknown_tool_is_refused_with_the_names_of_the_others() -> None:
    error = refused_tool(sys.executable, tool="hammer")
    assert error.code == "unknown_tool" and "examine" in error.message


def test_an_interpreter_that_is_not_there_is_told_with_what_to_do(tmp_path: Path) -> None:
    error = refused_tool(str(tmp_path / "nowhere"))
    assert error.code == "worker_interpreter" and "voiceclone env create" in error.message


def test_a_program_that_prints_something_else_is_reported_with_its_last_output(tmp_path: Path) -> None:
    error = refused_tool(program(tmp_path / "python", "echo hello; echo I am no python >&2; exit 3"))
    assert error.code == "worker_unreadable"
    assert "exit code 3" in error.message and "I am no python" in error.message


def test_a_program_that_never_answers_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    python = program(tmp_path / "python", "sleep 60; echo late")
    started = time.monotonic()
    error = refused_tool(python, seconds=1.0)
    assert error.code == "worker_silent"
    assert time.monotonic() - started < 10.0, "its child, which holds stdout, was ended too"


def test_a_crash_of_the_tool_is_a_sentence(tmp_path: Path) -> None:
    worker = tmp_path / "voiceclone_worker"
    command = worker_command(None, threads=1)
    for source in command.program.rglob("*.py"):
        copy = worker / source.relative_to(command.program)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
    program = (worker / "tools.py").read_text(encoding="utf-8")
    broken = program.replace('{"examine": examine}', '{"examine": lambda arguments, emit: 1 / 0}')
    assert broken != program
    (worker / "tools.py").write_text(broken, encoding="utf-8")
    with pytest.raises(PreflightError) as caught:
        ask_tool(replace(command, program=worker), "examine")
    assert caught.value.code == "tool_crashed" and "ZeroDivisionError" in caught.value.message
