"""Translation by a program of the user: a line of JSON on its stdin, and a line of JSON on its stdout for each.

The program is kept running. What it prints besides, and its stderr, is kept to explain a failure. It is started anew
after it has ended, after an answer that cannot be used and after one that took too long: what it would still write
could not be told from the next answer.
"""

from __future__ import annotations

import hashlib
import json
import os
import queue
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from voiceclone_cli import system
from voiceclone_cli.children import END_SECONDS, start_child, start_thread, wait_for_thread, wait_in_steps
from voiceclone_cli.config import Settings, redact
from voiceclone_cli.errors import PreflightError
from voiceclone_cli.translation.message import read_document, request_document
from voiceclone_cli.translation.translator import (
    MAX_ANSWER_BYTES,
    Failing,
    Notify,
    TokenCount,
    TranslatedLine,
    TranslationRequest,
    Translator,
    TranslatorError,
)
from voiceclone_cli.workers.process import LastWords

FAILURES_IN_A_ROW = 3
"""Requests without an answer after which a program is not asked again."""

LEAVE_SECONDS = 2.0
"""How long a program may take to end after the end of its input."""

_MAX_WAITING = 1000
"""Lines of a program that nothing was asked for; one that prints on and on is ended."""

_MAX_HASHED_BYTES = 10_000_000
"""Size of a file among a program's arguments whose content is part of its identity."""


def open_command(settings: Settings, notify: Notify) -> CommandTranslator:
    """Return the translator of the program that the settings name. Raises PreflightError."""
    command = settings.translator_command
    if not command:
        raise PreflightError(
            "The translator command needs a program: give it as --command, such as 'python3 tr.py'.",
            code="no_translator",
        )
    lack = lack_of_program(command)
    if lack is not None:
        raise PreflightError(f"The translator cannot be started: {lack}.", code="no_translator")
    words = system.split_command(command)
    shown = _shown(words)
    return CommandTranslator(
        words, settings.translator_seconds, notify, destination=f"the program {shown}", shown=shown
    )


def lack_of_program(command: str) -> str | None:
    """Return why a command cannot be started; None where it can."""
    try:
        words = system.split_command(command)
    except ValueError:
        return "a quotation mark in --command has no second one"
    if not words or not words[0]:
        return "--command names no program"
    if _program(words[0]) is None:
        return f"there is no program {words[0]}; give its path, or install it"
    return None


def translator_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the variables of a program that translates: those of workers and of the network, without tokens."""
    names = (
        *(*system.SYSTEM_VARIABLES, *system.DEVICE_VARIABLES),
        *(*system.NETWORK_VARIABLES, *system.TRANSLATOR_VARIABLES),
    )
    found = system.filter_environment(environ, names, system.DEVICE_PREFIXES)
    return found | {"PYTHONUTF8": "1", "PYTHONIOENCODING": "utf-8", "PYTHONUNBUFFERED": "1"}


class CommandTranslator(Translator):
    """A program that is started at the first request. Sentences call it ``shown``."""

    name = "command"

    def __init__(
        self,
        words: Sequence[str],
        seconds: float,
        notify: Notify,
        *,
        destination: str,
        shown: str,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.destination = destination
        self.identity = f"{self.name} {_identity(words)}"
        self._who = f"The translator {shown}"
        self._words, self._seconds, self._notify = tuple(words), seconds, notify
        self._environment = translator_environment() if environment is None else environment
        self._process: _Process | None = None
        self._failures = 0
        """Requests in a row without an answer."""
        self._has_worked = False

    @property
    def usage(self) -> TokenCount:
        """No tokens: what a program pays for is not known here."""
        return TokenCount()

    def translate(self, request: TranslationRequest) -> tuple[TranslatedLine, ...]:
        """Return what came back for the lines. Raises TranslatorError."""
        document = json.dumps(request_document(request), ensure_ascii=False)
        try:
            lines = self._translate(document)
        except _NoAnswer as error:
            self._failures += 1
            is_final = not self._has_worked or self._failures >= FAILURES_IN_A_ROW
            raise TranslatorError(
                f"{self._who} {error}{error.words}.",
                code="translator_refused" if is_final else "translator_answer",
                failing=Failing.REFUSED if is_final else Failing.UNUSABLE,
            ) from None
        except TranslatorError:
            self.close()
            raise
        self._failures, self._has_worked = 0, True
        return lines

    def close(self) -> None:
        """End the program: by the end of its input, else at once."""
        process, self._process = self._process, None
        if process is not None:
            process.close()

    def _translate(self, document: str) -> tuple[TranslatedLine, ...]:
        is_new = self._process is None
        try:
            answer = self._ask(document)
        except _NoAnswer as error:
            # A program that ended may have ended because of an earlier request; a new one shows whether it was this.
            if is_new or error.is_slow:
                raise
            self._notify(f"{self._who} {error}; it is started again for the same lines.")
            answer = self._ask(document)
        return _lines_of_answer(answer, self._who)

    def _ask(self, document: str) -> str:
        """Return the program's line for a document. Raises _NoAnswer, with the program ended."""
        if self._process is None:
            try:
                self._process = _Process(self._words, self._environment)
            except OSError as error:
                raise _NoAnswer(f"cannot be started ({error.strerror or error})") from None
        try:
            return self._process.ask(document, self._seconds)
        except BaseException:
            process, self._process = self._process, None
            process.end()
            raise


