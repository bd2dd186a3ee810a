"""Whoever keeps a child that listens: hands it questions, and replaces it when it dies."""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from voiceclone_cli.atomic import explain_write_errors
from voiceclone_cli.errors import VoicecloneError
from voiceclone_cli.listening.child_process import ChildDied, ChildProcess
from voiceclone_cli.listening.questions import LOOK_SECONDS, Question, Questions
from voiceclone_cli.listening.wire import error_from_row, recording_row
from voiceclone_cli.types import ProgressEvent, Recording

TRIES = 2
"""Children that a recording may take with it."""

ENDING = "the command is ending"


class Keeper(threading.Thread):
    """Answers questions through a child, which is started for the first one.

    A thread of its own, because Linux ends a child with the thread that started it: whoever asks may be gone
    when the next question comes.
    """

    def __init__(self, questions: Questions, number: int = 1) -> None:
        super().__init__(name=f"listening {number}", daemon=True)
        self._questions = questions
        self._child: ChildProcess | None = None
        self.peak_mb = 0

    @property
    def pid(self) -> int | None:
        child = self._child
        return child.pid if child is not None else None

    def run(self) -> None:
        while (question := self._questions.take()) is not None:
            question.tell(self._heard(question))
        self._lose_child()

    def end_child(self) -> None:
        """At once, from any thread; the questions are ended already. Never blocks."""
        if (child := self._child) is not None:
            child.kill(ENDING)

    def _heard(self, question: Question) -> dict[str, Any] | BaseException:
        """What was heard, or why not."""
        how = ENDING
        for _ in range(TRIES):
            if self._questions.ending or question.dropped:
                break
            try:
                return self._try(question)
            except ChildDied as error:
                self._lose_child()
                how = str(error)
            except VoicecloneError as error:
                return error
            except Exception as error:  # raised where it is waited for, not in this thread
                self._lose_child()
                return error
        return question.died(how)

    def _try(self, question: Question) -> dict[str, Any]:
        """What was heard. Raises ChildDied, what the child raised, and RunError."""
        if self._child is not None and self._child.has_ended:
            self._lose_child()  # between two recordings: neither is to blame
        child = self._child = self._child or ChildProcess()
        if self._questions.ending:  # perhaps since before there was this child to end
            child.kill(ENDING)
        with _samples_file(question.recording) as samples:
            child.send(
                {
                    "wish": question.wish,
                    "recording": recording_row(question.recording),
                    "samples": str(samples),
                }
            )
            while True:
                reply = self._reply(child, question)
                if "heard" in reply:
                    heard: dict[str, Any] = reply["heard"]
                    return heard
                if "error" in reply:
                    raise error_from_row(reply["error"])
                question.tell(ProgressEvent(**reply["progress"]))

    def _reply(self, child: ChildProcess, question: Question) -> dict[str, Any]:
        """The next one. Raises ChildDied."""
        waited = 0.0
        while True:
            reply = child.reply(LOOK_SECONDS)
            self.peak_mb = max(self.peak_mb, child.peak_mb())
            if question.dropped:
                child.kill("nobody waits for its answer")
            if reply is not None:
                return reply
            waited += LOOK_SECONDS
            if waited > question.longest_silence:
                child.kill(f"it gave no sign of life for {question.longest_silence:.0f} s")

    def _lose_child(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.kill("it is not needed any more")
            child.end()


@contextlib.contextmanager
def _samples_file(recording: Recording) -> Iterator[Path]:
    """A file that holds the samples until they are mapped; the child takes its name away. Raises RunError."""
    import numpy as np

    folder = Path(tempfile.gettempdir())
    with explain_write_errors(folder):
        descriptor, name = tempfile.mkstemp(prefix="voiceclone-listening-", suffix=".npy", dir=folder)
    try:
        with explain_write_errors(folder), os.fdopen(descriptor, "wb") as file:
            np.save(file, recording.samples, allow_pickle=False)
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)
