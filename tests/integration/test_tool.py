"""Questions to the worker's interpreter: real processes, one sentence for whatever goes wrong."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from voiceclone_cli.errors import PreflightError
from voiceclone_cli.workers.process import ask_tool, worker_command


def refusal(python: str, *, seconds: float = 20.0, tool: str = "examine") -> PreflightError:
    with pytest.raises(PreflightError) as caught:
        ask_tool(worker_command(python, threads=1), tool, seconds=seconds)
    assert "\n" not in caught.value.message
    return caught.value


def program(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def test_a_tool_answers_and_its_events_are_heard() -> None:
    events: list[str] = []
    command = worker_command(None, threads=1)
    answer = ask_tool(command, "examine", on_event=lambda event: events.append(event["event"]))
    assert answer["executable"] == sys.executable
    assert events[0] == "hello"


def test_an_unknown_tool_is_told_with_those_that_there_are() -> None:
    error = refusal(sys.executable, tool="hammer")
    assert error.code == "unknown_tool" and "examine" in error.message


def test_an_interpreter_that_is_not_there_is_told_with_what_to_do(tmp_path: Path) -> None:
    error = refusal(str(tmp_path / "nowhere"))
    assert error.code == "worker_interpreter" and "voiceclone env create" in error.message


def test_a_program_that_prints_something_else_is_told_with_its_last_words(tmp_path: Path) -> None:
    error = refusal(program(tmp_path / "python", "echo hello; echo I am no python >&2; exit 3"))
    assert error.code == "worker_unreadable"
    assert "exit code 3" in error.message and "I am no python" in error.message


def test_a_program_that_never_answers_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    python = program(tmp_path / "python", "sleep 60; echo late")
    started = time.monotonic()
    error = refusal(python, seconds=1.0)
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
