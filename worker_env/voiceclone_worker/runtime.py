"""Standard streams of a child process, its heartbeat, and its end when its coordinator is gone.

Results are lines of stdout; events and log lines share stderr. Libraries print where they like, so the process
takes a private copy of stdout before anything heavy is imported, and points file descriptor 1 at stderr: a print,
a C library's printf or a child process can then never reach the result.

Standard library only: both environments use it.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any, NoReturn

from voiceclone_worker.protocol import Result, event_line, result_to_json

HEARTBEAT_SECONDS = 1.0

COORDINATED_VARIABLE = "VOICECLONE_COORDINATED"
"""Set by a coordinator for its children: a child that loses it ends."""

WATCH_SECONDS = 0.5

_PR_SET_PDEATHSIG = 1
"""prctl(2). The signal comes when the thread that started this process ends, so a coordinator starts its
workers in a thread that lives as long as they do."""


_ERROR_BROKEN_PIPE = 109
"""Of Windows: the other end of the pipe is closed."""


@contextlib.contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Import and load during the block without looking for garbage.

    Nearly all that is made then stays, and the search takes a quarter of the time of torch's and pyannote's imports.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class Channel:
    """Results to stdout and events to stderr, from any thread."""

    def __init__(self) -> None:
        _open_missing_streams()
        sys.stdout.flush()
        # A lock each: a long result must not delay the heartbeat.
        self._results = _LineWriter(os.dup(1))
        # A private copy: a library that closes or redirects stderr cannot stop the events.
        self._events = _LineWriter(os.dup(2))
        os.dup2(2, 1)
        sys.stdout = sys.stderr

    def emit(self, event: str, **fields: Any) -> None:
        """Write one event line, or drop it when the reader is gone: no result depends on an event."""
        with contextlib.suppress(OSError):
            self._events.write(event_line(event, **fields))

    def write_result(self, result: Result) -> None:
        """Write one result line. Raises OSError when the reader is gone."""
        self.write_line(result_to_json(result))

    def write_line(self, line: str) -> None:
        """Write one line to stdout. Raises OSError when the reader is gone."""
        self._results.write(line)

    def start_heartbeat(self) -> None:
        """Emit ``heartbeat`` every second, whatever the engine is doing."""
        threading.Thread(target=self._beat, name="heartbeat", daemon=True).start()

    def _beat(self) -> None:
        pause = threading.Event()
        while not pause.wait(HEARTBEAT_SECONDS):
            self.emit("heartbeat")


class _LineWriter:
    """A descriptor that takes whole lines from any thread."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()

    def write(self, line: str) -> None:
        data = memoryview((line + "\n").encode("utf-8", errors="replace"))
        with self._lock:
            while data:
                data = data[os.write(self._descriptor, data) :]


def _open_missing_streams() -> None:
    """Open what a caller has closed (`2>&-`), so that descriptors 0 to 2 do not go to other files."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115
    if sys.stdout is None:
        sys.stdout = sys.stderr


def exit_with_parent(*, serving: bool) -> None:
    """End this process at most two seconds after its coordinator, even one that was killed.

    Three signs are watched: the signal that Linux sends when a parent dies (it reaches a process in any state:
    stopped, in C code, in an import), a changed parent process, and, when ``serving``, the other end of standard
    input, which also works where a script stands between the two. On Windows a process keeps the number of a parent
    that is gone: there the coordinator's Job Object ends its children, and the other end of standard input is
    watched. Does nothing in a process that was started by hand.
    """
    if COORDINATED_VARIABLE not in os.environ:
        return
    if sys.platform == "linux":
        # An interpreter built without ctypes still has the watch below.
        with contextlib.suppress(ImportError, OSError, AttributeError):
            import ctypes

            ctypes.CDLL(None).prctl(ctypes.c_int(_PR_SET_PDEATHSIG), ctypes.c_ulong(signal.SIGKILL))
    threading.Thread(
        target=_watch_parent, args=(os.getppid(), serving), name="parent-watch", daemon=True
    ).start()


def _watch_parent(parent: int, serving: bool) -> None:
    pause, hung_up = threading.Event(), 0
    while not pause.wait(WATCH_SECONDS):
        # Twice: a coordinator without more work also closes the input, and the process then ends by itself.
        hung_up = hung_up + 1 if serving and input_hung_up() else 0
        if os.getppid() != parent or hung_up >= 2:
            _end_group()


def _end_group() -> NoReturn:
    """End this process with what it has started, where it leads a process group."""
    if sys.platform != "win32" and os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def input_hung_up(descriptor: int = 0) -> bool:
    """Return whether the other end of a pipe is closed; False for what is no pipe.

    On Windows it waits as long as another thread reads from the pipe, which then is told of its end itself.
    """
    if sys.platform == "win32":
        import ctypes
        import msvcrt
        from ctypes import wintypes

        kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)
        peek = kernel32.PeekNamedPipe
        peek.argtypes = (wintypes.HANDLE, *(wintypes.LPVOID, wintypes.DWORD), *[wintypes.LPVOID] * 3)
        if peek(msvcrt.get_osfhandle(descriptor), None, 0, None, None, None):
            return False
        return ctypes.get_last_error() == _ERROR_BROKEN_PIPE
    poll = select.poll()
    # Linux also reports hang-ups that were not asked for; macOS looks at nothing for a descriptor without events.
    poll.register(descriptor, select.POLLHUP)
    return any(happened & (select.POLLHUP | select.POLLERR) for _, happened in poll.poll(0))


def release_free_memory() -> None:
    """Return to the system what this process has freed and its C library (glibc) keeps; elsewhere do nothing."""
    if sys.platform == "linux":
        import ctypes

        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
