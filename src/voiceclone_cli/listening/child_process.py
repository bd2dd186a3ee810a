"""One child that listens, seen from the controller: start, requests, replies, end."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Mapping
from typing import Any

from voiceclone_cli.errors import RunError
from voiceclone_cli.machine.clock import peak_memory_mb
from voiceclone_cli.machine.telemetry import SILENCE
from voiceclone_cli.workers.local.diagnosis import LastWords, diagnosis
from voiceclone_cli.workers.local.pipes import pieces
from voiceclone_cli.workers.local.process import end_group, own_group

NAME = "the listening process"
PROGRAM = ("-m", "voiceclone_cli.listening.child")

DRAIN_SECONDS = 2.0
"""A grandchild may keep a dead child's pipes open: their end is not waited for longer."""


class ChildDied(Exception):
    """The child is gone; one sentence says how, as far as it is known."""


class ChildProcess:
    """A running child. Linux ends it with the thread that makes it. Raises RunError when it cannot be started.

    It has this process's environment and import path: what works here works there.
    """

    def __init__(self) -> None:
        self._fault: str | None = None
        self._last_words = LastWords()
        self._replies: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._process = _start()
        self._readers = [
            threading.Thread(target=target, name=f"{NAME} {name}", daemon=True)
            for target, name in ((self._read_replies, "stdout"), (self._read_log, "stderr"))
        ]
        for reader in self._readers:
            reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def peak_mb(self) -> int:
        """Peak resident memory; 0 where it is not known."""
        return peak_memory_mb(self.pid) or 0

    def send(self, request: Mapping[str, Any]) -> None:
        """Raises ChildDied."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request).encode("ascii") + b"\n")
            self._process.stdin.flush()
        except (OSError, ValueError):  # ValueError: closed meanwhile
            raise ChildDied(self.end()) from None

    def reply(self, seconds: float) -> dict[str, Any] | None:
        """What it says within so many seconds; None when that is nothing. Raises ChildDied."""
        try:
            reply = self._replies.get(timeout=seconds)
        except queue.Empty:
            return None
        if reply is None:
            raise ChildDied(self.end())
        return reply

    def kill(self, reason: str) -> None:
        """End it at once, from any thread; ``reason`` becomes its diagnosis."""
        self._fault = self._fault or reason
        if self._process.poll() is None:
            end_group(self._process)

    def end(self) -> str:
        """End it and wait until it is gone: how it ended, in one sentence."""
        try:
            # It may be about to end by itself, and to say why.
            self._process.wait(timeout=0.0 if self._fault else DRAIN_SECONDS)
        except subprocess.TimeoutExpired:
            end_group(self._process)
        code = self._process.wait()
        for reader in self._readers:
            reader.join(timeout=DRAIN_SECONDS)
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
        except OSError as error:  # a request that it did not take
            self._last_words.add(f"(stdin: {error})")
        return diagnosis(NAME, code, self._fault, str(self._last_words))

    def _read_replies(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as stream:
            for line in stream:
                try:
                    reply = json.loads(line)
                except ValueError:  # its last line, cut short
                    break
                self._replies.put(reply)
        self._replies.put(None)

    def _read_log(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as stream:
            for piece in pieces(stream):
                if piece.first:
                    self._last_words.add(piece.data.decode("utf-8", errors="replace"))


def _start() -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            # -P: a numpy.py in the working directory is nothing to import.
            [sys.executable, "-X", "utf8", "-P", *PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(),
            **own_group(),
        )
    except OSError as error:
        raise RunError(
            f"{NAME} cannot be started ({error.strerror or error}): end other programs, and give the same "
            "command again",
            code="listener_died",
        ) from error


def _environment() -> dict[str, str]:
    return {
        **os.environ,
        **SILENCE,
        "VOICECLONE_COORDINATED": "1",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        # Threads that spin while they wait cost ten times their work on a busy machine.
        "OMP_WAIT_POLICY": "PASSIVE",
    }
