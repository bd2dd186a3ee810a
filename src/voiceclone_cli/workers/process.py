"""One worker process: spawn, requests, events, end.

Both pipes are drained by a thread each, all the time: a worker must never block on a full pipe.
Everything it says arrives in one queue, which the pool reads.
"""

from __future__ import annotations

import collections
import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import util
from pathlib import Path
from types import TracebackType
from typing import IO, Any, BinaryIO, NamedTuple

from voiceclone_cli.errors import PreflightError
from voiceclone_cli.system import (
    DEVICE_PREFIXES,
    DEVICE_VARIABLES,
    SYSTEM_VARIABLES,
    filter_environment,
    peak_memory_mb,
)
from voiceclone_cli.workers.protocol import (
    EventMessage,
    Inbox,
    Lease,
    LogMessage,
    Message,
    ResultMessage,
    WorkerExited,
)
from voiceclone_worker.atomic import write_bytes_atomic
from voiceclone_worker.protocol import TOOL_SCHEMA, parse_event, result_from_json, task_to_json
from voiceclone_worker.telemetry import OFFLINE, SILENCE
from voiceclone_worker.validation import ContractError

# Why a worker ended, in one sentence.


TAIL_LINES = 30
"""How many of a worker's last lines are kept to explain its end."""

TAIL_WIDTH = 500
"""Characters of each that are kept."""

SAID_LINES, SAID_WIDTH = 3, 400


class LastWords:
    """The end of what a worker wrote for people."""

    def __init__(self) -> None:
        self._lines: collections.deque[str] = collections.deque(maxlen=TAIL_LINES)

    def add(self, line: str) -> None:
        if plain := plain_line(line):
            self._lines.append(plain)

    def __str__(self) -> str:
        """The last of them, on one line; empty where nothing was said."""
        lines = list(self._lines.copy())  # a copy is made at once: the reading thread may be adding
        return " | ".join(lines[-SAID_LINES:])[-SAID_WIDTH:]


def plain_line(line: str) -> str:
    """The head of a line that a worker wrote, fit to be shown: a terminal obeys no control character in it."""
    return "".join(c if c.isprintable() else " " for c in line[:TAIL_WIDTH]).strip()


def diagnosis(name: str, code: int, fault: str | None, last_words: str) -> str:
    """``code`` is the exit code, below 0 a signal; ``fault`` is why the pool ended the worker, if it did."""
    sentence = f"{name} {_how(code, fault)}"
    return f"{sentence}; it last said: {last_words}" if last_words else sentence


def _how(code: int, fault: str | None) -> str:
    if fault is not None:
        return f"was ended: {fault}" if code == -9 else f"{_ending(code)}: {fault}"
    if code == -9:
        return "was ended by SIGKILL (as the system does where memory runs out)"
    return _ending(code)


def _ending(code: int) -> str:
    if code < 0:
        return f"was ended by {_signal_name(-code)}"
    if code > 128 and _is_signal(code - 128):
        return f"ended with exit code {code} (a shell's way to say {_signal_name(code - 128)})"
    return f"ended with exit code {code}"


def _is_signal(number: int) -> bool:
    return number in set(signal.Signals)


def _signal_name(number: int) -> str:
    return signal.Signals(number).name if _is_signal(number) else f"signal {number}"


# How a worker is started: which interpreter, which program, which variables.


@dataclass(frozen=True, slots=True)
class WorkerCommand:
    """All it takes to start a worker."""

    python: str
    program: Path
    environment: Mapping[str, str]

    @property
    def arguments(self) -> list[str]:
        return [self.python, "-X", "utf8", str(self.program), "--serve"]

    def numbered(self, number: int) -> WorkerCommand:
        """The command of one of several workers; an engine that has several devices shares them out by it."""
        return replace(self, environment={**self.environment, "VOICECLONE_WORKER": str(number)})


def worker_command(
    python: str | None, *, threads: int, environ: Mapping[str, str] = os.environ
) -> WorkerCommand:
    """The command of a worker in ``python`` (None: this interpreter) that computes on ``threads`` threads."""
    return WorkerCommand(python or sys.executable, worker_program(), worker_environment(threads, environ))


def worker_program() -> Path:
    """The worker's folder: beside the package in a checkout, inside site-packages when installed."""
    spec = util.find_spec("voiceclone_worker")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("voiceclone is installed without its worker; install it again")
    return Path(next(iter(spec.submodule_search_locations)))


def worker_environment(threads: int, environ: Mapping[str, str]) -> dict[str, str]:
    """All that a worker sees: no token, no PYTHON* that leads to the other environment's site-packages,
    no proxy. It is given every file it needs, so its libraries are told that there is no hub."""
    return filter_environment(environ, (*SYSTEM_VARIABLES, *DEVICE_VARIABLES), DEVICE_PREFIXES) | {
        "VOICECLONE_COORDINATED": "1",
        "PYTHONUTF8": "1",
        "PYTHONUNBUFFERED": "1",
        "PYTHONNOUSERSITE": "1",
        "PYTHONDONTWRITEBYTECODE": environ.get("PYTHONDONTWRITEBYTECODE", ""),
        # Threads that spin while they wait cost ten times their work on a busy machine.
        "OMP_WAIT_POLICY": "PASSIVE",
        **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads)),
        **SILENCE,
        **OFFLINE,
    }


