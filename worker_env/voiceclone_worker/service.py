"""Command line of the worker: task files to results, once or as a service, and the tools."""

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
    """Run the worker and return its exit code: 0, or another when nothing of the work was possible."""
    if not arguments or any(argument in ("-h", "--help") for argument in arguments):
        print(USAGE, file=sys.stderr)
        return 0 if arguments else 2
    serving = list(arguments) == ["--serve"]
    exit_with_parent(serving=serving)
    channel = Channel()
    channel.emit("hello", pid=os.getpid(), python=platform.python_version())
    channel.start_heartbeat()
    if arguments[0] == "--tool":
        return run_tool(arguments[1:], channel)
    session = Session(channel.emit)
    if serving:
        return _serve(channel, session)
    result = session.run(arguments)
    if result.error is not None:
        print(result.error.message, file=sys.stderr, flush=True)
    channel.write_result(result)
    return 0 if result.error is None else 1


def _serve(channel: Channel, session: Session) -> int:
    """Write a result for each line of stdin, until it ends or the reader of the results is gone."""
    with open(0, encoding="utf-8", errors="replace", closefd=False) as requests:
        for line in filter(None, map(str.strip, requests)):
            try:
                channel.write_result(_run_request(session, line))
            except BrokenPipeError:
                return 1
    return 0


def _run_request(session: Session, line: str) -> Result:
    try:
        paths = json.loads(line) if line.startswith("[") else [line]
    except (ValueError, RecursionError) as error:
        return session.refuse(f"a line that starts with [ must be a JSON list ({error})")
    if not paths or not all(isinstance(path, str) for path in paths):
        return session.refuse("a request must name at least one task file")
    return session.run(paths)
