"""One worker process: spawn, requests, events, end.

Both pipes are drained by a thread each, all the time: a worker must never block on a full pipe.
Everything it says arrives in one queue, which the pool reads.
"""

from __future__ import annotations

import collections
import contextlib
import json
import os
import queue
import signal
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voiceclone_cli.errors import PreflightError
from voiceclone_cli.workers.environment import WorkerCommand
from voiceclone_worker.contract import ContractError, Result, parse_event, result_from_json

TAIL_LINES = 30
"""How much of a worker's log is kept to explain its end."""


@dataclass(frozen=True, slots=True)
class EventMessage:
    worker: WorkerProcess
    event: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ResultMessage:
    worker: WorkerProcess
    result: Result


@dataclass(frozen=True, slots=True)
class GoneMessage:
    """The process has ended and both pipes are empty. ``reason`` is one sentence."""

    worker: WorkerProcess
    reason: str


Message = EventMessage | ResultMessage | GoneMessage


class WorkerProcess:
    """A running worker. Raises PreflightError when it cannot be started at all."""

    def __init__(
        self, name: str, command: WorkerCommand, inbox: queue.SimpleQueue[Message], log: Path | None = None
    ) -> None:
        self.name = name
        self._inbox = inbox
        self._log = log
        self._tail: collections.deque[str] = collections.deque(maxlen=TAIL_LINES)
        self._fault: str | None = None
        self._requests = 0
        try:
            self._process = subprocess.Popen(
                command.arguments,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=dict(command.environment),
                **own_group(),
            )
        except OSError as error:
            raise PreflightError(
                f"the worker's interpreter {command.python} cannot be started ({error.strerror}); "
                "check FISH_SPEECH_PYTHON",
                code="worker_interpreter",
            ) from error
        self._stderr_thread = _thread(self._read_events, f"{name} stderr")
        _thread(self._read_results, f"{name} stdout")

    @property
    def pid(self) -> int:
        return self._process.pid

    def request(self, tasks: Sequence[Path]) -> int:
        """Ask for these task files as one pool; which request of this worker it is, from 1. A worker that has just died is reported by its
        GoneMessage, so a broken pipe is no error here."""
        line = json.dumps([str(path) for path in tasks]) + "\n"
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line.encode("utf-8"))
            self._process.stdin.flush()
        except OSError as error:
            self._tail.append(f"(request not taken: {error})")
        self._requests += 1
        return self._requests

    def finish(self) -> None:
        """No more requests: the worker ends by itself when it has answered what it holds."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
        except OSError as error:
            self._tail.append(f"(stdin: {error})")

    def kill(self, reason: str) -> None:
        """End the worker and whatever it started, at once; ``reason`` becomes its diagnosis."""
        self._fault = self._fault or reason
        if self._process.poll() is None:
            end_group(self._process)

    def wait(self, seconds: float) -> bool:
        """True when the process has ended within ``seconds``."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _read_events(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as stream, contextlib.ExitStack() as files:
            log = files.enter_context(self._log.open("ab")) if self._log else None
            for raw in stream:
                line = raw.decode("utf-8", errors="replace").rstrip("\r\n")
                event = parse_event(line)
                if event is not None:
                    self._inbox.put(EventMessage(self, event))
                    continue
                self._tail.append(line)
                try:
                    if log:
                        log.write(raw)
                except OSError as error:
                    # A full disk must not stop the draining: the worker would block on its pipe.
                    self._tail.append(f"(log not written: {error})")
                    log = None

    def _read_results(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as stream:
            for raw in stream:
                try:
                    result = result_from_json(raw.decode("utf-8"))
                except (ContractError, UnicodeDecodeError) as error:
                    self.kill(f"its answer cannot be read ({error})")
                    break
                self._inbox.put(ResultMessage(self, result))
        code = self._process.wait()
        # A grandchild may keep stderr open: its end is not waited for.
        self._stderr_thread.join(timeout=2.0)
        self._inbox.put(GoneMessage(self, self._diagnosis(code)))

    def _diagnosis(self, code: int) -> str:
        how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        if code == -9 and self._fault is None:
            how += " (as the system does where memory runs out)"
        said = [line for line in self._tail if line.strip()]
        reason = f"{self.name} {how}" + (f": {self._fault}" if self._fault else "")
        return f"{reason}; it last said: {' | '.join(said[-3:])[-400:]}" if said else reason


def end_group(process: subprocess.Popen[Any]) -> None:
    """End a process that was started with ``own_group``, and whatever it started, at once."""
    if hasattr(os, "killpg"):
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            process.kill()
    else:
        process.kill()


def own_group() -> dict[str, Any]:
    """A process group of its own, so that a worker's children end with it and a Ctrl-C in the
    terminal reaches only the coordinator, which decides."""
    if os.name == "nt":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}  # type: ignore[attr-defined]
    return {"start_new_session": True}


def _thread(target: Any, name: str) -> threading.Thread:
    thread = threading.Thread(target=target, name=name, daemon=True)
    thread.start()
    return thread
