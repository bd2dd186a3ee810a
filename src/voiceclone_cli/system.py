"""The process and its machine: variables for child processes, time and memory, threads, requests to stop.

Child processes get the variables that are listed here and no others: a list of secrets would never be complete.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from voiceclone_cli.config import is_secret_name
from voiceclone_cli.errors import Stopped

SYSTEM_VARIABLES = (
    # Where programs, the user's files and temporary files are.
    *("PATH", "HOME", "USERPROFILE", "APPDATA", "LOCALAPPDATA", "TEMP", "TMP", "TMPDIR"),
    *("XDG_CACHE_HOME", "SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT"),
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

DEVICE_PREFIXES = ("PYTORCH_", "TORCH_", "NVIDIA_", "NCCL_")

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
    """Return the largest resident set so far of this process, or (on Linux) of another; None where the system does
    not report it."""
    try:
        # Not ru_maxrss: Linux hands it down through exec, so that a child starts with its parent's.
        status = Path(f"/proc/{pid or 'self'}/status").read_text(encoding="ascii", errors="replace")
        kib = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
        return round(int(kib) * 1024 / 1e6)
    except (OSError, StopIteration, ValueError):
        return None if pid else _peak_by_getrusage()


def _peak_by_getrusage() -> int | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
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
