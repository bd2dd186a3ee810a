"""How a command's stdout and stderr are connected, and how they are lost.

Streams are read without blocking by whoever watches the command, so no thread is needed, and a reader
can go at any moment.
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
    """A running command whose streams we hold. ``lost`` is one of plan.STREAMS, or empty."""

    def __init__(self, arguments: Sequence[str], env: Mapping[str, str], cwd: Path, lost: str = "") -> None:
        self.said = bytearray()
        """All that came on stderr, or on the terminal."""
        self.printed = bytearray()
        """All that came on stdout."""
        self.tells_all = not lost
        """Whether both streams stay open and apart."""
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

    def listen(self) -> None:
        """Take what has been said so far."""
        for stream, reader in list(self._readers.items()):
            try:
                while data := os.read(reader, 1 << 16):
                    (self.printed if stream == STDOUT else self.said).extend(data)
            except BlockingIOError:
                continue
            except OSError:  # a terminal that nobody holds any more
                data = b""
            self._close(stream)

    def lose(self, kind: str) -> bool:
        """The reader of a stream goes away; False where it has been gone before."""
        stream = STDOUT if kind.startswith("stdout") else STDERR
        if stream not in self._readers:
            return False
        self._close(stream)
        return True

    def hang_up(self) -> None:
        """Stop listening for good."""
        self.listen()
        for stream in list(self._readers):
            self._close(stream)

    def _close(self, stream: int) -> None:
        os.close(self._readers.pop(stream))
