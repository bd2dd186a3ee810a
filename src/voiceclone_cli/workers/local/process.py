"""One worker process: spawn, requests, events, end.

Both pipes are drained by a thread each, all the time: a worker must never block on a full pipe.
Everything it says arrives in one queue, which the pool reads.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from voiceclone_cli.errors import PreflightError
from voiceclone_cli.machine.clock import peak_memory_mb
from voiceclone_cli.workers.leases import Lease
from voiceclone_cli.workers.local.diagnosis import LastWords, diagnosis, plain_line
from voiceclone_cli.workers.local.environment import WorkerCommand
from voiceclone_cli.workers.local.pipes import BoundedLog, pieces
from voiceclone_cli.workers.local.task_files import TaskFiles
from voiceclone_cli.workers.slot import EventMessage, GoneMessage, Inbox, LogMessage, Message, ResultMessage
from voiceclone_worker.contract import ContractError, parse_event, result_from_json

LONGEST_RESULT = 256_000_000
"""Bytes of one answer. A row takes a few hundred."""

MOST_UNREAD = 10_000
"""Events that may wait for the pool; then the worker does, so that none can fill this process's memory."""

MOST_UNREAD_LOG = 1_000
"""Lines of its log that may wait for the pool; what comes then stands in the log file only."""

LONGEST_QUICK_REQUEST = 4096
"""Bytes that fit into the empty pipe of any system."""

LAST_WORDS_SECONDS = 0.5

DRAIN_SECONDS = 2.0
"""A grandchild may keep a dead worker's pipes open: their end is not waited for longer."""


class WorkerProcess:
    """A slot of this machine: a running worker. Raises PreflightError when it cannot be started at all."""

    ready = True

    def __init__(
        self,
        name: str,
        command: WorkerCommand,
        inbox: Inbox,
        task_files: TaskFiles,
        log: Path | None = None,
    ) -> None:
        self.name = name
        self._inbox = inbox
        self._task_files = task_files
        self._written: list[Path] = []
        self._log = log
        self._last_words = LastWords()
        self._fault: str | None = None
        self._requests = 0
        self.last_event = time.monotonic()
        """When an event was read, in monotonic seconds; at first, when the process was started."""
        self._unread = threading.Semaphore(MOST_UNREAD)
        self._unread_log = threading.Semaphore(MOST_UNREAD_LOG)
        self._ended = threading.Event()
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
        self._readers = [
            _thread(self._read_events, f"{name} stderr"),
            _thread(self._read_results, f"{name} stdout"),
        ]
        _thread(self._await_end, f"{name} end")

    @property
    def pid(self) -> int:
        return self._process.pid

    def peak_mb(self) -> int | None:
        return peak_memory_mb(self._process.pid)

    def give(self, lease: Lease) -> int:
        self._written = self._task_files.write(lease)
        line = (json.dumps([str(path) for path in self._written]) + "\n").encode("utf-8")
        if len(line) <= LONGEST_QUICK_REQUEST:
            self._send(line)
        else:  # may fill the pipe of a worker that hangs: nobody waits for it
            _thread(lambda: self._send(line), f"{self.name} request")
        self._requests += 1
        return self._requests

    def answered(self) -> None:
        self._task_files.remove(self._written)
        self._written = []

    def taken(self, message: Message) -> None:
        if isinstance(message, EventMessage):
            self._unread.release()
        elif isinstance(message, LogMessage):
            self._unread_log.release()

    def finish(self) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
        except OSError as error:
            self._last_words.add(f"(stdin: {error})")

    def kill(self, reason: str) -> None:
        self._fault = self._fault or reason
        if not self._ended.is_set():
            end_group(self._process)

    def wait(self, seconds: float) -> bool:
        return self._ended.wait(seconds)

    def _send(self, line: bytes) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line)
            self._process.stdin.flush()
        except (OSError, ValueError) as error:  # ValueError: closed meanwhile
            self._last_words.add(f"(request not taken: {error})")

    def _read_events(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as stream, BoundedLog(self._log) as log:
            for piece in pieces(stream):
                line = piece.data.decode("utf-8", errors="replace").rstrip("\r\n")
                event = parse_event(line) if piece.first and piece.last else None
                if event is not None:
                    self._unread.acquire()
                    self.last_event = time.monotonic()
                    self._inbox.put(EventMessage(self, event))
                    continue
                log.write(piece.data)
                if piece.first and (plain := plain_line(line)):
                    self._last_words.add(plain)
                    self._pass_on(plain)
        if log.fault is not None:
            self._last_words.add(f"({log.fault})")

    def _pass_on(self, line: str) -> None:
        """A worker that logs without end waits for nobody, and fills nobody's memory."""
        if self._unread_log.acquire(blocking=False):
            self._inbox.put(LogMessage(self, line))

    def _read_results(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as stream:
            while raw := stream.readline(LONGEST_RESULT + 1):
                if len(raw) > LONGEST_RESULT:
                    self._reject(f"its answer is longer than {LONGEST_RESULT // 10**6} MB")
                    break
                try:
                    result = result_from_json(raw.decode("utf-8"))
                except (ContractError, UnicodeDecodeError) as error:
                    self._reject(f"its answer cannot be read ({error})")
                    break
                self._inbox.put(ResultMessage(self, result))

    def _reject(self, fault: str) -> None:
        """End a worker that answers nonsense. What does so is often about to end, and to say why."""
        self._fault = self._fault or fault
        if not self._ended.wait(LAST_WORDS_SECONDS):
            self.kill(fault)

    def _await_end(self) -> None:
        _await_exit(self._process)
        # What it has started ends with it, and while it is not yet reaped its number is no other's.
        end_group(self._process)
        code = self._process.wait()
        self._ended.set()
        self.finish()
        deadline = time.monotonic() + DRAIN_SECONDS
        for reader in self._readers:
            reader.join(timeout=max(0.0, deadline - time.monotonic()))
        self._inbox.put(GoneMessage(self, diagnosis(self.name, code, self._fault, str(self._last_words))))


def end_group(process: subprocess.Popen[Any]) -> None:
    """End a process that was started with ``own_group``, and whatever it started, at once."""
    if hasattr(os, "killpg"):
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):  # macOS says the latter of a group of zombies
            process.kill()
    else:
        process.kill()


def own_group() -> dict[str, Any]:
    """A process group of its own, so that a worker's children end with it and a Ctrl-C in the
    terminal reaches only the coordinator, which decides."""
    if os.name == "nt":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}  # type: ignore[attr-defined]
    return {"start_new_session": True}


def _await_exit(process: subprocess.Popen[Any]) -> None:
    """Wait for the process's end; where the system can, without reaping it."""
    if hasattr(os, "waitid"):
        try:
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            return
        except ChildProcessError:
            pass  # somebody has asked for its exit code meanwhile, and so reaped it
    process.wait()


def _thread(target: Callable[[], None], name: str) -> threading.Thread:
    thread = threading.Thread(target=target, name=name, daemon=True)
    thread.start()
    return thread
