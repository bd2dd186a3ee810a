"""Faults on request: what a worker process can do wrong, done in earnest.

The echo engine imports this file in the worker's process (see ``with_faults``). Its option ``faults``
({segment id: "fail" | "raise" | "skip" (a word) | one of ``FAULTS``}) does a fault every time that segment is spoken. ``faults_dir`` is
a folder of faults that happen once, as files named ``MOMENT[.NAME].FAULT[.N]``: MOMENT is load, encode or generate;
NAME a segment's id (a speaker, when encoding), without it any; N tells files apart. The worker that removes the file
performs the fault, so that each happens once.
"""

from __future__ import annotations

import os
import signal
import stat
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from voiceclone_worker import runtime
from voiceclone_worker.engines.base import SegmentError
from voiceclone_worker.protocol import EVENT_TAG, Result, SegmentRow


def with_faults(**options: Any) -> dict[str, Any]:
    """Options of an echo engine that does the faults of ``faults`` or ``faults_dir`` in them."""
    return {"import": os.path.abspath(__file__), **options}


def hook(options: Mapping[str, Any]) -> Callable[[str, str], tuple[str, ...]]:
    """Return what the echo engine calls at each moment."""
    folder = FaultsFolder(str(options.get("faults_dir", "")))
    always = dict(options.get("faults", {}))

    def strike(moment: str, name: str) -> tuple[str, ...]:
        folder.strike(moment, name)
        fault = always.get(name) if moment == "generate" else None
        if fault == "fail":
            raise SegmentError("asked_to_fail", "the echo engine was asked to fail here")
        if fault == "raise":
            raise RuntimeError("the echo engine was asked to raise here")
        if fault == "skip":
            return ("It lacks 你好.",)
        if fault is not None:
            perform(str(fault), name)
        return ()

    return strike


class FaultsFolder:
    """The faults that wait in a folder; without one, none ever happens."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def strike(self, moment: str, name: str = "") -> None:
        """Perform every fault that waits for this moment, or for this name at this moment."""
        if not self._folder:
            return
        for file, fault in self._waiting(moment, name):
            try:
                os.unlink(file)
            except FileNotFoundError:
                continue  # another worker was faster
            perform(fault, name)

    def _waiting(self, moment: str, name: str) -> Iterator[tuple[str, str]]:
        for file in sorted(os.listdir(self._folder)):
            words = file.split(".")
            if words[-1].isdecimal():
                words.pop()
            if len(words) < 2 or words[0] != moment:
                continue
            meant = ".".join(words[1:-1])  # an id may hold dots
            if meant in ("", name):
                yield os.path.join(self._folder, file), words[-1]


def perform(fault: str, name: str) -> None:
    """Do it. ``name`` is the row it happens at."""
    if fault not in FAULTS:
        raise ValueError(f"no fault is called {fault!r}; there are {', '.join(FAULTS)}")
    FAULTS[fault](name)


# ------------------------------------------------------------------------------ ends of the process


def _kill(name: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _segv(name: str) -> None:
    signal.signal(signal.SIGSEGV, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGSEGV)


def _exit(name: str) -> None:
    os._exit(9)


def _loud(name: str) -> None:
    for number in range(200):
        print(f"line {number} of a long complaint", file=sys.stderr)
    sys.stderr.flush()
    os._exit(3)


# ------------------------------------------------------------------------------------------- waiting


def _hang(name: str) -> None:
    """No thread of the process runs any more: no heartbeat."""
    os.kill(os.getpid(), signal.SIGSTOP)


def _stall(name: str) -> None:
    """The heart beats on, nothing gets done."""
    time.sleep(3600)


def _slow(name: str) -> None:
    time.sleep(1)


# ------------------------------------------------------------------------------------------- garbage


def _garbage(name: str) -> None:
    _write(_results_descriptor(), b"{1: not a result}\n")


def _utf8(name: str) -> None:
    _write(_results_descriptor(), b"\xff\xfe\xc3\x28 is no UTF-8\n")


def _longline(name: str) -> None:
    _write(2, b"x" * 10_000_000)


def _torn(name: str) -> None:
    """Half an event; what is written next, perhaps a whole one, hangs on to it."""
    _write(2, f'{EVENT_TAG}{{"event": "segment_done", "id": "{name}", "ta'.encode())


def _results_descriptor() -> int:
    """The worker's private pipe for results, found as a library that writes to a descriptor that is
    not its own finds it: the pipe that is neither standard input nor standard error."""
    known = {_pipe(descriptor) for descriptor in (0, 1, 2)}
    for descriptor in range(3, 64):
        if _pipe(descriptor) is not None and _pipe(descriptor) not in known:
            return descriptor
    raise RuntimeError("results do not go to a pipe here")


def _pipe(descriptor: int) -> tuple[int, int] | None:
    try:
        found = os.fstat(descriptor)
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISFIFO(found.st_mode) else None


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


# ------------------------------------------------------------------------------------- false results


def _missing(name: str) -> None:
    """The next result lacks this row, and the event that told of it was lost."""
    honest = vars(runtime)["event_line"]

    def lossy(event: str, **fields: Any) -> str:
        told = event in ("segment_done", "segment_failed") and fields.get("id") == name
        return "" if told else str(honest(event, **fields))

    vars(runtime)["event_line"] = lossy
    _falsify(lambda rows: [row for row in rows if row.id != name])


def _doubled(name: str) -> None:
    _falsify(lambda rows: [*rows, *(row for row in rows if row.id == name)])


def _unknown(name: str) -> None:
    _falsify(lambda rows: [*rows, *(replace(row, id=f"not-{name}") for row in rows if row.id == name)])


def _falsify(change: Callable[[list[SegmentRow]], list[SegmentRow]]) -> None:
    """The next result, and only that, says something else of its segments."""
    honest = vars(runtime)["result_to_json"]

    def false(result: Result) -> str:
        vars(runtime)["result_to_json"] = honest
        return str(honest(replace(result, segments=tuple(change(list(result.segments))))))

    vars(runtime)["result_to_json"] = false


FAULTS: dict[str, Callable[[str], None]] = {
    "kill": _kill,
    "segv": _segv,
    "exit": _exit,
    "loud": _loud,
    "hang": _hang,
    "stall": _stall,
    "slow": _slow,
    "garbage": _garbage,
    "utf8": _utf8,
    "longline": _longline,
    "torn": _torn,
    "missing": _missing,
    "doubled": _doubled,
    "unknown": _unknown,
}
