"""Worker processes on this machine: command, start, requests, events, log, end; and one-shot tools."""

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
from contextlib import closing
from dataclasses import dataclass, replace
from importlib import util
from pathlib import Path
from typing import IO, Any, BinaryIO

from voiceclone_cli import system
from voiceclone_cli.children import Child, start_child, start_thread, wait_for_child, wait_for_thread
from voiceclone_cli.errors import PreflightError
from voiceclone_cli.workers import protocol
from voiceclone_worker.atomic import write_bytes_atomic
from voiceclone_worker.protocol import TOOL_SCHEMA, parse_event, result_from_json, task_to_json
from voiceclone_worker.telemetry import OFFLINE, SILENCE
from voiceclone_worker.validation import ContractError


@dataclass(frozen=True, slots=True)
class WorkerCommand:
    """All that is needed to start a worker."""

    python: str
    program: Path
    environment: Mapping[str, str]
    flags: tuple[str, ...] = ("-X", "utf8")

    def arguments(self, *given: str) -> list[str]:
        """Return the command line of the program with these arguments."""
        return [self.python, *self.flags, str(self.program), *given]

    def numbered(self, number: int) -> WorkerCommand:
        """Return the command of one of several workers; an engine distributes its devices by this number."""
        return replace(self, environment={**self.environment, "VOICECLONE_WORKER": str(number)})


def worker_command(
    python: str | None, *, threads: int, environ: Mapping[str, str] = os.environ
) -> WorkerCommand:
    """Return the command of a speech worker in ``python`` (None: this interpreter) that computes on ``threads``."""
    python = python or sys.executable
    return WorkerCommand(python, worker_program(), worker_environment(python, threads, environ))


def worker_program() -> Path:
    """Return the folder of the worker: beside the package in a checkout, in site-packages when installed."""
    spec = util.find_spec("voiceclone_worker")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("voiceclone is installed without its worker; install it again")
    return Path(next(iter(spec.submodule_search_locations)))


