"""A question to the worker's interpreter, answered by one of the worker's tools."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable, Sequence
from typing import Any

from voiceclone_cli.errors import PreflightError
from voiceclone_cli.workers.local.environment import WorkerCommand
from voiceclone_cli.workers.local.process import end_group, own_group
from voiceclone_worker.contract import TOOL_SCHEMA, parse_event

OnEvent = Callable[[dict[str, Any]], None]


def ask_tool(
    command: WorkerCommand,
    tool: str,
    arguments: Sequence[str] = (),
    *,
    seconds: float = 120.0,
    on_event: OnEvent = lambda event: None,
) -> dict[str, Any]:
    """The answer of a tool (see ``voiceclone_worker.tools``), run in the worker's interpreter.

    Raises PreflightError, one sentence each: the interpreter cannot be started, it ends without an
    answer, it does not answer in ``seconds``, or the tool itself says what is wrong (with its code).
    """
    process = _started(command, ["--tool", tool, *arguments])
    said: list[str] = []
    reader = threading.Thread(target=_listen, args=(process, said, on_event), daemon=True)
    reader.start()
    timer = threading.Timer(seconds, end_group, [process])
    timer.start()
    try:
        assert process.stdout is not None
        with process.stdout as stdout:
            answer = stdout.read()
        code = process.wait()
    except BaseException:
        end_group(process)
        process.wait()
        raise
    finally:
        overdue = not timer.is_alive()
        timer.cancel()
    reader.join(timeout=2.0)
    return _answer(answer, f"the worker's interpreter {command.python}", code, overdue, seconds, said)


def _started(command: WorkerCommand, arguments: Sequence[str]) -> subprocess.Popen[str]:
    try:
        return subprocess.Popen(
            [command.python, "-X", "utf8", str(command.program), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            env=dict(command.environment),
            **own_group(),
        )
    except OSError as error:
        raise PreflightError(
            f"the worker's interpreter {command.python} cannot be started ({error.strerror}); "
            "check FISH_SPEECH_PYTHON, or make the environment with `voiceclone env create`",
            code="worker_interpreter",
        ) from error


def _listen(process: subprocess.Popen[str], said: list[str], on_event: OnEvent) -> None:
    assert process.stderr is not None
    with process.stderr as stderr:
        for line in stderr:
            event = parse_event(line)
            if event is not None:
                on_event(event)
            elif line.strip():
                said.append(line.strip())
                del said[:-20]


def _answer(
    text: str, who: str, code: int, overdue: bool, seconds: float, said: Sequence[str]
) -> dict[str, Any]:
    if overdue:
        raise PreflightError(f"{who} gave no answer in {seconds:.0f} s", code="worker_silent")
    last_words = f"; it last said: {' | '.join(said[-3:])[-400:]}" if said else ""
    try:
        document = json.loads(text.splitlines()[-1])
        assert document["schema"] == TOOL_SCHEMA
        if "error" in document:
            raise PreflightError(document["error"]["message"], code=document["error"]["code"])
        answer: dict[str, Any] = document["answer"]
        return answer
    except (ValueError, IndexError, KeyError, TypeError, AssertionError) as error:
        raise PreflightError(
            f"{who} ended with exit code {code} and no answer that can be read{last_words}",
            code="worker_unreadable",
        ) from error
