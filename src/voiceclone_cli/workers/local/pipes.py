"""Reading what a worker writes, whatever it writes: lines of any length, in any bytes, for ever."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, BinaryIO, NamedTuple

LONGEST_LINE = 1 << 16
"""Bytes of stderr read at a time; an event is far shorter."""

LONGEST_LOG = 16_000_000
"""Bytes of a worker's log that are kept."""


class Piece(NamedTuple):
    """A line, or a part of one that is too long to be read at once."""

    data: bytes
    first: bool
    """A line begins with it."""
    last: bool
    """A line ends with it."""


def pieces(stream: IO[bytes]) -> Iterator[Piece]:
    """What is written, line by line, in pieces of at most LONGEST_LINE bytes: no line can grow memory."""
    first = True
    while data := stream.readline(LONGEST_LINE):
        ends = data.endswith(b"\n")
        # At the very end of a stream the last line may lack its end.
        yield Piece(data, first, ends or len(data) < LONGEST_LINE)
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
