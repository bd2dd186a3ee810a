"""Streams of a command, and how they are lost.

Streams are read without blocking and without threads, so a reader can be closed at any time.
"""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import subprocess
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path

STDOUT, STDERR = 1, 2


class Command:
    """A running command and its streams. ``lost`` is one of plan.STREAMS, or empty."""

    def __init__(self, arguments: Sequence[str], env: Mapping[str, str], cwd: Path, lost: str = "") -> None:
        self.stderr_bytes = bytearray()
        """Output on stderr, or on the terminal."""
        self.stdout_bytes = bytearray()
        """Output on stdout."""
        self.is_complete = not lost
        """Whether both streams stay open and separate."""
        terminal = lost.startswith("terminal")
        ends = {STDERR: pty.openpty()} if terminal else {STDOUT: os.pipe(), STDERR: os.pipe()}
        self._readers = {stream: reader for stream, (reader, _) in ends.items()}
        stderr = ends[STDERR][1]
        stdout = stderr if terminal else ends[STDOUT][1]

        def prepare() -> None:
            if terminal:
                fcntl.ioctl(STDERR, termios.TIOCSCTTY, 0)
            if lost.endswith("nohup"):
                signal.signal(signal.SIGHUP, signal.SIG_IGN)
            if lost.endswith(" closed"):
                os.close(STDOUT if lost.startswith("stdout") else STDERR)

        self.process = subprocess.Popen(
            arguments,
            stdin=stderr if terminal else subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            env=dict(env),
            cwd=cwd,
            start_new_session=True,
            preexec_fn=prepare,
        )
        for writer in {stdout, stderr}:
            os.close(writer)
        for reader in self._readers.values():
            os.set_blocking(reader, False)

    def read_streams(self) -> None:
        """Read the available output."""
        for stream, reader in list(self._readers.items()):
            try:
                while data := os.read(reader, 1 << 16):
                    (self.stdout_bytes if stream == STDOUT else self.stderr_bytes).extend(data)
            except BlockingIOError:
                continue
            except OSError:  # a terminal without processes
                data = b""
            self._close(stream)

    def close_reader(self, kind: str) -> bool:
        """Close the reader of a stream; return False if it was closed before."""
        stream = STDOUT if kind.startswith("stdout") else STDERR
        if stream not in self._readers:
            return False
        self._close(stream)
        return True

    def close(self) -> None:
        """Read the rest and close all readers."""
        self.read_streams()
        for stream in list(self._readers):
            self._close(stream)

    def _close(self, stream: int) -> None:
        os.close(self._readers.pop(stream))