# Reading what a worker writes, whatever it writes: lines of any length, in any bytes, for ever.


LONGEST_LINE = 1 << 16
"""Bytes of stderr read at a time; an event is far shorter."""

LONGEST_LOG = 16_000_000
"""Bytes of a worker's log that are kept."""


class PipeLine(NamedTuple):
    """A line, or a part of one that is too long to be read at once."""

    data: bytes
    first: bool
    """A line begins with it."""
    last: bool
    """A line ends with it."""


def read_lines(stream: IO[bytes]) -> Iterator[PipeLine]:
    """What is written, line by line, in pieces of at most LONGEST_LINE bytes: no line can grow memory."""
    first = True
    while data := stream.readline(LONGEST_LINE):
        ends = data.endswith(b"\n")
        # At the very end of a stream the last line may lack its end.
        yield PipeLine(data, first, ends or len(data) < LONGEST_LINE)
        first = ends


class BoundedLog:
    """A worker's log file: bounded, and no reason to stop reading when it cannot be written."""

    def __init__(self, path: Path | None) -> None:
        self.fault: str | None = None
        """Why the log is not written (any more)."""
        self._file: BinaryIO | None = None
        self._room = LONGEST_LOG
        if path is not None:
            with self._noticing():
                self._file = path.open("ab")
                self._room -= self._file.tell()

    def __enter__(self) -> BoundedLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def write(self, data: bytes) -> None:
        if self._file is None:
            return
        with self._noticing():
            if len(data) <= self._room:
                self._room -= len(data)
                self._file.write(data)
            else:
                self._file.write(b"\n(cut here: the log has reached its %d MB)\n" % (LONGEST_LOG // 10**6))
                self._close()

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with self._noticing():
                file.close()

    @contextlib.contextmanager
    def _noticing(self) -> Iterator[None]:
        """A full disk or a vanished folder ends the log, not the reading: the worker would block on its pipe."""
        try:
            yield
        except OSError as error:
            self.fault = f"log not written: {error.strerror or error}"
            broken, self._file = self._file, None
            if broken is not None:
                with contextlib.suppress(OSError):
                    broken.close()


# Task files: written for a lease, removed when it is answered.


class TaskFiles:
    """The task files in a folder. With ``keep`` they stay when their lease is answered."""

    def __init__(self, folder: Path, *, keep: bool) -> None:
        self.folder = folder
        self._keep = keep
        self._numbers = itertools.count(1)

    def write(self, lease: Lease) -> list[Path]:
        """A file for each task of the lease. Raises OSError, and then leaves none of them."""
        files: list[Path] = []
        try:
            for task in lease.tasks:
                path = self.folder / f"task-{next(self._numbers):05d}.json"
                # Not flushed: these files do not outlive their reader, and there is one for every few lines.
                write_bytes_atomic(path, task_to_json(task).encode("utf-8"), sync=False)
                files.append(path)
        except OSError:
            _remove(files)
            raise
        return files

    def remove(self, files: Iterable[Path]) -> None:
        if not self._keep:
            _remove(files)


def _remove(files: Iterable[Path]) -> None:
    for path in files:
        try:
            path.unlink(missing_ok=True)
        except OSError:
            # The folder is gone or read-only: whoever opens the run directory next sweeps it.
            return


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
            for piece in read_lines(stream):
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
        self._inbox.put(WorkerExited(self, diagnosis(self.name, code, self._fault, str(self._last_words))))


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


# Slots that are worker processes of this machine.


class LocalLauncher:
    """Starts up to ``size`` worker processes. Their leases are written as task files into ``task_dir``; with
    ``keep_tasks`` they stay there."""

    def __init__(
        self,
        command: WorkerCommand,
        size: int,
        task_dir: Path,
        *,
        log_dir: Path | None = None,
        keep_tasks: bool = False,
    ) -> None:
        self._command = command
        self._size = size
        self._log_dir = log_dir
        self._task_files = TaskFiles(task_dir, keep=keep_tasks)

    def room(self) -> int:
        return self._size

    def start(self, name: str, number: int, inbox: Inbox) -> WorkerProcess:
        log = self._log_dir / f"{name.replace(' ', '-')}.log" if self._log_dir else None
        return WorkerProcess(name, self._command.numbered(number), inbox, self._task_files, log)

    def close(self) -> None:
        """Nothing is left: the processes have ended, and task files go with their lease."""


# A question to the worker's interpreter, answered by one of the worker's tools.


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
