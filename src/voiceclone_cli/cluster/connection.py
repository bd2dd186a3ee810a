"""Connection of this process to a Ray cluster, or to a Ray that it starts itself.

Ray is configured without telemetry, dashboard, signal handlers and output; on a cluster on loopback nothing
listens on other interfaces.
"""

from __future__ import annotations

import importlib
import ipaddress
import logging
import os
import secrets
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from voiceclone_cli.children import wait_for_thread, wait_in_steps
from voiceclone_cli.errors import PreflightError
from voiceclone_cli.system import process_lives, restore_sigterm

HEAD_SECONDS = 10.0
"""Time for the head to accept a connection."""

JOIN_SECONDS = 60.0
"""Time to join a cluster, or to start a local Ray; three to ten are usual."""

LEAVE_SECONDS = 15.0
"""Time to leave, before the work goes on without waiting any longer."""

_LEFT_SECONDS = 60.0
"""Time for a connection that is still being left to end, before the next one begins."""

_LOCAL_PREFIX = "vc-ray-"

_LONGEST_BASE = 24
"""Characters. The path of a socket has 107 at most, of which Ray's own names take most."""

_lock = threading.Lock()
_users = 0
_leave: Callable[[], None] | None = None
_leaving: threading.Thread | None = None
"""Of the connection that was left last. Ray's state is one of the process: while it still changes here, another change
would end the process without a word."""


@contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Connect to Ray for a ``with`` block.

    ``address``: "auto", HOST:PORT of the head, or None for a local Ray that ends with the block. Blocks may be
    nested, and in several threads; all share the first one's connection.
    Raises PreflightError: ``ray_missing``, ``ray_address``, ``ray_unreachable``, ``ray_version``.
    """
    global _users, _leave
    with _lock:
        if _users == 0:
            _leave = _join(address)
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0 and _leave is not None:
                leave, _leave = _leave, None
                leave()


def wait_until_left(seconds: float) -> bool:
    """Wait for a connection that is still being left, for so long; return whether none is."""
    if _leaving is None:
        return True
    return wait_for_thread(_leaving, seconds)


def _join(address: str | None) -> Callable[[], None]:
    """Connect; return the function that ends the connection."""
    host = _checked_host(address)
    if not wait_until_left(_LEFT_SECONDS):
        raise _unreachable(address, "an earlier connection of this process has not ended yet")
    with ExitStack() as stack:
        stack.enter_context(_quiet(loopback=address is None or _is_loopback(host), local=address is None))
        require_ray()
        if address is not None and host is not None:
            _check_reachable(address)
        session = _Session(address, _local_home() if address is None else None)
        stack.callback(session.leave)
        session.join()
        return stack.pop_all().close


def _checked_host(address: str | None) -> str | None:
    """Return the host of HOST:PORT; None for "auto" and for no address."""
    if address is None or address == "auto":
        return None
    if "://" in address:
        raise PreflightError(
            f"--ray-address {address} belongs to a Ray client server, which cannot run workers: give the "
            "head's own address (HOST:PORT, as `ray start --head` printed it), on a machine of the cluster",
            code="ray_address",
        )
    host, colon, port = address.rpartition(":")
    if not (colon and host and port.isdecimal() and 0 < int(port) < 65536):
        raise PreflightError(
            f"--ray-address must be auto or HOST:PORT, not {address!r:.80}", code="ray_address"
        )
    return host.strip("[]")


def _is_loopback(host: str | None) -> bool:
    if host is None:
        return False
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@contextmanager
def _quiet(*, loopback: bool, local: bool) -> Iterator[None]:
    """Set the variables that Ray reads when it is imported and its processes inherit, for a ``with`` block only."""
    before = {name: value for name, value in os.environ.items() if name.startswith("RAY_")}
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    # By default Ray ends a process that has not reached its head for a minute: ours, with all its work.
    os.environ.setdefault("RAY_gcs_rpc_server_reconnect_timeout_s", "1000000")
    if loopback:
        # Otherwise its services listen on every interface, also where they are told an address on loopback.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    if local and "RAY_AUTH_MODE" not in os.environ:
        # Ray would write a token into the user's home, for other clusters to find.
        os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(32))
    reread_token()
    try:
        yield
    finally:
        for name in [name for name in os.environ if name.startswith("RAY_")]:
            del os.environ[name]
        os.environ.update(before)
        if wait_until_left(0):
            reread_token()


def reread_token() -> None:
    """Have Ray read its variables again.

    Otherwise a process that has left a Ray with a token would expect that token on any other cluster, whose
    head then treats its actors as orphans.
    """
    with suppress(ImportError, AttributeError):  # no Ray, or a version that caches nothing
        raylet: Any = importlib.import_module("ray._raylet")
        raylet.Config.initialize("")
        raylet.AuthenticationTokenLoader.instance().reset_cache()


def require_ray(platform: str = sys.platform) -> None:
    """Raise PreflightError where Ray is not installed, or not for this platform."""
    if platform == "win32":
        raise PreflightError(
            "--executor ray works on Linux and macOS, and not on Windows: leave it out, or give the command in WSL",
            code="ray_platform",
        )
    try:
        import ray  # noqa: F401
    except ImportError as error:
        raise PreflightError(
            f"Ray cannot be imported ({error}): install it with `pip install 'voiceclone-cli[ray]'`, or leave out "
            "--executor ray",
            code="ray_missing",
        ) from error


def _check_reachable(address: str) -> None:
    """Raise PreflightError where the head is not reachable: Ray would try for minutes, then end this process."""
    host, _, port = address.rpartition(":")
    deadline = time.monotonic() + HEAD_SECONDS
    while True:
        try:
            with socket.create_connection((host.strip("[]"), int(port)), timeout=HEAD_SECONDS / 3):
                return
        except OSError as error:
            if time.monotonic() > deadline:
                raise _unreachable(address, f"{error.strerror or error}") from error
        time.sleep(0.5)


def _unreachable(address: str | None, why: str) -> PreflightError:
    if address is None:
        what, advice = "a local Ray cannot be started", "try again, or leave out --executor ray"
    else:
        what = f"the head of the Ray cluster at {address} cannot be reached"
        advice = "start it (`ray start --head`), or give its address with --ray-address"
    return PreflightError(f"{what} ({why}): {advice}", code="ray_unreachable")


def _local_home() -> Path:
    """Return a folder for the sockets and logs of a local Ray."""
    base = Path(tempfile.gettempdir())
    if len(str(base)) > _LONGEST_BASE and os.name == "posix":
        base = Path("/tmp")
    _sweep(base)
    return Path(tempfile.mkdtemp(prefix=f"{_LOCAL_PREFIX}{os.getpid()}-", dir=base))


def _sweep(base: Path) -> None:
    """Remove what commands that were killed have left."""
    for folder in base.glob(f"{_LOCAL_PREFIX}*-*"):
        pid = folder.name.removeprefix(_LOCAL_PREFIX).partition("-")[0]
        if pid.isdecimal() and not process_lives(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)


def _init(address: str | None, home: Path | None) -> None:
    import ray

    options: dict[str, Any] = {
        "log_to_driver": False,
        "logging_level": logging.CRITICAL,
        "configure_logging": True,
        "include_dashboard": False,
    }
    if home is not None:
        options |= {"_temp_dir": str(home), "_node_ip_address": "127.0.0.1"}
    # "local": a RAY_ADDRESS in the environment, or a cluster that happens to be here, is not used.
    ray.init(address=address or "local", **options)


class _Session:
    """Thread that joins and leaves a cluster.

    Ray's processes end with the thread that started them, and outside the main thread Ray neither takes our
    signals nor blocks us.
    """

    def __init__(self, address: str | None, home: Path | None) -> None:
        self._address = address
        self._home = home
        self._joined, self._leaving = threading.Event(), threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._live, name="ray session", daemon=True)

    def join(self) -> None:
        """Join within JOIN_SECONDS. Raises PreflightError."""
        self._thread.start()
        if not wait_in_steps(self._joined.wait, JOIN_SECONDS):
            raise _unreachable(self._address, f"it gave no answer in {JOIN_SECONDS:.0f} s")
        if self._error is not None:
            raise _connection_error(self._error, self._address) from self._error
        restore_sigterm()  # Ray's prints a stack for each, before it calls ours

    def leave(self) -> None:
        """Leave, and wait for LEAVE_SECONDS: without its head Ray may wait for ever, and on a busy machine for long."""
        global _leaving
        self._leaving.set()
        _leaving = self._thread
        wait_for_thread(self._thread, LEAVE_SECONDS)
        if self._home is not None:
            shutil.rmtree(self._home, ignore_errors=True)

    def _live(self) -> None:
        import ray

        try:
            _init(self._address, self._home)
        except BaseException as error:
            self._error = error
        finally:
            self._joined.set()
        if self._error is None:
            self._leaving.wait()
        with suppress(Exception):
            ray.shutdown(wait_for_processes=self._home is not None)


def _connection_error(error: BaseException, address: str | None) -> BaseException:
    if not isinstance(error, Exception):
        return error
    said = " ".join(str(error).split())
    if "ersion mismatch" in said:
        return PreflightError(
            f"this machine's Ray or Python differs from the cluster's ({said[:300]}): give all nodes the same "
            "versions",
            code="ray_version",
        )
    if said.startswith("Failed to connect to Ray cluster"):
        said = "it answers, but not as a head does; where it asks for a token set RAY_AUTH_MODE=token, and "
        said += "RAY_AUTH_TOKEN or ~/.ray/auth_token as on its nodes"
    return _unreachable(address, said[:300] or type(error).__name__)
