"""The process and its machine: variables for child processes, time and memory, threads, requests to stop.

Child processes get the variables that are listed here and no others: a list of secrets would never be complete.
What differs from platform to platform is here, in ``children`` and in ``voiceclone_worker.runtime``, and nowhere else.
"""

from __future__ import annotations

import errno
import functools
import io
import os
import signal
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from voiceclone_cli.children import run_child
from voiceclone_cli.config import is_secret_name
from voiceclone_cli.errors import Stopped

SYSTEM_VARIABLES = (
    # Where programs, the user's files and temporary files are.
    *("PATH", "HOME", "USERPROFILE", "APPDATA", "LOCALAPPDATA", "TEMP", "TMP", "TMPDIR"),
    *("XDG_CACHE_HOME", "SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT"),
    # Where installers put programs: that of espeak-ng leaves PATH alone.
    "PROGRAMFILES",
    # How text and times are spelled.
    *("LANG", "LC_ALL", "LC_CTYPE", "TZ"),
    # Where shared libraries are, those of a conda environment among them.
    *("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "CONDA_PREFIX"),
)
"""For every child process."""

DEVICE_VARIABLES = (
    *("CUDA_VISIBLE_DEVICES", "CUDA_HOME", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"),
    *("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"),
    # Which instructions of the CPU may be used: oneDNN, torch and ctranslate2.
    *("ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY", "CT2_FORCE_CPU_ISA"),
)
"""For workers: the devices they compute on."""

DEVICE_PREFIXES = ("PYTORCH_", "TORCH_", "NVIDIA_", "NCCL_", "KMP_")
"""KMP_: Intel's OpenMP, which a conda environment on Windows may have twice (KMP_DUPLICATE_LIB_OK)."""

NETWORK_VARIABLES = (
    # A proxy's URL may hold a password: without it nothing is reached.
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
    # The certificates of an organisation's own authority.
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    # The login of a private package index.
    "NETRC",
)
"""For pip: the way to its index."""

PIP_FILES = ("XDG_CONFIG_HOME", "XDG_CONFIG_DIRS", "PROGRAMDATA")
"""Where pip looks for its configuration files."""

PIP_PREFIXES = ("PIP_",)
"""Pip's own settings, its index (and the login in its URL) among them."""

TRANSLATOR_VARIABLES = (*PIP_FILES, "XDG_DATA_HOME")
"""For a program that translates, besides those of the network and the devices: where its settings and models are."""

BUILD_VARIABLES = (
    *("CC", "CXX", "CFLAGS", "CXXFLAGS", "CPPFLAGS", "LDFLAGS", "CPATH", "LIBRARY_PATH", "PKG_CONFIG_PATH"),
    *("SDKROOT", "DEVELOPER_DIR", "MACOSX_DEPLOYMENT_TARGET", "ARCHFLAGS"),
    *("INCLUDE", "LIB", "LIBPATH", "PROGRAMFILES", "PROGRAMFILES(X86)", "PROCESSOR_ARCHITECTURE"),
)
"""For pip, which compiles packages without a wheel."""

INTERPRETER_VARIABLES = ("PYENV_ROOT", "PYENV_VERSION", "ASDF_DIR", "ASDF_DATA_DIR")
"""An interpreter on PATH may be the shim of one of these version managers."""


def filter_environment(
    environ: Mapping[str, str], names: Iterable[str], prefixes: tuple[str, ...] = ()
) -> dict[str, str]:
    """Return the variables of ``environ`` that are named, or begin with a prefix and are not named like a secret."""
    # Names of proxies may be in lower case; on Windows case does not count.
    wanted = frozenset(names)
    return {
        name: value
        for name, value in environ.items()
        if name.upper() in wanted or (name.upper().startswith(prefixes) and not is_secret_name(name))
    }


class Clock:
    """Wall time (seconds) and peak resident memory (MB, 10^6 bytes) of each stage of a run."""

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self.seconds: dict[str, float] = {}
        self.peak_mb: dict[str, int] = {}
        """Of this process, from its start to the end of the stage."""

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Record the block as the stage ``name``. Raises Stopped where a request to stop was lost."""
        raise_if_stopped()
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = round(time.perf_counter() - started, 3)
            peak = peak_memory_mb()
            if peak is not None:
                self.peak_mb[name] = peak

    def stop(self) -> None:
        """Record the seconds since the clock was made as "total"."""
        self.seconds["total"] = round(time.perf_counter() - self._started, 3)


def add_seconds(total: dict[str, float], more: Mapping[str, float]) -> None:
    """Add the seconds of each stage to ``total``."""
    for stage, seconds in more.items():
        total[stage] = total.get(stage, 0.0) + seconds


def peak_memory_mb(pid: int | None = None) -> int | None:
    """Return the largest resident set so far of this process, or (on Linux and Windows) of another; None where the
    system does not report it."""
    if sys.platform == "win32":
        import psutil

        try:
            peak: int = psutil.Process(pid).memory_info().peak_wset
        except psutil.Error:
            return None
        return round(peak / 1e6)
    try:
        # Not ru_maxrss: Linux hands it down through exec, so that a child starts with its parent's.
        status = Path(f"/proc/{pid or 'self'}/status").read_text(encoding="ascii", errors="replace")
        kib = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
        return round(int(kib) * 1024 / 1e6)
    except (OSError, StopIteration, ValueError):
        if pid:
            return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak * (1 if sys.platform == "darwin" else 1024) / 1e6)


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Let torch compute with ``count`` threads during the block."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


Listener = Callable[[Stopped], None]
"""Called inside a signal handler: it may set a field or put into a SimpleQueue, and must not block."""

# Most work can be stopped anywhere: ``Stopped`` is raised, and half-written files are removed. The pool cannot: it has
# workers to end and finished results to keep. It listens instead, and raises ``Stopped`` itself when it is ready.
_listeners: list[Listener] = []
_raised: list[Stopped] = []


def request_stop(stop: Stopped) -> None:
    """Pass a request to stop (Ctrl-C, SIGTERM) to the innermost listener; raise ``stop`` where there is none."""
    if not _listeners:
        _raised.append(stop)
        raise stop
    _listeners[-1](stop)


def raise_if_stopped() -> None:
    """Raise a request to stop again that was raised before, and lost.

    Python ignores exceptions in finalizers, and some libraries ignore all of them while they are loaded.
    """
    if _raised:
        raise _raised[-1]


@contextmanager
def listening_for_stop(listener: Listener) -> Iterator[None]:
    """Pass requests to stop to ``listener`` during the block."""
    raise_if_stopped()
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


_SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)
]
"""SIGHUP: the terminal was closed; SIGBREAK: Ctrl-Break on Windows."""

_CLOSING_EVENTS = (2, 5, 6)
"""Of a console of Windows: it is closed, its user logs off, the machine is shut down."""

_CLOSING_SECONDS = 60.0
"""Windows ends the process some seconds after such an event, and at once when its handler returns."""


def stop_on_signals() -> None:
    """Turn the first signal into a request to stop, and exit at the second, with the code of its number."""
    for number in _SIGNALS:
        # A signal that is ignored from the start (nohup, Ctrl-C for a background job) stays ignored.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)
    if sys.platform == "win32":
        import ctypes
        from ctypes import wintypes

        # Kept for ever: Windows calls it in another thread.
        handler = ctypes.WINFUNCTYPE(wintypes.BOOL, wintypes.DWORD)(_console_event)
        _console_handlers.append(handler)
        # Asked before the handler of the C library, which was there first.
        ctypes.WinDLL("kernel32").SetConsoleCtrlHandler(handler, True)


_console_handlers: list[object] = []


def _console_event(event: int) -> bool:
    """Stop as at SIGTERM where the console goes away, and keep the process until it has ended by itself."""
    if event not in _CLOSING_EVENTS:
        return False
    import _thread

    _thread.interrupt_main(signal.SIGTERM)
    threading.Event().wait(_CLOSING_SECONDS)
    return True


def ignore_signals() -> None:
    """Ignore signals from now on: one in the interpreter's last moments must not change the exit code."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def exit_code_of(number: int) -> int:
    """Return the exit code of a process that a signal stops: that of a shell; Ctrl-Break's is SIGTERM's."""
    return 128 + (signal.SIGTERM if number == getattr(signal, "SIGBREAK", None) else number)


def _stop(number: int, frame: FrameType | None) -> None:
    for other in _SIGNALS:
        if signal.getsignal(other) is _stop:
            signal.signal(other, _exit_at_once)
    request_stop(Stopped(exit_code_of(number)))


def _exit_at_once(number: int, frame: FrameType | None) -> None:
    # The workers notice that their parent has ended, and end too; on Windows its jobs end them.
    os._exit(exit_code_of(number))


def restore_sigterm() -> None:
    """Install Python's handler of SIGTERM again, in the main thread, where a library has put another in its place."""
    if threading.current_thread() is threading.main_thread():
        handler = signal.getsignal(signal.SIGTERM)
        if handler is not None:
            signal.signal(signal.SIGTERM, handler)


def quoted_command(words: Iterable[str], platform: str = sys.platform) -> str:
    """Return a command as it can be given to the platform's shell: that of POSIX, or cmd.exe and PowerShell."""
    import shlex
    import subprocess

    words = list(words)
    return subprocess.list2cmdline(words) if platform == "win32" else shlex.join(words)


def split_command(text: str, platform: str = sys.platform) -> list[str]:
    """Return the words of a command as the platform's programs split it; the inverse of `quoted_command`.

    Raises ValueError for a quotation mark without its second.
    """
    import shlex

    if platform != "win32":
        return shlex.split(text)
    # The rules of CommandLineToArgvW: a backslash is one but before quotation marks.
    words: list[str] = []
    word: str | None = None
    is_quoted, position = False, 0
    while position < len(text):
        backslashes = len(text[position:]) - len(text[position:].lstrip("\\"))
        position += backslashes
        character = text[position : position + 1]
        if character == '"':
            word = (word or "") + "\\" * (backslashes // 2)
            if backslashes % 2:
                word += '"'
            else:
                is_quoted = not is_quoted
        else:
            if backslashes:
                word = (word or "") + "\\" * backslashes
            if character in (" ", "\t") and not is_quoted:
                words += [] if word is None else [word]
                word = None
            else:
                word = (word or "") + character if character or word is not None else None
        position += 1
    if is_quoted:
        raise ValueError("No closing quotation")
    return words if word is None else [*words, word]


def is_link(path: Path) -> bool:
    """Return whether a path is a link that leads elsewhere: a symbolic link, or on Windows a junction."""
    try:
        found = path.lstat()
    except OSError:
        return False
    return is_link_status(found)


def is_link_status(found: os.stat_result) -> bool:
    """As ``is_link``, of what ``lstat`` returns."""
    if stat.S_ISLNK(found.st_mode):
        return True
    tag: int = getattr(found, "st_reparse_tag", 0)
    return tag == 0xA0000003  # IO_REPARSE_TAG_MOUNT_POINT; Path.is_junction is of Python 3.12


def interpreter_paths(python: str, path: str, platform: str = sys.platform) -> dict[str, str]:
    """Return the variables of PATH and of conda for ``python`` where it is that of a conda environment, as activating
    it would set them; empty for any other. ``path`` is PATH as it is.

    Its libraries are found through them, and those of another conda environment come first without.
    """
    prefix = Path(python).absolute().parent
    names = ["", "Library/mingw-w64/bin", "Library/usr/bin", "Library/bin", "Scripts", "bin"]
    if platform != "win32":
        prefix, names = prefix.parent, ["bin"]
    if not (prefix / "conda-meta").is_dir():
        return {}
    folders = [str(prefix / name) for name in names]
    separator = ";" if platform == "win32" else ":"
    return {"PATH": separator.join([*folders, *filter(None, [path])]), "CONDA_PREFIX": str(prefix)}


def change_time(path: Path) -> int:
    """Return when a file's bytes or attributes changed last, in ns: a program cannot set it back as it can the
    modification time. Raises OSError."""
    if sys.platform != "win32":
        return path.stat().st_ctime_ns
    # st_ctime is when the file was made there.
    import ctypes
    import msvcrt
    from ctypes import wintypes

    class BasicInfo(ctypes.Structure):
        """FILE_BASIC_INFO: times in units of 100 ns."""

        _fields_ = (
            *((name, wintypes.LARGE_INTEGER) for name in ("creation", "access", "write", "change")),
            ("attributes", wintypes.DWORD),
        )

    info = BasicInfo()
    query = ctypes.WinDLL("kernel32", use_last_error=True).GetFileInformationByHandleEx
    query.argtypes = (wintypes.HANDLE, ctypes.c_int, wintypes.LPVOID, wintypes.DWORD)
    with path.open("rb") as file:
        if not query(msvcrt.get_osfhandle(file.fileno()), 0, ctypes.byref(info), ctypes.sizeof(info)):
            raise ctypes.WinError(ctypes.get_last_error())
    changed: int = info.change
    return changed * 100


def user_number() -> int:
    """Return the number of this process's user; 0 on Windows, where each user has another temporary folder."""
    if sys.platform == "win32":
        return 0
    return os.getuid()


def lock_descriptor(descriptor: int, *, exclusive: bool) -> None:
    """Lock an open file against other processes: exclusive at once or not at all, else shared, waiting for it.

    Raises OSError: another process has it; on Windows always, which has no such lock.
    """
    if sys.platform == "win32":
        raise OSError(errno.ENOTSUP, "there are no shared locks on Windows")
    import fcntl

    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB if exclusive else fcntl.LOCK_SH)


def process_lives(pid: int) -> bool:
    """Return whether there is a process with this number."""
    import psutil

    return bool(psutil.pid_exists(pid))


@functools.cache
def has_nvidia_gpu() -> bool:
    """Return whether a GPU of NVIDIA is here, by its driver: nothing heavy is imported."""
    return Path("/proc/driver/nvidia/gpus").is_dir() or _ask_driver("-L").startswith("GPU ")


class NvidiaGpu(NamedTuple):
    """A GPU of NVIDIA, as its driver describes it."""

    driver: tuple[int, ...]
    """Version of the driver."""
    capability: tuple[int, int] | None = None
    """Compute capability; None where the driver is too old to report it."""


@functools.cache
def nvidia_gpus() -> tuple[NvidiaGpu, ...]:
    """Return the GPUs of NVIDIA that are here, by their driver's program; none where it does not answer."""
    # A driver that does not know a field answers nothing at all.
    for fields in ("driver_version,compute_cap", "driver_version"):
        answer = _ask_driver(f"--query-gpu={fields}", "--format=csv,noheader")
        with suppress(ValueError):
            rows = [
                [tuple(map(int, cell.split("."))) for cell in line.split(",")] for line in answer.splitlines()
            ]
            if rows:
                return tuple(
                    NvidiaGpu(driver, (more[0][0], more[0][1]) if more else None) for driver, *more in rows
                )
    return ()


def _ask_driver(*arguments: str) -> str:
    """Return what nvidia-smi prints; empty where there is none, or it fails."""
    # A Linux without these has no driver, except in WSL, whose driver is that of Windows.
    if sys.platform == "linux" and not any(map(os.path.exists, ("/proc/driver/nvidia/gpus", "/dev/dxg"))):
        return ""
    import shutil
    import subprocess

    program = shutil.which("nvidia-smi")
    if program is None:
        return ""
    variables = filter_environment(os.environ, SYSTEM_VARIABLES)
    try:
        answer = run_child([program, *arguments], environment=variables, seconds=_DRIVER_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.decode("utf-8", errors="replace") if answer.returncode == 0 else ""


_DRIVER_SECONDS = 5.0


def use_utf8(platform: str = sys.platform, environ: Mapping[str, str] = os.environ) -> None:
    """Have stdout and stderr take UTF-8 on Windows, where they take the code page in which half the world's text
    cannot be written; a console takes any. PYTHONIOENCODING is obeyed."""
    if platform == "win32" and "PYTHONIOENCODING" not in environ:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(encoding="utf-8")


CGROUP = Path("/sys/fs/cgroup")
"""Folder in which Linux describes the container of this process (cgroup v2)."""


class Memory(NamedTuple):
    """Bytes of memory of the machine, or of the container that this process is confined to."""

    total: int
    available: int


def machine_memory(cgroup: Path = CGROUP) -> Memory | None:
    """Return the memory that processes here may use; None where the system does not report it."""
    import psutil

    try:
        found = psutil.virtual_memory()
    except (OSError, psutil.Error):
        return None
    try:
        limit, used = (int((cgroup / f"memory.{name}").read_text("ascii")) for name in ("max", "current"))
    except (OSError, ValueError):  # no container, or one without a limit ("max")
        return Memory(found.total, found.available)
    if limit >= found.total:
        return Memory(found.total, found.available)
    return Memory(limit, min(found.available, max(0, limit - used)))