def worker_environment(python: str, threads: int, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a speech worker in the interpreter ``python``.

    It holds no token, no PYTHON* that leads to the other environment's site-packages, and no proxy. A worker
    is given every file it needs, so its libraries are told that there is no hub.
    """
    variables = system.filter_environment(
        environ, (*system.SYSTEM_VARIABLES, *system.DEVICE_VARIABLES), system.DEVICE_PREFIXES
    )
    return {
        **variables,
        **system.interpreter_paths(python, variables.get("PATH", "")),
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


class TaskFiles:
    """Requests to a speech worker, written as task files into a folder, and its answers.

    With ``keep`` the files stay when their lease is over.
    """

    def __init__(self, folder: Path, *, keep: bool) -> None:
        self.folder = folder
        self._keep = keep
        self._numbers = itertools.count(1)

    def write(self, lease: protocol.Lease) -> list[Path]:
        """Write a file for each task of the lease. Raises OSError, and then leaves none of them."""
        files: list[Path] = []
        try:
            for task in lease.tasks:
                assert not isinstance(task, protocol.AnalysisTask)
                path = self.folder / f"task-{next(self._numbers):05d}.json"
                # Not flushed: these files do not outlive their reader, and there is one for every few lines.
                data = task_to_json(task).encode("utf-8")
                write_bytes_atomic(path, data, sync=False, make_folder=False)
                files.append(path)
        except OSError:
            remove_files(files)
            raise
        return files

    def request(self, lease: protocol.Lease, files: Sequence[Path]) -> Any:
        """Return the request that names these files, as JSON data."""
        return [str(path) for path in files]

    def messages(self, worker: protocol.Worker, line: str) -> list[protocol.Message]:
        """Return what a line of the worker's stdout says. Raises ContractError."""
        return [protocol.ResultMessage(worker, result_from_json(line))]

    def remove(self, files: Iterable[Path]) -> None:
        """Remove the files of a lease that is over."""
        if not self._keep:
            remove_files(files)


def remove_files(files: Iterable[Path]) -> None:
    """Remove files as far as possible."""
    for path in files:
        try:
            path.unlink(missing_ok=True)
        except OSError:
            # The folder is gone or read-only: the next run sweeps it.
            return


MAX_RESULT_BYTES = 256_000_000
"""Of one line of stdout. A row takes a few hundred."""

MAX_UNREAD_EVENTS = 10_000
"""Events that may wait for the pool; then the worker does, so that none can fill this process's memory."""

MAX_UNREAD_LOG = 1_000
"""Lines of its log that may wait for the pool; what comes then is in the log file only."""

QUICK_REQUEST_BYTES = 4096
"""What fits into the empty pipe of any system."""

LAST_WORDS_SECONDS = 0.5

DRAIN_SECONDS = 2.0
"""Limit of the wait for the pipes of a dead worker: a grandchild may keep them open."""


class WorkerProcess:
    """A running worker process of this machine.

    Both pipes are drained by a thread each, all the time: a worker must never block on a full pipe.
    Raises PreflightError when it cannot be started.
    """

    ready = True

    def __init__(
        self,
        name: str,
        command: WorkerCommand,
        inbox: protocol.Inbox,
        task_files: TaskFiles,
        log: Path | None = None,
    ) -> None:
        self.name = name
        self._inbox = inbox
        self._task_files = task_files
        self._files: list[Path] = []
        self._log = log
        self._last_words = LastWords()
        self._fault: str | None = None
        self._requests = 0
        self.last_event = time.monotonic()
        """When an event was read, in monotonic seconds; at first, when the process was started."""
        self._unread = threading.Semaphore(MAX_UNREAD_EVENTS)
        self._unread_log = threading.Semaphore(MAX_UNREAD_LOG)
        self._ended = threading.Event()
        self._process = _start(command, "--serve", stdin=subprocess.PIPE)
        self._readers = [
            start_thread(self._read_events, f"{name} stderr"),
            start_thread(self._read_results, f"{name} stdout"),
        ]
        start_thread(self._await_end, f"{name} end")

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    def peak_mb(self) -> int | None:
        """As in ``Worker``."""
        return system.peak_memory_mb(self._process.pid)

    def give(self, lease: protocol.Lease) -> int:
        """As in ``Worker``."""
        self._files = self._task_files.write(lease)
        request = self._task_files.request(lease, self._files)
        line = (json.dumps(request) + "\n").encode("utf-8")
        if len(line) <= QUICK_REQUEST_BYTES:
            self._send(line)
        else:  # may fill the pipe of a worker that hangs: the pool does not wait for it
            start_thread(lambda: self._send(line), f"{self.name} request")
        self._requests += 1
        return self._requests

    def release(self) -> None:
        """As in ``Worker``."""
        self._task_files.remove(self._files)
        self._files = []

    def taken(self, message: protocol.Message) -> None:
        """As in ``Worker``."""
        if isinstance(message, protocol.EventMessage):
            self._unread.release()
        elif isinstance(message, protocol.LogMessage):
            self._unread_log.release()

    def finish(self) -> None:
        """As in ``Worker``."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
        except OSError as error:
            self._last_words.add(f"(stdin: {error})")

    def kill(self, reason: str) -> None:
        """As in ``Worker``."""
        self._fault = self._fault or reason
        if not self._ended.is_set():
            self._process.end_at_once()

    def wait(self, seconds: float) -> bool:
        """As in ``Worker``."""
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
        with self._process.stderr as stream, closing(BoundedLog(self._log)) as log:
            for data, first, last in read_lines(stream):
                line = data.decode("utf-8", errors="replace").rstrip("\r\n")
                event = parse_event(line) if first and last else None
                if event is not None:
                    self._put_event(event)
                    continue
                log.write(data)
                if first and (plain := plain_line(line)):
                    self._last_words.add(plain)
                    if self._unread_log.acquire(blocking=False):
                        self._inbox.put(protocol.LogMessage(self, plain))
        if log.fault is not None:
            self._last_words.add(f"({log.fault})")

    def _put_event(self, event: dict[str, Any]) -> None:
        self._unread.acquire()
        self.last_event = time.monotonic()
        self._inbox.put(protocol.EventMessage(self, event))

    def _read_results(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as stream:
            while raw := stream.readline(MAX_RESULT_BYTES + 1):
                if len(raw) > MAX_RESULT_BYTES:
                    self._reject(f"its answer is longer than {MAX_RESULT_BYTES // 10**6} MB")
                    break
                try:
                    messages = self._task_files.messages(self, raw.decode("utf-8"))
                except (ContractError, UnicodeDecodeError) as error:
                    self._reject(f"its answer cannot be read ({error})")
                    break
                for message in messages:
                    if isinstance(message, protocol.EventMessage):
                        self._put_event(message.event)
                    else:
                        self._inbox.put(message)

    def _reject(self, fault: str) -> None:
        """End a worker that answers nonsense. What does so is often about to end, and to say why."""
        self._fault = self._fault or fault
        if not self._ended.wait(LAST_WORDS_SECONDS):
            self.kill(fault)

    def _await_end(self) -> None:
        code = self._process.await_end()
        self._ended.set()
        self.finish()
        deadline = time.monotonic() + DRAIN_SECONDS
        for reader in self._readers:
            reader.join(timeout=max(0.0, deadline - time.monotonic()))
        self._inbox.put(
            protocol.WorkerExited(self, diagnosis(self.name, code, self._fault, str(self._last_words)))
        )


class LocalLauncher:
    """Launcher of up to ``size`` worker processes of this machine.

    Their task files are written into ``task_dir``; with ``keep_tasks`` they stay there.
    """

    def __init__(
        self,
        command: WorkerCommand,
        size: int,
        task_dir: Path,
        *,
        log_dir: Path | None = None,
        keep_tasks: bool = False,
        task_files: type[TaskFiles] = TaskFiles,
    ) -> None:
        self._command = command
        self._size = size
        self._log_dir = log_dir
        self._task_files = task_files(task_dir, keep=keep_tasks)

    def room(self) -> int:
        """As in ``Launcher``."""
        return self._size

    def start(self, name: str, number: int, inbox: protocol.Inbox) -> WorkerProcess:
        """As in ``Launcher``."""
        log = self._log_dir / f"{name.replace(' ', '-')}.log" if self._log_dir else None
        return WorkerProcess(name, self._command.numbered(number), inbox, self._task_files, log)

    def close(self) -> None:
        """Do nothing: the processes have ended, and task files are removed with their lease."""


TAIL_LINES = 30
"""How many of a worker's last lines are kept to explain its end."""

TAIL_WIDTH = 500
"""Characters of each that are kept."""

QUOTED_LINES, QUOTED_WIDTH = 3, 400


class LastWords:
    """The end of what a worker logged, to explain how it ended."""

    def __init__(self) -> None:
        self._lines: collections.deque[str] = collections.deque(maxlen=TAIL_LINES)

    def add(self, line: str) -> None:
        """Add a line."""
        if plain := plain_line(line):
            self._lines.append(plain)

    def __str__(self) -> str:
        """Return the last lines as one; empty where there are none."""
        lines = list(self._lines.copy())  # a copy is made at once: the reading thread may be adding
        return " | ".join(lines[-QUOTED_LINES:])[-QUOTED_WIDTH:]


def plain_line(line: str) -> str:
    """Return the head of a line without control characters, which a terminal would obey."""
    return "".join(c if c.isprintable() else " " for c in line[:TAIL_WIDTH]).strip()


def diagnosis(name: str, code: int, fault: str | None, last_words: str) -> str:
    """Return how a worker ended, in one sentence.

    ``code`` is the exit code, below 0 a signal; ``fault`` is why the pool ended the worker, if it did.
    """
    if fault is not None:
        how = f"was ended: {fault}" if code == -9 else f"{_ending(code)}: {fault}"
    elif code == -9:
        how = "was ended by SIGKILL (as the system does where memory runs out)"
    else:
        how = _ending(code)
    return f"{name} {how}; it last said: {last_words}" if last_words else f"{name} {how}"


def _ending(code: int) -> str:
    names = {known.value: known.name for known in signal.Signals}
    if code < 0:
        return f"was ended by {names.get(-code, f'signal {-code}')}"
    if code - 128 in names:
        return f"ended with exit code {code} (a shell's way to say {names[code - 128]})"
    return f"ended with exit code {exit_code_text(code)}"


def exit_code_text(code: int) -> str:
    """Return an exit code as text: Windows' own are looked up as 0xC0000005."""
    return f"0x{code:08X}" if code > 0xFFFF else str(code)


MAX_LINE_BYTES = 1 << 16
"""Bytes of stderr read at a time; an event is far shorter."""

MAX_LOG_BYTES = 16_000_000
"""Bytes of a worker's log that are kept."""


def read_lines(stream: IO[bytes]) -> Iterator[tuple[bytes, bool, bool]]:
    """Yield a stream line by line, in parts of at most MAX_LINE_BYTES: no line can grow memory.

    With each part: whether a line begins with it, and whether a line ends with it.
    """
    first = True
    while data := stream.readline(MAX_LINE_BYTES):
        ends = data.endswith(b"\n")
        # At the very end of a stream the last line may lack its end.
        yield data, first, ends or len(data) < MAX_LINE_BYTES
        first = ends


class BoundedLog:
    """A worker's log file, bounded. It never raises: the worker would block on a pipe that is not read."""

    def __init__(self, path: Path | None) -> None:
        self.fault: str | None = None
        """Why the log is not written (any more)."""
        self._file: BinaryIO | None = None
        self._room = MAX_LOG_BYTES
        if path is not None:
            with self._catching():
                self._file = path.open("ab")
                self._room -= self._file.tell()

    def write(self, data: bytes) -> None:
        """Append bytes as long as there is room; say once that the log was cut."""
        if self._file is None:
            return
        with self._catching():
            if len(data) <= self._room:
                self._room -= len(data)
                self._file.write(data)
            else:
                self._file.write(b"\n(cut here: the log has reached its %d MB)\n" % (MAX_LOG_BYTES // 10**6))
                self.close()

    def close(self) -> None:
        """Close the file."""
        file, self._file = self._file, None
        if file is not None:
            with self._catching():
                file.close()

    @contextlib.contextmanager
    def _catching(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.fault = f"log not written: {error.strerror or error}"
            broken, self._file = self._file, None
            if broken is not None:
                with contextlib.suppress(OSError):
                    broken.close()


def _start(command: WorkerCommand, *arguments: str, stdin: int) -> Child:
    try:
        return start_child(command.arguments(*arguments), environment=command.environment, stdin=stdin)
    except OSError as error:
        raise PreflightError(
            f"the worker's interpreter {command.python} cannot be started ({error.strerror}); "
            "check FISH_SPEECH_PYTHON, or make the environment with `voiceclone env create`",
            code="worker_interpreter",
        ) from error


OnToolEvent = Callable[[dict[str, Any]], None]


def ask_tool(
    command: WorkerCommand,
    tool: str,
    arguments: Sequence[str] = (),
    *,
    seconds: float = 120.0,
    on_event: OnToolEvent = lambda event: None,
) -> dict[str, Any]:
    """Run a tool (see ``voiceclone_worker.tools``) in the worker's interpreter and return its answer.

    Raises PreflightError, one sentence each: the interpreter cannot be started, it ends without an
    answer, it does not answer in ``seconds``, or the tool itself reports an error (with its code).
    """
    process = _start(command, "--tool", tool, *arguments, stdin=subprocess.DEVNULL)
    last_words = LastWords()
    answer: list[bytes] = []

    def read_events() -> None:
        assert process.stderr is not None
        with process.stderr as stream:
            for raw in stream:
                line = raw.decode("utf-8", errors="replace").rstrip("\r\n")
                event = parse_event(line)
                if event is not None:
                    on_event(event)
                else:
                    last_words.add(line)

    def read_answer() -> None:
        assert process.stdout is not None
        with process.stdout as stream:
            answer.append(stream.read())

    readers = [start_thread(read_answer, f"{tool} stdout"), start_thread(read_events, f"{tool} stderr")]
    deadline = time.monotonic() + seconds
    try:
        # It closes stdout when it ends, which is seen at once; the wait for a process looks now and then.
        wait_for_thread(readers[0], seconds)
        overdue = not wait_for_child(process, max(0.0, deadline - time.monotonic()))
    finally:
        if process.poll() is None:
            process.end_at_once()
            wait_for_child(process, DRAIN_SECONDS)
    deadline = time.monotonic() + DRAIN_SECONDS
    for reader in readers:
        wait_for_thread(reader, max(0.0, deadline - time.monotonic()))
    interpreter = f"the worker's interpreter {command.python}"
    if overdue:
        raise PreflightError(f"{interpreter} gave no answer in {seconds:.0f} s", code="worker_silent")
    try:
        document = json.loads(b"".join(answer).decode("utf-8", errors="replace").splitlines()[-1])
        assert document["schema"] == TOOL_SCHEMA
        if "error" in document:
            raise PreflightError(document["error"]["message"], code=document["error"]["code"])
        found: dict[str, Any] = document["answer"]
        return found
    except (ValueError, IndexError, KeyError, TypeError, AssertionError) as error:
        said = f"; it last said: {last_words}" if str(last_words) else ""
        raise PreflightError(
            f"{interpreter} ended with exit code {exit_code_text(process.returncode)} and no answer that can be read{said}",
            code="worker_unreadable",
        ) from error
