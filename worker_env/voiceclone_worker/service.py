"""One-shot and serving: from task files to results; and the tools."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Sequence

from voiceclone_worker.protocol import Result
from voiceclone_worker.runtime import Channel, exit_with_parent
from voiceclone_worker.session import Session
from voiceclone_worker.tools import run_tool

USAGE = "usage: python voiceclone_worker TASK.json [TASK.json ...] | --serve | --tool NAME [ARGUMENT ...]"


def main(arguments: Sequence[str]) -> int:
    """Returns the exit code: 0, or not 0 when the work as a whole was impossible."""
    if not arguments or any(argument in ("-h", "--help") for argument in arguments):
        print(USAGE, file=sys.stderr)
        return 0 if arguments else 2
    exit_with_parent(serving=list(arguments) == ["--serve"])
    channel = Channel()
    channel.emit("hello", pid=os.getpid(), python=platform.python_version())
    channel.start_heartbeat()
    if arguments[0] == "--tool":
        return run_tool(arguments[1:], channel)
    studio = Session(channel.emit)
    if list(arguments) == ["--serve"]:
        return _serve(channel, studio)
    result = studio.run(arguments)
    if result.error is not None:
        print(result.error.message, file=sys.stderr, flush=True)
    channel.answer(result)
    return 0 if result.error is None else 1


def _serve(channel: Channel, studio: Session) -> int:
    """Answer stdin line by line until it ends, or until nobody reads the answers."""
    with open(0, encoding="utf-8", errors="replace", closefd=False) as requests:
        for line in requests:
            if line.strip():
                try:
                    channel.answer(_answer(studio, line.strip()))
                except BrokenPipeError:
                    return 1
    return 0


def _answer(studio: Session, line: str) -> Result:
    try:
        paths = json.loads(line) if line.startswith("[") else [line]
    except (ValueError, RecursionError) as error:
        return studio.refuse(f"a line that starts with [ must be a JSON list ({error})")
    if not paths or not all(isinstance(path, str) for path in paths):
        return studio.refuse("a request must name at least one task file")
    return studio.run(paths)
