"""Questions to ears elsewhere: asked in any number of threads, answered by others in the order of arrival."""

from __future__ import annotations

import queue
from collections.abc import Callable
from typing import Any

from voiceclone_cli.errors import RunError, Stopped, VoicecloneError
from voiceclone_cli.listening.wire import Wish
from voiceclone_cli.types import Progress, ProgressEvent, Recording

SILENT_SECONDS, SILENT_TIMES = 600.0, 5.0
"""How long healthy ears may say nothing: they load models, and some steps take as long as a recording is.
Wide, since a large model on a busy CPU is slow: this finds what would wait for ever."""

LEAST_SILENCE = 15.0
"""However little patience is asked for, an interpreter takes time to start."""

LOOK_SECONDS = 0.5
"""Between two looks for a reply. Silence is counted in looks that were in vain, so that a controller that was
suspended blames nobody."""

Message = ProgressEvent | dict[str, Any] | BaseException


class Question:
    """What is to be heard of a recording."""

    def __init__(self, recording: Recording, wish: Wish, patience: float) -> None:
        self.recording = recording
        self.wish = wish
        self.longest_silence = max(
            LEAST_SILENCE, patience * (SILENT_SECONDS + SILENT_TIMES * recording.seconds)
        )
        self.dropped = False
        """Nobody waits for the answer any more."""
        self.tries = 0
        """How many nodes have not lived to answer it."""
        self._told: queue.SimpleQueue[Message] = queue.SimpleQueue()

    def tell(self, message: Message) -> None:
        """A step forward, the answer, or the error that ends the question. From any thread."""
        self._told.put(message)

    def answer(self, progress: Progress) -> dict[str, Any]:
        """Wait for the answer. ``progress`` is called in this thread."""
        while True:
            message = self._told.get()
            if isinstance(message, BaseException):
                raise message
            if isinstance(message, ProgressEvent):
                progress(message)
            else:
                return message

    def died(self, how: str) -> RunError:
        """That it is given up."""
        return RunError(f"{self.recording.path.name} could not be listened to: {how}", code="listener_died")


class Questions:
    """Those that are open. Whoever answers takes them one by one, until there are to be no more.

    ``on_ask`` is called when one more is open, in the thread that asks.
    """

    def __init__(self, on_ask: Callable[[], None] = lambda: None) -> None:
        self._on_ask = on_ask
        self._waiting: queue.SimpleQueue[Question | None] = queue.SimpleQueue()
        self._open: set[Question] = set()
        self._ending: BaseException | None = None

    @property
    def ending(self) -> bool:
        """Nobody waits for any answer any more."""
        return self._ending is not None

    @property
    def open(self) -> int:
        """How many have no answer yet."""
        return len(self._open)

    def ask(self, question: Question, progress: Progress) -> dict[str, Any]:
        """The answer. Raises what it is answered with, and what the questions are ended with."""
        self._open.add(question)
        try:
            if self._ending is not None:  # looked at when it is open already, so that no end passes it by
                question.tell(_again(self._ending))
            else:
                self._waiting.put(question)
                self._on_ask()
            return question.answer(progress)
        finally:
            self._open.discard(question)
            question.dropped = True

    def take(self) -> Question | None:
        """The next one that is worth an answer, as soon as there is one; None: there will be no more."""
        while (question := self._waiting.get()) is not None:
            if not question.dropped:
                return question
        return None

    def put_back(self, question: Question) -> None:
        """Others shall answer it."""
        self._waiting.put(question)

    def end(self, reason: BaseException) -> None:
        """Whoever waits gets ``reason``, whoever asks later too. Never blocks: fit for a signal's handler."""
        self._ending = self._ending or reason
        for question in self._open.copy():
            question.tell(_again(self._ending))

    def close(self, takers: int) -> None:
        """No more questions: each of so many takers is told so. Whoever still asks gets a RunError."""
        self.end(RunError("nobody listens any more: the command is ending", code="listener_closed"))
        for _ in range(takers):
            self._waiting.put(None)


def _again(error: BaseException) -> BaseException:
    """An error of one's own for each thread that raises it."""
    if isinstance(error, Stopped):
        return Stopped(error.exit_code)
    assert isinstance(error, VoicecloneError)
    return type(error)(error.message, code=error.code)
