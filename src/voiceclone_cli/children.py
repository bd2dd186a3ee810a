"""Child processes on every platform: started as groups, ended with all that they started, and asked.

A child ends with the coordinator, however that ends. On POSIX it leads a session and watches its parent
(``voiceclone_worker.runtime``). On Windows it is in a Job Object whose last handle the coordinator holds; the system
ends the job with that handle. This includes the processes that a child has started, such as the interpreter behind a
virtual environment's `python.exe`.

Nothing here waits without looking up: on Windows no signal interrupts a wait, so that Ctrl-C would only be heard
when it is over.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import IO, Any

LOOK_SECONDS = 0.25
"""Longest wait of a main thread before it looks for signals again."""

END_SECONDS = 5.0
"""How long a child may take to end in order when it is asked to."""

if sys.platform == "win32":
    import ctypes
    from ctypes import wintypes

    _KILL_ON_JOB_CLOSE = 0x2000
    _EXTENDED_LIMIT_INFORMATION = 9
    _CREATE_SUSPENDED = 0x4

    class _BasicLimits(ctypes.Structure):
        """JOBOBJECT_BASIC_LIMIT_INFORMATION."""

        _fields_ = (
            ("PerProcessUserTimeLimit", wintypes.LARGE_INTEGER),
            ("PerJobUserTimeLimit", wintypes.LARGE_INTEGER),
            ("LimitFlags", wintypes.DWORD),
            ("MinimumWorkingSetSize", ctypes.c_size_t),
            ("MaximumWorkingSetSize", ctypes.c_size_t),
            ("ActiveProcessLimit", wintypes.DWORD),
            ("Affinity", ctypes.c_size_t),
            ("PriorityClass", wintypes.DWORD),
            ("SchedulingClass", wintypes.DWORD),
        )

    class _ExtendedLimits(ctypes.Structure):
        """JOBOBJECT_EXTENDED_LIMIT_INFORMATION, whose IO_COUNTERS are six numbers of 64 bits."""

        _fields_ = (
            ("BasicLimitInformation", _BasicLimits),
            ("IoInfo", ctypes.c_ulonglong * 6),
            ("ProcessMemoryLimit", ctypes.c_size_t),
            ("JobMemoryLimit", ctypes.c_size_t),
            ("PeakProcessMemoryUsed", ctypes.c_size_t),
            ("PeakJobMemoryUsed", ctypes.c_size_t),
        )

    _kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)
    _kernel32.CreateJobObjectW.restype = wintypes.HANDLE
    _kernel32.CreateJobObjectW.argtypes = (wintypes.LPVOID, wintypes.LPCWSTR)
    _kernel32.SetInformationJobObject.argtypes = (
        *(wintypes.HANDLE, ctypes.c_int, wintypes.LPVOID, wintypes.DWORD),
    )
    _kernel32.AssignProcessToJobObject.argtypes = (wintypes.HANDLE, wintypes.HANDLE)
    _kernel32.TerminateJobObject.argtypes = (wintypes.HANDLE, wintypes.UINT)
    _kernel32.CloseHandle.argtypes = (wintypes.HANDLE,)
    _ntdll = ctypes.WinDLL("ntdll")
    _ntdll.NtResumeProcess.argtypes = (wintypes.HANDLE,)

    class _Job:
        """A Job Object that ends its processes when it is closed, or when this process has ended."""

        def __init__(self) -> None:
            self._handle = _kernel32.CreateJobObjectW(None, None)
            if not self._handle:
                raise ctypes.WinError(ctypes.get_last_error())
            limits = _ExtendedLimits()
            limits.BasicLimitInformation.LimitFlags = _KILL_ON_JOB_CLOSE
            if not _kernel32.SetInformationJobObject(
                self._handle, _EXTENDED_LIMIT_INFORMATION, ctypes.byref(limits), ctypes.sizeof(limits)
            ):
                error = ctypes.WinError(ctypes.get_last_error())
                self.close()
                raise error

        def add(self, process: int) -> None:
            """Take a process, by its handle. Raises OSError."""
            if not _kernel32.AssignProcessToJobObject(self._handle, process):
                raise ctypes.WinError(ctypes.get_last_error())

        def terminate(self) -> None:
            """End all processes that are in it."""
            if self._handle:
                _kernel32.TerminateJobObject(self._handle, signal.SIGTERM)

        def close(self) -> None:
            """Give the handle back, which ends what is still in it."""
            handle, self._handle = self._handle, None
            if handle:
                _kernel32.CloseHandle(handle)

        __del__ = close


class Child(subprocess.Popen[bytes]):
    """A child process that leads a process group; on Windows it is in a Job Object.

    A Ctrl-C in the terminal, and the terminal's end, reach only the coordinator, which decides.
    """

    def __init__(self, command: Sequence[str], **options: Any) -> None:
        if sys.platform == "win32":
            self._job = _Job()
            # Suspended until it is in the job: nothing that it starts can be outside of it.
            flags = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW | _CREATE_SUSPENDED
            super().__init__(command, creationflags=flags, **options)
            process = int(vars(self)["_handle"])
            try:
                self._job.add(process)
            except OSError:
                self.kill()
                raise
            _ntdll.NtResumeProcess(process)
        else:
            super().__init__(command, start_new_session=True, **options)

    def end_at_once(self) -> None:
        """End it and what it started, without a word."""
        if sys.platform == "win32":
            self._job.terminate()
        else:
            self._signal_group(signal.SIGKILL)

    def ask_to_end(self) -> None:
        """Ask it and what it started to end. On Windows it ends at once: only windows can be asked there."""
        if sys.platform == "win32":
            self._job.terminate()
        else:
            self._signal_group(signal.SIGTERM)

    def await_end(self) -> int:
        """Wait for its end, end what it has left behind, and return its exit code. Not for the main thread."""
        if sys.platform != "win32" and hasattr(os, "waitid"):
            # Not reaped yet: its number, which is that of its group, is no other's.
            with suppress(ChildProcessError):
                os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        else:
            self.wait()
        self.end_at_once()
        return self.wait()

    if sys.platform != "win32":

        def _signal_group(self, number: signal.Signals) -> None:
            try:
                os.killpg(self.pid, number)
            except ProcessLookupError:
                pass  # nothing of it is left
            except PermissionError:  # macOS says so of a group of zombies
                self.send_signal(number)


def start_child(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    stdin: int = subprocess.DEVNULL,
    stdout: int | IO[bytes] = subprocess.PIPE,
    stderr: int | IO[bytes] = subprocess.PIPE,
) -> Child:
    """Start a child process with these variables and no others. Raises OSError."""
    return Child(command, env=dict(environment), stdin=stdin, stdout=stdout, stderr=stderr)


def end_child(child: Child) -> None:
    """End a child that still runs, and what it started: in order within END_SECONDS, else at once."""
    if child.poll() is not None:
        return
    child.ask_to_end()
    if not wait_for_child(child, END_SECONDS):
        child.end_at_once()
        wait_for_child(child, END_SECONDS)


def wait_for_child(child: Child, seconds: float) -> bool:
    """Wait for a child's end, for so long, and return whether it has ended."""

    def ended(seconds: float) -> bool:
        try:
            child.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    return wait_in_steps(ended, seconds)


