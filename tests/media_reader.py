"""A process that reads media files for a test, and dies of them in the test's place."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

SOURCE = Path(__file__).parents[1] / "src"
_ADDRESSES = 6 << 30
"""Bytes of address space for the process, so that no file can take the machine's memory."""


@dataclass(frozen=True)
class Outcome:
    """How reading one file ended.

    ``kind``: "read", "refused" (an InputError), "traceback", "crash" (the process died), "hang", "memory".
    """

    kind: str
    detail: str
    seconds: float = 0.0
    peak_bytes: int = 0

    @property
    def bad(self) -> bool:
        return self.kind not in ("read", "refused")


class MediaReader:
    """Reads files one after the other in one process, a new one after each that it did not survive."""

    def __init__(self, *, timeout: float = 5.0, max_bytes: int = 1 << 30) -> None:
        self._timeout = timeout
        self._max_bytes = max_bytes
        self._process = self._start()

    def __enter__(self) -> MediaReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def read(self, path: Path) -> Outcome:
        """``timeout`` is in seconds; a process that was above ``max_bytes`` is replaced as well."""
        started = time.monotonic()
        assert self._process.stdin is not None and self._process.stdout is not None
        with suppress(BrokenPipeError):  # a process that died earlier is told by the end of its stdout
            self._process.stdin.write(os.fsencode(path) + b"\0")
        ready, _, _ = select.select([self._process.stdout], [], [], self._timeout)
        line = self._process.stdout.readline() if ready else b""
        seconds = time.monotonic() - started
        if line:
            outcome = Outcome(**json.loads(line), seconds=seconds)
            if outcome.peak_bytes > self._max_bytes:
                outcome = Outcome("memory", outcome.detail, seconds, outcome.peak_bytes)
        elif ready:
            outcome = Outcome("crash", f"exit code {self._process.wait()}", seconds)
        else:
            outcome = Outcome("hang", f"no answer in {self._timeout:g} s", seconds)
        if outcome.kind in ("crash", "hang", "memory"):
            self._end()
            self._process = self._start()
        return outcome

    def _start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, str(Path(__file__))],
            bufsize=0,  # nothing is left to be written when the process is gone
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(SOURCE)},
        )
        assert process.stdout is not None
        if process.stdout.readline() != b"ready\n":
            raise RuntimeError("the process that reads media did not start")
        return process

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


def peak_bytes() -> int:
    """The most memory that this process has had; 0 where the system does not tell.

    Not getrusage's figure: on Linux that counts what the parent had when it made the process.
    """
    status = Path("/proc/self/status")
    if not status.is_file():
        return 0
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def _serve() -> None:
    """Paths come on stdin, a null character after each; an outcome goes to stdout for each."""
    import resource
    import traceback

    from voiceclone_cli.audio.reader import read_recording
    from voiceclone_cli.errors import InputError

    def answer(path: Path) -> tuple[str, str]:
        try:
            recording = read_recording(path)
        except InputError as error:
            return "refused", error.code
        except Exception:
            return "traceback", traceback.format_exc()
        return "read", f"{recording.seconds:.2f} s"

    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESSES, _ADDRESSES))
    import av  # noqa: F401
    import soxr  # noqa: F401

    print("ready", flush=True)
    name = bytearray()
    while byte := sys.stdin.buffer.read(1):
        if byte != b"\0":
            name += byte
            continue
        kind, detail = answer(Path(os.fsdecode(bytes(name))))
        name.clear()
        print(json.dumps({"kind": kind, "detail": detail, "peak_bytes": peak_bytes()}), flush=True)


if __name__ == "__main__":
    _serve()