class _NoAnswer(Exception):
    """What a program did instead of an answer, as the end of a sentence."""

    def __init__(self, what: str, words: str = "", *, is_slow: bool = False) -> None:
        super().__init__(what)
        self.words = f": {redact(words)}" if words else ""
        self.is_slow = is_slow


class _Process:
    """A running program."""

    def __init__(self, words: Sequence[str], environment: Mapping[str, str]) -> None:
        program = _program(words[0]) or words[0]
        self._child = start_child([program, *words[1:]], environment=environment, stdin=subprocess.PIPE)
        self._answers: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        """Lines of its stdout that begin like a document; None at its end."""
        self._words = LastWords()
        self._is_too_large = False
        self._readers = [
            start_thread(self._read_answers, "translator stdout"),
            start_thread(self._read_log, "translator stderr"),
        ]
        self._end = start_thread(self._await_end, "translator end")

    def ask(self, document: str, seconds: float) -> str:
        """Send a document and return the program's line for it. Raises _NoAnswer."""
        with suppress(queue.Empty):
            while self._answers.get_nowait() is not None:
                pass  # left from an answer of several lines
            self._answers.put(None)
        deadline = time.monotonic() + seconds
        # What a program does not read fills the pipe, and a write would wait for ever.
        start_thread(lambda: self._write(document), "translator stdin")
        found: list[str | None] = []

        def wait(step: float) -> bool:
            with suppress(queue.Empty):
                found.append(self._answers.get(timeout=step))
            return bool(found)

        if not wait_in_steps(wait, max(0.0, deadline - time.monotonic())):
            raise _NoAnswer(f"did not answer in {seconds:g} s", str(self._words), is_slow=True)
        if found[0] is None:
            raise self._ended()
        return found[0]

    def close(self) -> None:
        """End the program by the end of its input, else as `end`."""
        self._close_input()
        if not wait_for_thread(self._end, LEAVE_SECONDS):
            self.end()

    def end(self) -> None:
        """End the program and what it started."""
        if self._end.is_alive():
            self._child.end_at_once()
            wait_for_thread(self._end, END_SECONDS)
        self._close_input()

    def _close_input(self) -> None:
        # Not at once where a write waits in another thread for a program that reads nothing; it ends with the program.
        with suppress(OSError, ValueError):
            assert self._child.stdin is not None
            self._child.stdin.close()

    def _await_end(self) -> None:
        self._child.await_end()

    def _ended(self) -> _NoAnswer:
        if self._is_too_large:
            return _NoAnswer(f"answered with more than {MAX_ANSWER_BYTES // 10**6} MB", is_slow=True)
        ended = wait_for_thread(self._end, LEAVE_SECONDS)
        for reader in self._readers:
            wait_for_thread(reader, LEAVE_SECONDS)
        how = f"ended with exit code {self._child.returncode}" if ended else "closed its output"
        return _NoAnswer(how, str(self._words))

    def _write(self, document: str) -> None:
        # It has ended, or was ended: its end is noticed where its answer is waited for.
        with suppress(OSError, ValueError):
            assert self._child.stdin is not None
            self._child.stdin.write(document.encode("utf-8", "replace") + b"\n")
            self._child.stdin.flush()

    def _read_answers(self) -> None:
        assert self._child.stdout is not None
        with self._child.stdout as stream:
            while raw := stream.readline(MAX_ANSWER_BYTES + 1):
                if len(raw) > MAX_ANSWER_BYTES or self._answers.qsize() > _MAX_WAITING:
                    self._is_too_large = True
                    break
                line = raw.decode("utf-8", "replace").strip()
                if line.startswith(("{", "[")):
                    self._answers.put(line)
                else:
                    self._words.add(line)
        self._answers.put(None)

    def _read_log(self) -> None:
        assert self._child.stderr is not None
        with self._child.stderr as stream:
            while raw := stream.readline(65_536):
                self._words.add(raw.decode("utf-8", "replace"))


def _lines_of_answer(answer: str, who: str) -> tuple[TranslatedLine, ...]:
    """Return the lines of an answer. Raises TranslatorError, for ``{"error": "..."}`` with its sentence."""
    with suppress(ValueError, RecursionError):
        document = json.loads(answer)
        if isinstance(document, dict) and isinstance(document.get("error"), str):
            raise TranslatorError(
                f"{who} reports an error: {redact(document['error'])[:300].rstrip('.')}.",
                code="translator_answer",
                failing=Failing.UNUSABLE,
            )
    return read_document(answer, who)


def _program(name: str) -> str | None:
    """Return the path of a program; None where there is none."""
    return shutil.which(name)


def _shown(words: Sequence[str]) -> str:
    """Return a command without its options, which may hold a key."""
    plain: list[str] = []
    for word in words[:3]:
        if word.startswith("-") or "=" in word:
            break
        plain.append(word)
    rest = " ..." if len(plain) < len(words) else ""
    return f"{redact(' '.join(plain))}{rest}"


def _identity(words: Sequence[str]) -> str:
    """Return a hash of a command and of the files that it names, its program's excepted."""
    digest = hashlib.sha256("\0".join(words).encode("utf-8", "replace"))
    for word in words[1:]:
        with suppress(OSError, ValueError):
            path = Path(word)
            if path.is_file() and path.stat().st_size <= _MAX_HASHED_BYTES:
                digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