def wait_for_thread(thread: threading.Thread, seconds: float = float("inf")) -> bool:
    """Wait for a thread's end, for so long, and return whether it has ended."""

    def ended(step: float) -> bool:
        thread.join(step)
        return not thread.is_alive()

    return wait_in_steps(ended, seconds)


def wait_in_steps(wait: Callable[[float], bool], seconds: float = float("inf")) -> bool:
    """Call ``wait`` with at most LOOK_SECONDS until it returns True or ``seconds`` are over; return whether it did."""
    deadline = time.monotonic() + seconds
    while True:
        left = deadline - time.monotonic()
        if wait(max(0.0, min(LOOK_SECONDS, left))):
            return True
        if left <= 0:
            return False


def run_child(
    command: Sequence[str], *, environment: Mapping[str, str], seconds: float
) -> subprocess.CompletedProcess[bytes]:
    """Run a program that prints little, and return its exit code and output.

    Raises OSError where it cannot be started, subprocess.TimeoutExpired after ``seconds``, in which it is ended.
    """
    child = start_child(command, environment=environment)
    deadline = time.monotonic() + seconds
    try:
        while True:
            try:
                stdout, stderr = child.communicate(timeout=LOOK_SECONDS)
                return subprocess.CompletedProcess(command, child.returncode, stdout, stderr)
            except subprocess.TimeoutExpired:
                if time.monotonic() > deadline:
                    raise subprocess.TimeoutExpired(command, seconds) from None
    finally:
        if child.poll() is None:
            child.end_at_once()
            wait_for_child(child, END_SECONDS)
        for stream in (child.stdout, child.stderr):
            if stream is not None:
                stream.close()


def start_thread(target: Callable[[], None], name: str) -> threading.Thread:
    """Start a thread that ends with the process."""
    thread = threading.Thread(target=target, name=name, daemon=True)
    thread.start()
    return thread
